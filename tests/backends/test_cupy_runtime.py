"""The runtime of the GPU over a CuPy and a cublasLt that are the host: what is called, in which order, with what."""

import gc
import importlib.util
import inspect
import logging
import re
import sys
from pathlib import Path

import cupy_on_the_host
import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, RoundedNumpy
from test_cuda_captured import assert_same_training, trained

import retroprop as rp
from gpu import own
from retroprop.backends import Backend
from retroprop.backends.backend import PLAIN
from retroprop.backends.cuda import switches, tuning
from retroprop.backends.cuda.cuda_step import CudaStep
from retroprop.backends.cuda.products.cublaslt import Heuristic
from retroprop.bench.workloads import draw, parse

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
FOLDER = Path(rp.__file__).parent / "backends" / "cuda"


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Return what makes the module over a library of products."""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tuning, "_known", {})

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
    """NumPy's backend with the steps of CuPy's, its arrays taken for the device's."""

    def __init__(self, module, **options):
        super().__init__()
        self.module, self.options = module, options

    def check_demands(self, demands, dtype):
        """Take all."""

    def asarray(self, x, dtype=None, *, copy=None):
        return super().asarray(x, dtype, copy=copy).view(cupy_on_the_host.Array)

    def capture(self, step, *, donate=(), demands=PLAIN):
        self.runtime = self.module.CupyRuntime(precision=demands.precision, deterministic=demands.deterministic)
        self.step = CudaStep(step, Backend.capture(self, step), donate, self.runtime)
        return self.step


SIZES = (6, 8, 130, 3)


@pytest.mark.parametrize("own", [
    {}, {"precision": "tf32"}, {"precision": "tf32", "deterministic": True}, {"precision": "bf16"},
], ids=["highest", "tf32", "deterministic", "bf16"])  # fmt: skip
@pytest.mark.parametrize("options", [
    {"batch_size": 12},
    {"batch_size": 12, "net_options": {"dropout": [0.0, 0.3]}},
    pytest.param({"batch_size": 12, "shuffle": False, "dtype": "float64"}, marks=pytest.mark.long),
    pytest.param({"batch_size": None}, marks=pytest.mark.long),
], ids=["shuffled", "with dropout", "in order, float64", "full batch"])  # fmt: skip
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


@pytest.mark.parametrize(("own", "hidden", "kinds"), [
    ({}, "gelu_tanh", {1}), ({"precision": "tf32"}, "gelu_tanh", {1, 164, 208, 512}),
    ({"precision": "bf16"}, "gelu_tanh", {1, 512}), ({"precision": "bf16"}, "relu", {1, 134, 136, 512}),
], ids=["highest", "tf32", "bf16", "bf16, relu"])  # fmt: skip
def test_a_training_with_more_in_its_products_is_numpys(own, hidden, kinds, made, caplog, monkeypatch):
    """The later of two ways is taken for the faster: f, the sums of δ and the update are in the products."""
    module, library = made()
    monkeypatch.setattr(module.CupyRuntime, "fastest", lambda self, ways: len(ways) - 1)
    rate = rp.optimizers.SGD(rp.schedules.Exponential(0.5, decay=0.9))
    options = {
        "sizes": (6, 8, 16, 3),
        "epochs": 2,
        "batch_size": 12,
        "optimizer": rate,
        "net_options": {"hidden": hidden},
    }
    backend = OverTheModule(module)
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(backend, **options, **own)
    assert caplog.text == ""
    expected = RoundedNumpy(within=True) if own.get("precision") == "bf16" else "numpy"
    assert_same_training(found, trained(expected, **options))
    described = [what["attributes"] for what in library.made.values() if "scale" in what]
    assert [1 for attributes in described if attributes.get(2) == 1]
    assert {attributes.get(7, 1) for attributes in described} == kinds


def test_each_part_can_be_switched_off(made, monkeypatch):
    for listed, graphs in (
        ("graph", False),
        ("lt", False),
        ("epilogue", True),
        ("autotune", True),
        ("fork", True),
        ("update", True),
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
        said = module.products_here(0).said
        assert said.startswith("cupy.matmul, not cublasLt (RETROPROP_DISABLE says so) nor cuTENSOR (" if listed == "lt"
                               else "cublasLt 13.0.1 (libcublasLt.so.13)")  # fmt: skip


def test_epilogues_that_are_not_to_be_had_are_left_out(made, caplog):
    module, _ = made(cupy_on_the_host.Library(without=(134, 152)))
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(OverTheModule(module), sizes=SIZES, epochs=1, batch_size=20, precision="tf32")
    assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
    assert "a product is followed by a kernel: cublasLt has no algorithm" in caplog.text


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


def test_what_was_measured_is_not_measured_again(made, monkeypatch, tmp_path):
    """The next process finds it in the cache; what cublasLt no longer offers is measured anew."""
    module, _ = made()
    measured, offered, chosen = [], [3, 1, 2], []
    monkeypatch.setattr(module.PreparedProduct, "_heuristic", lambda call: [heuristic(number) for number in offered])
    monkeypatch.setattr(module.PreparedProduct, "choose", lambda call, number: chosen.append(offered[number]))
    monkeypatch.setattr(module.CupyRuntime, "_seconds", lambda self, ways: measured.append(1) or 1.0 / offered[-1])

    def product(shape=(2, 3)):
        del measured[:], chosen[:]
        monkeypatch.setattr(tuning, "_known", {})  # as a new process has it
        x, result = (
            cupy_on_the_host.empty(8 * m * n, "uint8").view("float64").reshape(m, n)
            for m, n in (shape, (shape[0], shape[0]))
        )
        module.CupyRuntime().product(x, x.T, result)
        return len(measured), chosen[-1]

    assert product() == (3, 3)  # all alike: the first
    offered[:] = [2, 3, 4]
    assert product() == (0, 3)
    assert product((4, 5)) == (3, 2)
    assert product() == (0, 3)
    offered[:] = [5, 6]
    assert product() == (2, 5)
    assert product() == (0, 5)
    for path in (tmp_path / "retroprop" / "products").iterdir():
        path.write_text("{")
    assert product() == (2, 5)


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


@pytest.fixture
def with_cutensor(monkeypatch):
    """Put cuTENSOR in its place, and take cublasLt away."""
    monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, "lt")

    def put(**options):
        for name, module in cupy_on_the_host.cutensor(**options).items():
            monkeypatch.setitem(sys.modules, name, module)

    return put


@pytest.mark.parametrize("options", [{}, {"precision": "tf32"}, {"precision": "bf16"}, {"dtype": "float64"}],
                         ids=["highest", "tf32", "bf16", "float64"])  # fmt: skip
def test_without_cublaslt_products_are_contractions_and_steps_graphs(options, made, with_cutensor, caplog):
    with_cutensor()
    module, _ = made()
    launched = cupy_on_the_host.Graph.launched
    options = {"sizes": SIZES, "epochs": 1, "batch_size": 20} | options
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(OverTheModule(module), **options)
    assert caplog.text == ""
    precision, dtype = options.pop("precision", "highest"), options.get("dtype", "float32")
    assert_same_training(found, trained("numpy", **options), dtype)
    assert cupy_on_the_host.Graph.launched > launched
    assert cupy_on_the_host.CONTRACTED[-1] == {"highest": 0, "tf32": 4096, "bf16": 1024}[precision]
    assert module.products_here(0).said == "cuTENSOR 2.3.1, not cublasLt (RETROPROP_DISABLE says so)"


@pytest.mark.parametrize(("way", "reason"), [
    ("off", "RETROPROP_DISABLE says so"), ("not here", "no contraction on this device"), ("wrong", "is off by"),
])  # fmt: skip
def test_without_both_products_are_cupys_and_it_says_why(way, reason, made, with_cutensor, monkeypatch):
    with_cutensor(available=way != "not here")
    if way == "off":
        monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, "lt,cutensor")
    if way == "wrong":
        wrong = lambda alpha, *rest, whole=cupy_on_the_host.contraction, **options: whole(2.0, *rest, **options)  # noqa: E731
        monkeypatch.setattr(sys.modules["cupyx.cutensor"], "contraction", wrong)
    module, _ = made()
    backend = OverTheModule(module)
    found = trained(backend, sizes=SIZES, epochs=1, batch_size=20)
    assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
    assert not backend.runtime.graphs
    said = module.products_here(0).said
    assert said.startswith("cupy.matmul, not cublasLt (RETROPROP_DISABLE says so) nor cuTENSOR (")
    assert reason in said


def test_contractions_are_not_taken_where_bits_must_be_the_same(made, with_cutensor):
    with_cutensor()
    module, _ = made()
    assert module.CupyRuntime().graphs
    assert not module.CupyRuntime(deterministic=True).graphs


def test_cupys_contraction_takes_what_the_tests_own_takes():
    """Its signature stands in the compiled module, which cannot be loaded without cuTENSOR."""
    spec = importlib.util.find_spec("cupyx")
    if spec is None:
        pytest.skip("CuPy is not installed")
    compiled = next(Path(spec.submodule_search_locations[0]).glob("_cutensor*"))
    text = re.search(rb"[^_a-z]contraction\((alpha, [^\n\0]*)\)", compiled.read_bytes()).group(1).decode()
    names = [argument.partition("=")[0].split()[-1] for argument in text.split(", ")]
    assert names == list(inspect.signature(cupy_on_the_host.contraction).parameters)


def test_operands_in_bfloat16_that_a_library_does_not_take_are_rounded_by_it(made, caplog):
    """As on an older GPU: looked at once, and said once."""

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
