"""Training as on a GPU, on the host: runs of steps, graphs, arguments that move, and graphs that fail."""

import logging

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, HostRuntime
from harness import mapped, tolerance

import retroprop as rp
from retroprop.backends.cuda import cuda_step as captured
from retroprop.backends.cuda import launch_program as program
from retroprop.backends.cuda import switches
from retroprop.training import rows

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")


@pytest.fixture
def few_steps(monkeypatch):
    """Prepare five steps at once and unroll two, so that small runs meet all cases."""
    monkeypatch.setattr(program, "STEPS", 5)
    monkeypatch.setattr(captured, "UNROLLED", 2)


def data(m=59, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 6)), rng.integers(0, 3, m)


def trained(backend, *, dtype="float32", sizes=(6, 8, 3), net_options=None, given=None, **options):
    options = {"optimizer": "adam", "epochs": 3, "batch_size": 4, "seed": 1} | options
    net = rp.Network(
        sizes, output="softmax", loss="cross_entropy", seed=0, dtype=dtype, backend=backend, **(net_options or {})
    )
    x, y = data()
    return net, rp.fit(net, x if given is None else given, y, **options)


def assert_same_training(one, other, dtype="float32"):
    (net, history), (expected, reference) = one, other
    for found, wanted in zip(net.parameters.leaves, expected.parameters.leaves, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=tolerance(dtype))
    np.testing.assert_allclose(history.cost, reference.cost, rtol=tolerance(dtype))
    assert history.learning_rate == reference.learning_rate
    assert history.validation_cost == pytest.approx(reference.validation_cost, rel=tolerance(dtype))


WEIGHT = np.linspace(0.5, 2.0, 59)
CASES = {
    "shuffled": {},
    "in order": {"shuffle": False},
    "float64": {"dtype": "float64"},
    "sgd": {"optimizer": rp.optimizers.SGD(0.1)},
    "adamw": {"optimizer": rp.optimizers.AdamW(rp.schedules.Exponential(0.01, decay=0.9))},
    "weighted": {"sample_weight": WEIGHT},
    "with dropout": {"net_options": {"dropout": 0.3}},
    "with metrics": {"metrics": ["accuracy"], "shuffle": False},
    "validated": {"metrics": ["accuracy"], "validation_data": data(20, 5)},
    "clipped": {"clip_norm": 0.5},
    "penalised": {"net_options": {"l2": 0.01, "l1": 0.001}},
    "full batch": {"batch_size": None},
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_training_is_numpys(case, few_steps):
    backend = CudaOnTheHost()
    dtype = CASES[case].get("dtype", "float32")
    assert_same_training(trained(backend, **CASES[case]), trained("numpy", **CASES[case]), dtype)
    assert backend.runtime.log["graph"] > 0


@pytest.mark.parametrize("case", ["shuffled", "in order", "weighted", "with metrics", "with dropout"])
@pytest.mark.parametrize("where", ["stored", "mapped"])
def test_bytes_stay_bytes_until_a_batch_is_gathered(case, where, few_steps, monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "STRETCH", 100)
    x = np.random.default_rng(2).integers(0, 256, (59, 6)).astype("uint8")
    given = x if where == "stored" else mapped(tmp_path / "x", x)
    backend = CudaOnTheHost()
    found = trained(backend, given=given, **CASES[case])
    as_floats = trained(CudaOnTheHost(), given=x.astype("float32"), **CASES[case])
    for one, other in zip(found[0].parameters.leaves, as_floats[0].parameters.leaves, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[1].cost == as_floats[1].cost
    assert backend.runtime.log["graph"] > 0


def test_a_cast_is_a_part_of_the_gather(few_steps, monkeypatch):
    monkeypatch.setattr(HostRuntime, "fastest", lambda self, ways: 0)
    kernels = []
    for dtype in ("uint8", "float32"):
        backend = CudaOnTheHost()
        trained(backend, epochs=1, given=np.arange(59 * 6).reshape(59, 6).astype(dtype) % 7)
        kernels.append(backend.runtime.log["kernel"])
    assert kernels[0] == kernels[1]


def test_an_epoch_is_graphs_and_little_else(few_steps, monkeypatch):
    monkeypatch.setattr(HostRuntime, "fastest", lambda self, ways: 0)
    backend = CudaOnTheHost()
    trained(backend, epochs=1)
    log = backend.runtime.log
    # 14 batches of four: runs of 5, 5 and 4 steps, of which one graph does two; then a batch of three.
    # The first step of each form is done once launch by launch, and again as a graph.
    assert log["graph"] == (1 + 2) + (2 + 1) + 2 + 1
    # gather; bias and relu; softmax, cost and δ with their sums; δ of the hidden layer with its sums; Adam
    assert log["kernel"] == 2 * 5
    assert log["product"] == 2 * 5


def test_a_graph_that_fails_leaves_the_launches(few_steps, caplog, monkeypatch):
    def refuse(self, launches):
        raise RuntimeError("no graph today")

    monkeypatch.setattr(HostRuntime, "graph_of", refuse)
    backend = CudaOnTheHost()
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(backend)
    assert_same_training(found, trained("numpy"))
    messages = [record.getMessage() for record in caplog.records]
    assert [m for m in messages if "no graph today" in m] == messages
    assert len(messages) == 2  # once for each batch size
    assert backend.runtime.log["graph"] == 0


def test_a_graph_that_does_something_else_is_not_trusted(few_steps, caplog, monkeypatch):
    whole = HostRuntime.graph_of

    def forgetful(self, launches):
        graph = whole(self, launches)
        return lambda: [graph(), graph()]  # one step too many

    monkeypatch.setattr(HostRuntime, "graph_of", forgetful)
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(CudaOnTheHost())
    assert_same_training(found, trained("numpy"))
    assert "a graph did not leave the results of its launches" in caplog.text


@pytest.mark.parametrize("room", [0, 7])
def test_without_memory_to_try_a_graph_steps_are_launched(few_steps, caplog, monkeypatch, room):
    """Room for some of the copies only: before the first step, and after it."""
    whole, made = HostRuntime.copied, []

    def copied(self, array):
        made.append(array)
        # parameters, state, tick and cost are fourteen arrays
        if array.ndim and len(made) > 2 * room:
            raise MemoryError("full")
        return whole(self, array)

    monkeypatch.setattr(HostRuntime, "copied", copied)
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(CudaOnTheHost())
    assert "no memory for a copy to try it on: full" in caplog.text
    assert_same_training(found, trained("numpy"))


def test_without_graphs_every_step_is_launched(few_steps):
    backend = CudaOnTheHost(graphs=False)
    assert_same_training(trained(backend), trained("numpy"))
    assert backend.runtime.log["graph"] == 0
    assert backend.runtime.log["kernel"] > 100


def test_a_kernel_that_does_not_compile_leaves_the_plain_step(caplog, monkeypatch):
    def broken(self, text, blocks, threads, arguments):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(HostRuntime, "kernel", broken)
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(CudaOnTheHost())
    assert_same_training(found, trained("numpy"))
    assert "RuntimeError: no compiler" in caplog.text


def test_arrays_that_move_are_copied_from_then_on():
    """A step called with other data each time, of one form: the first is read where it lies, the others copied in."""
    backend = CudaOnTheHost()
    step = backend.capture(lambda operations, x, w, number: (operations.xp.matmul(x, w) * number,), donate=())
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 3))
    for number in (1.0, 2.0, 3.0, 4.0):
        x = rng.normal(size=(5, 4))
        (found,) = step(x, w, number)
        np.testing.assert_allclose(found, number * (x @ w), rtol=1e-12)
        x += 1.0  # read again, not remembered
        (found,) = step(x, w, number)
        np.testing.assert_allclose(found, number * (x @ w), rtol=1e-12)


ALL = ",".join(reversed(switches.PARTS))


@pytest.mark.parametrize("listed", ["", "graph", "lt, kernels", ALL])
def test_parts_can_be_switched_off(listed, monkeypatch):
    monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, listed)
    wanted = {part.strip() for part in listed.split(",")} - {""}
    assert set(switches.disabled()) == wanted
    assert [part for part in switches.PARTS if not switches.enabled(part)] == list(switches.disabled())


def test_an_unknown_part_is_an_error(monkeypatch):
    monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, "graph,everything")
    with pytest.raises(
        ValueError,
        match=r"may list kernels, lt, epilogue, tiles, autotune, graph, pinned; it lists everything",
    ):
        switches.disabled()
