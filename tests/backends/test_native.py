"""A step that is compiled as a whole is the ordinary step: every optimizer, activation and loss, in runs and alone."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.backend import Demands
from retroprop.backends.cpu import native_functions, native_step, numba_target
from retroprop.backends.cpu.native_step import NativeStep
from retroprop.backends.cpu.numba_functions import vector_functions
from retroprop.training import step as steps

numba = pytest.importorskip("numba", reason="Numba is not installed (the extra 'fast')")
pytest.importorskip("scipy", reason="SciPy is not installed (the extra 'fast')")

X = np.random.default_rng(0).normal(size=(50, 6))
CLASSES = np.random.default_rng(1).integers(0, 3, 50)
Y = X[:, :3]
ADAM = {"dropout": 0.3}, {"sample_weight": np.linspace(0.0, 2.0, 50)}
CASES = {
    "adam, dropout, weights": ADAM,
    "adam, classes": ({"output": "softmax", "loss": "cross_entropy"}, {}),
    "sgd, float64": ({"hidden": "tanh", "dtype": "float64"}, {"optimizer": "sgd"}),
    "momentum": (
        {"hidden": ["elu", "sigmoid"]}, {"optimizer": rp.optimizers.SGD(0.05, momentum=0.9, nesterov=True)}
    ),
    "adamw, penalties, clips, no bias": (
        {"hidden": "softplus", "l2": 0.01, "l1": 0.001, "bias": False, "dtype": "float64"},
        {"optimizer": "adamw", "clip_norm": 0.5, "clip_value": 0.2},
    ),
    "rmsprop, bytes": (
        {"hidden": "gelu_tanh", "output": "sigmoid", "loss": "binary_cross_entropy"}, {"optimizer": "rmsprop"}),
    "lion, schedule": (
        {"hidden": "leaky_relu", "loss": "huber"},
        {"optimizer": rp.optimizers.Lion(rp.schedules.Exponential(0.01, decay=0.9))},
    ),
}  # fmt: skip


def forget():
    """Empty the caches of this process."""
    native_functions.native_loop.cache_clear()
    native_functions.native_run.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    """A cache on disk of these tests: most have the same step, which is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        forget()
        yield
    forget()


def trained(monkeypatch, numba, net_options, options, x, y):
    monkeypatch.setenv("RETROPROP_NUMBA", numba)
    monkeypatch.setattr(native_step.log, "warning", pytest.fail)
    net = rp.Network([6, 9, 7, 3], seed=0, **net_options)
    history = rp.fit(net, x, y, epochs=3, batch_size=16, seed=0, **options)
    return np.concatenate([leaf.ravel() for leaf in net.parameters.leaves]), np.array(history.cost)


@pytest.fixture
def runs(monkeypatch):
    """The programs of whole steps that were made."""
    made, plain = [], NativeStep._compiled
    monkeypatch.setattr(NativeStep, "_compiled", lambda *args: made.append(plain(*args)) or made[-1])
    return made


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.long] * (i > 0)) for i, one in enumerate(CASES)])
def test_a_whole_step_is_the_ordinary_step(name, monkeypatch, runs):
    net_options, options = CASES[name]
    classes = net_options.get("loss") == "cross_entropy"
    binary = net_options.get("loss") == "binary_cross_entropy"
    x = (X * 20.0).astype("int8") if "bytes" in name else X
    y = CLASSES if classes else (X[:, :3] > 0.0).astype(float) if binary else Y
    expected = trained(monkeypatch, "0", net_options, options, x, y)
    assert not runs
    found = trained(monkeypatch, "1", net_options, options, x, y)
    assert len(runs) == 2, "one program for each size of batches"
    assert None not in runs
    close = {"rtol": 1e-9, "atol": 1e-11} if net_options.get("dtype") == "float64" else {"rtol": 2e-3, "atol": 2e-4}
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **close)


def test_runs_and_single_steps_have_the_same_bits(monkeypatch):
    """Metrics without validation data need the outputs of each step, so that they are done one by one."""
    net_options, options = ADAM
    found = [trained(monkeypatch, "1", net_options, options | more, X, Y) for more in ({"metrics": ["r2"]}, {})]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_a_step_that_fails_its_trial_is_not_taken(monkeypatch, runs):
    plain = native_step.NativeProgram.steps
    monkeypatch.setattr(native_step.NativeProgram, "steps", lambda self, *args: plain(self, *args) + 1.0)
    monkeypatch.setenv("RETROPROP_NUMBA", "1")
    said = []
    monkeypatch.setattr(native_step.log, "warning", lambda *message: said.append(message))
    net, same = (rp.Network([6, 9, 7, 3], seed=0, **ADAM[0]) for _ in range(2))
    history = rp.fit(net, X, Y, epochs=2, batch_size=25, seed=0, **ADAM[1])
    assert set(runs) == {None}
    monkeypatch.setenv("RETROPROP_NUMBA", "loops")
    assert history.cost == rp.fit(same, X, Y, epochs=2, batch_size=25, seed=0, **ADAM[1]).cost


@pytest.mark.parametrize(
    ("sizes", "options"),
    [([6, 300, 3], {}), ([6] * 12, {}), ([6, 250, 250, 3], {"hidden": "tanh"})],
    ids=["wide", "deep", "transcendental"],
)
def test_other_shapes_are_left_to_loops(sizes, options, monkeypatch, runs):
    monkeypatch.setenv("RETROPROP_NUMBA", "1")
    rp.fit(rp.Network(sizes, seed=0, **options), X, X[:, : sizes[-1]], epochs=1)
    assert runs == [None]


def test_the_cache_has_the_same_bits(monkeypatch):
    compiled = trained(monkeypatch, "1", *ADAM, X, Y)
    forget()
    monkeypatch.setattr(numba_target.CACHE, "write", lambda key, content: pytest.fail("a step was compiled"))
    read = trained(monkeypatch, "1", *ADAM, X, Y)
    np.testing.assert_array_equal(read[0], compiled[0])


def test_the_work_decides(monkeypatch):
    monkeypatch.setenv("RETROPROP_NUMBA", "auto")
    net, enough = rp.Network([6, 9, 3], backend="numpy"), 2.0 * numba_target.WORTH["auto"]

    def is_whole(work, **more):
        demands = Demands(work=work, **more)
        return type(steps.bind(net.backend, net.architecture, rp.optimizers.SGD(), demands=demands)) is NativeStep

    assert [is_whole(enough), is_whole(0.99 * enough), is_whole(enough, varied=True)] == [True, False, False]


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh"])
def test_functions_of_float32(name):
    rng = np.random.default_rng(0)
    x = [*(rng.normal(size=2000) * scale for scale in (1e-6, 1e-3, 0.1, 1.0, 10.0, 50.0)), [0.0, -0.0, 1e-45, 1e-40]]
    x += [[np.inf, -np.inf, np.nan, 88.7, 88.73, 89.0, 200.0, -87.5, -100.0, -103.9, -104.0, -200.0, 1e38, -1.0]]
    x = np.concatenate(x).astype("float32")
    function, found = vector_functions()[name], np.empty_like(x)

    @numba.njit(error_model="numpy")
    def apply(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    apply(x, found)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x.astype("float64")).astype("float32")
        far = np.abs(found.astype("float64") - expected)
        near = (
            (found == expected) | (np.isnan(found) & np.isnan(expected)) | (far <= 3.0 * np.spacing(np.abs(expected)))
        )
    assert near.all(), (x[~near], found[~near], expected[~near])
