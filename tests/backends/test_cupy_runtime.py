"""The runtime of the GPU over a CuPy and a cublasLt that are the host: what is called, in which order, with what."""

import gc
import importlib.util
import logging
import sys
from pathlib import Path

import cupy_on_the_host
import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost
from test_cuda_captured import assert_same_training, trained

import retroprop as rp
from retroprop.backends import Backend
from retroprop.backends.backend import PLAIN
from retroprop.backends.cuda import switches, tuning
from retroprop.backends.cuda.captured import CudaStep
from retroprop.backends.cuda.cublaslt import Heuristic

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
PATH = Path(rp.__file__).parent / "backends" / "cuda" / "cupy_runtime.py"


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Return what makes the module over a library of products."""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tuning, "_known", {})

    def make(library=None):
        monkeypatch.setitem(sys.modules, "cupy", cupy_on_the_host.module())
        spec = importlib.util.spec_from_file_location("runtime_on_the_host", PATH)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        library = cupy_on_the_host.Library() if library is None else library
        monkeypatch.setattr(module, "open_library", lambda major: (library, f"libcublasLt.so.{major}"))
        monkeypatch.setattr("retroprop.backends.cuda.cublaslt.declared", lambda library: library)
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
    pytest.param({"batch_size": 12, "shuffle": False, "dtype": "float64"}, marks=pytest.mark.long),
    pytest.param({"batch_size": None}, marks=pytest.mark.long),
], ids=["shuffled", "in order, float64", "full batch"])  # fmt: skip
def test_a_training_is_numpys(own, options, made, caplog):
    module, library = made()
    launched = cupy_on_the_host.Graph.launched
    options = {"sizes": SIZES, "epochs": 2} | options
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(OverTheModule(module), **options, **own)
    assert caplog.text == ""
    dtype = options.get("dtype", "float32")
    assert_same_training(found, trained("numpy", **options), dtype)
    assert cupy_on_the_host.Graph.launched > launched
    compute = {"highest": 68, "tf32": 77, "bf16": 75}[own.get("precision", "highest")]
    assert library.types[-1] == (70 if dtype == "float64" else compute)


@pytest.mark.parametrize("own", [{}, {"precision": "tf32"}], ids=["highest", "tf32"])
def test_a_training_with_more_in_its_products_is_numpys(own, made, caplog, monkeypatch):
    """The later of two ways is taken for the faster: gelu, the last sums of δ and the update are in the products."""
    module, library = made()
    monkeypatch.setattr(module.CupyRuntime, "fastest", lambda self, ways: len(ways) - 1)
    rate = rp.optimizers.SGD(rp.schedules.Exponential(0.5, decay=0.9))
    options = {
        "sizes": (6, 8, 16, 3),
        "epochs": 2,
        "batch_size": 12,
        "optimizer": rate,
        "net_options": {"hidden": "gelu_tanh"},
    }
    backend = OverTheModule(module)
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(backend, **options, **own)
    assert caplog.text == ""
    assert_same_training(found, trained("numpy", **options))
    described = [what["attributes"] for what in library.made.values() if "scale" in what]
    assert [1 for attributes in described if attributes.get(2) == 1]
    assert {attributes.get(7, 1) for attributes in described} == ({1, 164, 208, 512} if own else {1})


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
        said = module.products_here(0)[1]
        assert said == ("cupy.matmul (RETROPROP_DISABLE says so)" if listed == "lt" else
                        "cublasLt 13.0.1 (libcublasLt.so.13)")  # fmt: skip


def test_epilogues_that_are_not_to_be_had_are_left_out(made, caplog):
    module, _ = made(cupy_on_the_host.Library(without=(134, 152)))
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(OverTheModule(module), sizes=SIZES, epochs=1, batch_size=20, precision="tf32")
    assert_same_training(found, trained("numpy", sizes=SIZES, epochs=1, batch_size=20))
    assert "a product is followed by a kernel: cublasLt has no algorithm" in caplog.text


def test_a_library_that_computes_wrong_is_not_used(made, caplog):
    class Wrong(cupy_on_the_host.Library):
        def finished(self, found, attributes):
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
    monkeypatch.setattr(module.Call, "_heuristic", lambda call: [heuristic(number) for number in offered])
    monkeypatch.setattr(module.Call, "choose", lambda call, number: chosen.append(offered[number]))
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
