"""The runtime of the GPU over a CuPy and a cublasLt that are the host: what is called, in which order, with what."""

import gc
import importlib.util
import logging
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import array_api_compat
import cupy_on_the_host
import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, RoundedNumpy
from test_cuda_captured import assert_same_training, trained

import retroprop as rp
from gpu import own
from retroprop.backends import BackendUnavailableError, registry
from retroprop.backends.backend import PLAIN
from retroprop.backends.cuda import switches
from retroprop.backends.cuda.cuda_step import CudaStep
from retroprop.backends.cuda.launch_program import STEPS_OF_MANY_ROWS
from retroprop.backends.cuda.products.cublaslt import Heuristic
from retroprop.bench.workloads import draw, parse

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
FOLDER = Path(rp.__file__).parent / "backends" / "cuda"


@pytest.fixture
def made(monkeypatch):
    """Return a function that loads the runtime over a library of products."""

    def loaded(name):
        place = FOLDER.joinpath(*name.split(".")).with_suffix(".py")
        spec = importlib.util.spec_from_file_location(f"retroprop.backends.cuda.{name}", place)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    def make(library=None):
        monkeypatch.setitem(sys.modules, "cupy", cupy_on_the_host.module())
        products = loaded("products.cupy_products")
        library = cupy_on_the_host.Library() if library is None else library
        monkeypatch.setattr(products, "open_library", lambda major: (library, f"libcublasLt.so.{major}"))
        monkeypatch.setattr("retroprop.backends.cuda.products.cublaslt.declared", lambda library: library)
        module = loaded("cupy_runtime")
        monkeypatch.setattr(module, "REPEATS", 1)  # what is measured here is the host
        return module, library

    return make


class OverTheModule(CudaOnTheHost):
    """NumPy's backend with the steps of CuPy's, its arrays taken for the device's; products by tiles where asked."""

    def __init__(self, module, *, tiles=False, **options):
        super().__init__()
        self.module, self.tiles, self.options = module, tiles, options

    def check_demands(self, demands, dtype):
        """Take all."""

    def asarray(self, x, dtype=None, *, copy=None):
        return super().asarray(x, dtype, copy=copy).view(cupy_on_the_host.Array)

    def capture(self, step, *, donate=(), demands=PLAIN):
        self.runtime = self.module.CupyRuntime(precision=demands.precision, deterministic=demands.deterministic)
        self.runtime.tiles &= self.tiles
        self.step = CudaStep(step, self.operations(), donate, self.runtime)
        return self.step


SIZES = (6, 8, 130, 3)


PRECISIONS = {
    "highest": {}, "tf32": {"precision": "tf32"}, "deterministic": {"precision": "tf32", "deterministic": True},
    "bf16": {"precision": "bf16"},
}  # fmt: skip
TRAININGS = {
    "shuffled": {"batch_size": 12},
    "with dropout": {"batch_size": 12, "net_options": {"dropout": [0.0, 0.3]}},
    "in order, float64": {"batch_size": 12, "shuffle": False, "dtype": "float64"},
    "full batch": {"batch_size": None},
}
SHORT = {("highest", "with dropout"), ("tf32", "shuffled"), ("deterministic", "with dropout"), ("bf16", "shuffled")}


@pytest.mark.parametrize(
    ("own", "options"),
    [
        pytest.param(
            PRECISIONS[one],
            TRAININGS[other],
            id=f"{one}, {other}",
            marks=() if (one, other) in SHORT else pytest.mark.long,
        )
        for one in PRECISIONS
        for other in TRAININGS
    ],
)
def test_a_training_is_numpys(own, options, made, caplog):
    module, library = made()
    launched = cupy_on_the_host.Graph.launched
    options = {"sizes": SIZES, "epochs": 2} | options
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(OverTheModule(module), **options, **own)
    assert caplog.text == ""
    dtype = options.get("dtype", "float32")
    bf16 = own.get("precision") == "bf16"
    assert_same_training(found, trained(RoundedNumpy() if bf16 else "numpy", **options), dtype)
    assert cupy_on_the_host.Graph.launched > launched
    compute = {"highest": 68, "tf32": 77, "bf16": 68}[own.get("precision", "highest")]
    assert library.types[-1] == (70 if dtype == "float64" else compute)


@pytest.mark.parametrize(("own", "bias", "kinds"), [
    pytest.param({}, True, {1}, marks=pytest.mark.long), ({"precision": "tf32"}, False, {1, 2}),
    ({"precision": "bf16"}, True, {1, 6}),
], ids=["highest", "tf32", "bf16"])  # fmt: skip
def test_a_training_with_relu_in_its_products_is_numpys(own, bias, kinds, made, caplog, monkeypatch):
    """The later of two ways is taken for the faster."""
    module, library = made()
    monkeypatch.setattr(module.CupyRuntime, "fastest", lambda self, ways: len(ways) - 1)
    options = {"sizes": (6, 8, 16, 3), "epochs": 2, "batch_size": 12, "net_options": {"bias": bias}}
    backend = OverTheModule(module)
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(backend, **options, **own)
    assert caplog.text == ""
    expected = RoundedNumpy(within=True) if own.get("precision") == "bf16" else "numpy"
    assert_same_training(found, trained(expected, **options))
    assert {what["attributes"][7] for what in library.made.values() if "attributes" in what} == kinds


def test_each_part_can_be_switched_off(made, monkeypatch):
    for listed, graphs in (
        ("graph", False),
        ("lt", False),
        ("epilogue", True),
        ("tiles", True),
        ("autotune", True),
        ("", True),
    ):
        monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, listed)
        module, _ = made()
        backend = OverTheModule(module)
        launched = cupy_on_the_host.Graph.launched
        precision = "highest" if listed == "lt" else "tf32"
        found = trained(backend, sizes=SIZES, epochs=1, batch_size=20, precision=precision)
        assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
        assert backend.runtime.graphs == graphs
        assert (cupy_on_the_host.Graph.launched > launched) == graphs
        said = module.products_here(0).report
        assert said == ("cupy.matmul, not cublasLt (RETROPROP_DISABLE says so)" if listed == "lt"
                        else "cublasLt 13.0.1 (libcublasLt.so.13)")  # fmt: skip


def test_epilogues_that_are_not_available_are_left_out(made, caplog):
    module, _ = made(cupy_on_the_host.Library(without=(6,)))
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(OverTheModule(module), sizes=SIZES, epochs=1, batch_size=20, precision="tf32")
    assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
    assert "a product and its loop are not one launch: cublasLt has no algorithm" in caplog.text


def test_a_library_that_computes_wrong_is_not_used(made, caplog):
    class Wrong(cupy_on_the_host.Library):
        def finished(self, found, attributes, dtype):
            return found * 1.01

    module, _ = made(Wrong())
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(OverTheModule(module), sizes=SIZES, epochs=1, batch_size=20)
    assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
    assert "a product of float32, transposed (False, False), is off by 0.01" in caplog.text


def test_what_waits_within_a_step_ends_the_capture_and_not_the_training(made, caplog, monkeypatch):
    module, _ = made()
    backend = OverTheModule(module)

    def waits(self, first, second, result, epilogue=None, whole=module.CupyRuntime.product, **options):
        launch = whole(self, first, second, result, epilogue, **options)
        return lambda: (launch(), cupy_on_the_host.asnumpy(result))

    monkeypatch.setattr(module.CupyRuntime, "product", waits)
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(backend, sizes=SIZES, epochs=1, batch_size=20)
    assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
    assert "synchronous API calls are disallowed" in caplog.text
    assert gc.isenabled()


def test_what_was_measured_is_not_measured_again(made, monkeypatch):
    """As long as the process lives; algorithms that cublasLt did not offer then are measured anew."""
    module, _ = made()
    module.products_here(0)  # the check of the library's results, before anything is replaced
    measured, offered, called = [], [3, 1, 2], []
    monkeypatch.setattr(module.PreparedProduct, "_heuristic", lambda call: [heuristic(number) for number in offered])
    monkeypatch.setattr(
        module.PreparedProduct,
        "with_algorithm",
        lambda call, number: lambda stream, one=offered[number]: called.append(one),
    )
    monkeypatch.setattr(module.CupyRuntime, "_window", lambda self, graph: measured.append(1) or 1.0 / offered[-1])

    def product(shape=(2, 3)):
        del measured[:]
        x, result = (cupy_on_the_host.empty(m * n, "float64").reshape(m, n) for m, n in (shape, (shape[0], shape[0])))
        module.CupyRuntime().product(x, x.T, result)()
        return len(measured) / (1 + module.WINDOWS), called[-1]

    assert product() == (3, 3)  # all alike: the first
    offered[:] = [2, 3, 4]
    assert product() == (0, 3)
    assert product((4, 5)) == (3, 2)
    assert product() == (0, 3)
    offered[:] = [5, 6]
    assert product() == (2, 5)
    assert product() == (0, 5)


def test_the_shortest_of_alternating_windows_counts_and_none_that_fails(made, monkeypatch, caplog):
    module, _ = made()
    runtime, order = module.CupyRuntime(), []
    # The first window of each warms up; one of the slower candidate is disturbed by nothing, all others are.
    seconds = {"a": [0.0, 9.0, 3.0, 8.0], "b": [0.0, 7.0, 7.0, 2.0], "c": [0.0, 1.0]}

    def window(self, graph):
        order.append(graph())
        if not seconds[order[-1]]:
            raise RuntimeError("no more")
        return seconds[order[-1]].pop(0)

    monkeypatch.setattr(module.CupyRuntime, "_window", window)
    graphs = [lambda: "a", lambda: "b", None, lambda: "c"]
    with caplog.at_level(logging.INFO, "retroprop"):
        assert runtime._timed(graphs) == [3.0, 2.0, np.inf, np.inf]
    assert "".join(order) == "abcabcabcab"
    assert "left out of a timing: RuntimeError: no more" in caplog.text

    def fails():
        raise RuntimeError("not this one")

    monkeypatch.undo()
    assert runtime.fastest([[fails], [lambda: None]]) == 1


def test_a_timing_of_two_programs_stays_within_the_steps_that_are_prepared(made, monkeypatch):
    """Each step that is timed takes the next rows: beyond the last there is no memory of theirs."""
    module, _ = made()
    monkeypatch.undo()
    assert 2 * (1 + module.REPEATS * (1 + module.WINDOWS)) <= STEPS_OF_MANY_ROWS


def heuristic(number):
    found = Heuristic()
    found.algorithm.data[0] = number
    return found


@pytest.mark.parametrize(("precision", "real"), [("tf32", 0), ("bf16", 14)])
def test_the_benchmarks_floor_has_the_operands_of_a_step(precision, real, made):
    module, library = made()
    problem = draw(parse("6-5-3@4"))
    module.products_here(0), module.rounds_here(0)
    known = len(library.made)
    contestant = own.products(OverTheModule(module), problem, precision)
    contestant.call()
    layouts = [what for key, what in library.made.items() if key > known and "real" in what]
    assert [layout["real"] for layout in layouts] == [real, real, 0] * len(problem.workload.products)


def test_what_was_described_to_the_library_is_given_back(made):
    module, library = made()
    before = library.alive
    trained(OverTheModule(module), sizes=SIZES, epochs=1, batch_size=20)
    gc.collect()
    assert library.alive == before + 1  # the handle
    runtime = module.CupyRuntime()
    x = cupy_on_the_host.array(np.ones((2, 3)))
    assert runtime.distance(x) == 6.0
    assert runtime.distance(x, x + 0.5) == 3.0
    assert runtime.distance(x * np.nan, x * np.nan) == 0.0
    assert np.isnan(runtime.distance(x, x * np.nan))
    assert runtime.distance(cupy_on_the_host.array([1, 2, 3]), cupy_on_the_host.array([1, 5, 7])) == 2.0
    assert runtime.distance(x[:0], x[:0]) == 0.0


def test_without_cublaslt_products_are_cupys_and_precision_that_rounds_is_not_available(made, monkeypatch, caplog):
    monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, "lt")
    module, _ = made()
    assert not module.CupyRuntime(deterministic=True).graphs
    with caplog.at_level(logging.WARNING, "retroprop"):  # such a step runs as it is written
        found = trained(OverTheModule(module), sizes=SIZES, epochs=1, batch_size=20, precision="tf32")
    assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
    assert "precision 'tf32' needs cublasLt, which is not used here" in caplog.text


@pytest.fixture
def registered(made, monkeypatch):
    """Return a function that puts CuPy's backend, over a CuPy that is the host, where the registry finds it."""

    def put(compiles=True, devices=2):
        made()
        cupy, cupyx, compat = sys.modules["cupy"], ModuleType("cupyx"), ModuleType("array_api_compat.cupy")
        for module in (cupy, cupyx, compat):
            module.__spec__ = ModuleSpec(module.__name__, None)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(array_api_compat, "cupy", compat, raising=False)
        cupy.cuda.runtime.getDeviceCount = lambda: devices
        monkeypatch.delitem(sys.modules, "retroprop.backends.cupy_backend", raising=False)
        monkeypatch.setattr(registry, "_cuda_driver_answers", lambda: True)
        if not compiles:
            monkeypatch.setattr(cupy_on_the_host.RawKernel, "compile", self_fails)

    def self_fails(self):
        raise RuntimeError("Failed to find CUDA headers.\nPlease install them.")

    registry._named.cache_clear()
    yield put
    registry._named.cache_clear()
    monkeypatch.undo()
    sys.modules.pop("retroprop.backends.cupy_backend", None)


def test_a_cupy_that_compiles_is_chosen(registered):
    registered()
    assert (rp.get_backend("auto").name, rp.get_backend("cupy:1").device.id) == ("cupy", 1)
    info = next(info for info in rp.list_backends() if info.name == "cupy")
    assert (info.version, info.devices, info.available) == ("14.2.0", ("0", "1"), True)


def test_a_cupy_that_cannot_compile_is_not_chosen_and_it_says_why(registered):
    registered(compiles=False)
    assert not rp.get_backend("auto").name.startswith("cupy")
    info = next(info for info in rp.list_backends() if info.name == "cupy")
    assert (info.version, info.available) == ("14.2.0", False)
    assert "cannot compile a kernel for it (RuntimeError: Failed to find CUDA headers)" in info.reason
    assert "pip install 'retroprop[cuda13]'" in info.reason
    with pytest.raises(BackendUnavailableError, match="cannot compile a kernel"):
        rp.get_backend("cupy")


def test_operands_in_bfloat16_that_a_library_does_not_take_are_rounded_by_it(made, caplog):
    """As on an older GPU: checked once, and logged once."""

    class Older(cupy_on_the_host.Library):
        def cublasLtMatmulAlgoGetHeuristic(self, handle, description, a, *rest):  # noqa: N802  cublasLt's name
            super().cublasLtMatmulAlgoGetHeuristic(handle, description, a, *rest)
            rest[-1]._obj.value *= self.made[a.value]["real"] != 14
            return 0

    module, library = made(Older())
    options = {"sizes": SIZES, "epochs": 1, "batch_size": 20}
    with caplog.at_level(logging.INFO, "retroprop"):
        for _ in range(2):
            found = trained(OverTheModule(module), precision="bf16", **options)
    assert_same_training(found, trained("numpy", **options))
    assert library.types[-1] == 75  # CUBLAS_COMPUTE_32F_FAST_16BF
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "round float32 by themselves: in bfloat16, CublasLtError: cublasLt has no algorithm" in messages[0]
