"""Masks drawn by the generated kernel, on the host as it is, are those that NumPy's Philox draws, bit by bit."""

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, HostRuntime
from test_cuda_captured import assert_same_training, data, trained

import retroprop as rp
from retroprop.backends.cuda import cuda_step as captured
from retroprop.backends.cuda import launch_program as program
from retroprop.backends.cuda.kernels.philox import mask_launch, stream_of
from retroprop.backends.masks import Masks, MaskStream
from retroprop.core.architecture import build
from retroprop.training import runs
from retroprop.training.step import bind

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")


def masks_of(sizes, dropout, m, *, dtype="float32", step=0):
    functions = {"hidden": "relu", "output": "identity", "loss": "squared_error", "bias": True, "l2": 0.0, "l1": 0.0}
    architecture = build(sizes, dropout=dropout, **functions)
    stream = MaskStream(rp.get_backend("numpy"), architecture, dtype, np.random.default_rng(5))
    return Masks(stream, step, m)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sizes", "m"), [((3, 1, 2), 1), ((3, 4, 7, 2), 33), ((3, 300, 16, 2), 40)])
@pytest.mark.parametrize(("step", "tick"), [(0, 0), (2**40, 3)])
@pytest.mark.parametrize("misaligned", [False, True])
def test_the_kernel_draws_the_bits_of_numpy(sizes, m, dtype, step, tick, misaligned):
    dropout = [0.25, 0.6][: len(sizes) - 2]
    masks = masks_of(sizes, dropout, m, dtype=dtype, step=step)
    runtime, layers = HostRuntime(), [one for one in masks.form.layers if one is not None]
    skipped = np.dtype(dtype).itemsize if misaligned else 0
    rooms = [runtime.empty((m * one.n + 3) * np.dtype(dtype).itemsize) for one in layers]
    arrays = [
        runtime.array(room, skipped, (m, one.n), np.dtype(dtype)) for room, one in zip(rooms, layers, strict=True)
    ]
    stream, ticks = stream_of(masks.stream.key, step), np.asarray(tick)
    mask_launch(runtime, masks.form, list(zip(layers, arrays, strict=True)), stream, ticks)()
    for room, array, expected in zip(rooms, arrays, masks.after(tick).drawn(), strict=True):
        np.testing.assert_array_equal(array, expected)
        assert set(room[skipped + array.nbytes :]) == {0xFF}  # nothing is written beyond the last number
        assert set(room[:skipped]) <= {0xFF}


@pytest.fixture
def few_steps(monkeypatch):
    """Prepare five steps at once and unroll two, so that small runs meet all cases."""
    monkeypatch.setattr(program, "STEPS", 5)
    monkeypatch.setattr(captured, "UNROLLED", 2)


CASES = {
    "shuffled": {},
    "float64": {"dtype": "float64"},
    "in order": {"shuffle": False},
    "sgd": {"optimizer": rp.optimizers.SGD(0.1)},
    "weighted": {"sample_weight": np.linspace(0.5, 2.0, 59)},
    "with metrics": {"metrics": ["accuracy"]},
    "full batch": {"batch_size": None},
    "one layer of two": {"sizes": (6, 8, 5, 3), "net_options": {"dropout": [0.0, 0.5]}},
    "another in each": {"sizes": (6, 8, 5, 3), "net_options": {"dropout": [0.2, 0.5], "hidden": ["tanh", "gelu"]}},
}


@pytest.mark.parametrize("case", [
    pytest.param(case, marks=pytest.mark.long if case in ("in order", "sgd", "weighted") else ()) for case in CASES
])  # fmt: skip
def test_a_training_with_dropout_is_numpys(case, few_steps, monkeypatch):
    drawn = []
    monkeypatch.setattr(MaskStream, "drawn", lambda *given, whole=MaskStream.drawn: drawn.append(1) or whole(*given))
    options = {"net_options": {"dropout": 0.3}} | CASES[case]
    backend = CudaOnTheHost()
    found = trained(backend, **options)
    assert not drawn  # on the host
    assert backend.runtime.log["graph"] > 0
    assert_same_training(found, trained("numpy", **options), options.get("dtype", "float32"))
    assert drawn


RUNS = [case for case in CASES if case not in ("with metrics", "full batch")]  # which are no runs


@pytest.mark.parametrize("case", [RUNS[0], *(pytest.param(case, marks=pytest.mark.long) for case in RUNS[1:])])
def test_a_run_is_its_steps_to_the_bit(case, few_steps, monkeypatch):
    options = {"net_options": {"dropout": 0.3}} | CASES[case]
    (net, history), done = trained(CudaOnTheHost(), **options), []
    monkeypatch.setattr(runs, "LONGEST", 7)  # other runs, of other lengths
    others = [trained(CudaOnTheHost(), **options)]
    monkeypatch.setattr(captured.CudaStep, "run", lambda *given: done.append(1))
    others.append(trained(CudaOnTheHost(), **options))
    assert done
    for other, its_history in others:
        assert history.cost == its_history.cost
        for one, another in zip(net.parameters.leaves, other.parameters.leaves, strict=True):
            np.testing.assert_array_equal(one, another)


def test_masks_cost_one_launch(few_steps, monkeypatch):
    monkeypatch.setattr(HostRuntime, "fastest", lambda self, ways: 0)
    kernels = []
    for dropout in (0.0, 0.3):
        backend = CudaOnTheHost()
        trained(backend, epochs=1, sizes=(6, 8, 5, 3), net_options={"dropout": dropout})
        kernels.append(backend.runtime.log["kernel"])
    # The first step of each of two forms is done launch by launch.
    assert kernels[1] == kernels[0] + 2


def test_a_step_that_is_not_recorded_gets_arrays(monkeypatch):
    def broken(self, text, blocks, threads, arguments):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(HostRuntime, "kernel", broken)
    options = {"net_options": {"dropout": 0.3}}
    assert_same_training(trained(CudaOnTheHost(), **options), trained("numpy", **options))


def test_a_step_that_is_kept_takes_the_key_of_each_partial_fit(monkeypatch):
    """The key is data, not a part of the graph."""
    from retroprop.estimators import MLPClassifier, steps

    def fitted():
        found = MLPClassifier((8,), dropout=0.4, random_state=np.random.RandomState(3), batch_size=20)
        for _ in range(4):
            found.partial_fit(*data(), classes=[0, 1, 2])
        return found

    expected, bound = fitted(), []

    def on_the_device(backend, *arguments, **options):
        bound.append(backend)
        return bind(CudaOnTheHost(), *arguments, **options)

    monkeypatch.setattr(steps, "bind", on_the_device)
    for one, other in zip(fitted().coefs_, expected.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-9)
    assert len(bound) == 1
