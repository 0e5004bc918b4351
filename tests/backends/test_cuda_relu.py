"""Products of float32 with bias, relu and sums of δ: where a plan has them, and that the training is the same."""

import logging

import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, HostRuntime
from test_cuda_captured import assert_same_training, trained

from retroprop.backends.cuda.rewrites.product_calls import ProductCall
from retroprop.backends.numpy_backend import NumpyBackend
from retroprop.core.operations import Operations

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
DEEP = (6, 8, 130, 8, 3)


@pytest.mark.parametrize("case", [
    {}, {"net_options": {"bias": False}}, {"net_options": {"l2": 0.01}}, {"shuffle": False},
    {"optimizer": "sgd"}, {"batch_size": None}, {"dtype": "float64"},
], ids=["plain", "without bias", "penalised", "in order", "sgd", "full batch", "float64"])  # fmt: skip
def test_the_training_is_the_same(case):
    backend = CudaOnTheHost(epilogues=True, choice=1)
    options = {"sizes": DEEP, "epochs": 2, "batch_size": 20} | case
    assert_same_training(trained(backend, **options), trained("numpy", **options), case.get("dtype", "float32"))
    log = backend.runtime.log
    if "net_options" in case and not case["net_options"].get("bias", True):
        assert log["relu_aux"] > 0
        assert log["drelu"] > 0
    else:
        assert log["relu_aux_bias"] > 0
        assert log["drelu_bgrad"] > 0


@pytest.mark.parametrize("options", [{"hidden": "tanh"}, {"dropout": 0.5}, {"hidden": "leaky_relu"}])
def test_what_is_no_epilogue_is_a_kernel(options):
    backend = CudaOnTheHost(epilogues=True, choice=1)
    found = trained(backend, sizes=DEEP, epochs=1, batch_size=20, net_options=options)
    assert_same_training(found, trained("numpy", sizes=DEEP, epochs=1, batch_size=20, net_options=options))
    assert not [kind for kind in backend.runtime.log if "drelu" in kind]


class ByHand:
    """Relu's own formulas, from outside."""

    needs_z = False

    def value(self, z, xp):
        return xp.maximum(z, 0.0)

    def derivative(self, z, a, xp):
        return xp.astype(a > 0.0, a.dtype)


def test_the_role_of_a_layer_decides_and_no_pattern():
    """The same graph, made by a function that is not the package's own relu, stays a product and a kernel."""
    backend = CudaOnTheHost(epilogues=True, choice=1)
    options = {"sizes": DEEP, "epochs": 1, "batch_size": 20}
    found = trained(backend, net_options={"hidden": ByHand()}, **options)
    assert_same_training(found, trained("numpy", **options))
    assert not [kind for kind in backend.runtime.log if "relu" in kind]
    assert backend.runtime.log["graph"] > 0


class Halved(Operations):
    """Every activation halved: an affine map that no epilogue computes."""

    def affine(self, layer, a, theta, bias, activation, *, keep_z):
        z, a = super().affine(layer, a, theta, bias, activation, keep_z=keep_z)
        return z, a * 0.5


class HalvedNumpy(NumpyBackend):
    def operations(self):
        return Halved(self.xp, self.device)


class HalvedCuda(CudaOnTheHost):
    operations = HalvedNumpy.operations


@pytest.mark.parametrize("hidden", ["relu", "gelu_tanh"])
def test_an_operation_that_a_backend_overrides_is_in_no_product(hidden, caplog):
    backend = HalvedCuda(epilogues=True, descends=True, choice=1)
    options = {
        "sizes": (6, 8, 16, 3),
        "epochs": 1,
        "batch_size": 20,
        "optimizer": "sgd",
        "net_options": {"hidden": hidden},
    }
    with caplog.at_level(logging.INFO, "retroprop"):
        found = trained(backend, **options)
    assert_same_training(found, trained(HalvedNumpy(), **options))
    assert caplog.text == "", "it is not tried"
    assert {kind for kind in backend.runtime.log if "elu" in kind} == set()
    assert backend.runtime.log["product update"] > 0, "the update is core's own"


def test_the_slower_way_is_not_taken():
    backend = CudaOnTheHost(epilogues=True, choice=0)
    assert_same_training(trained(backend, sizes=DEEP), trained("numpy", sizes=DEEP))
    log = backend.runtime.log
    assert log["relu_aux_bias"] == 2 * 3  # three layers, two batch sizes: each measured, beside two calls
    assert log["drelu_bgrad"] == 0  # there is no mask to read
    assert [one.kind for one in calls(backend)] == []


def calls(backend):
    return [one for one in backend.step._last.program.instructions if isinstance(one, ProductCall)]


def test_a_layer_may_have_one_on_the_way_forward_alone(monkeypatch):
    """Of two calls and one the faster is taken, call by call; of whole steps the one with both kinds of layers."""
    backend = CudaOnTheHost(epilogues=True, choice=1)
    whole = HostRuntime.fastest

    def fastest(self, ways):
        together = ways[1][0].kind if len(ways[0]) == 2 else ""
        return 0 if together.startswith("drelu") else whole(self, ways)

    monkeypatch.setattr(HostRuntime, "fastest", fastest)
    assert_same_training(trained(backend, sizes=DEEP), trained("numpy", sizes=DEEP))
    assert backend.runtime.log["relu_aux_bias"] > 0
    assert backend.runtime.log["drelu_bgrad"] == 0


@pytest.mark.parametrize("kind", ["relu_aux_bias", "drelu_bgrad"])
def test_an_epilogue_that_does_something_else_is_left_out_and_nothing_else(kind, caplog, monkeypatch):
    """Relu of cublasLt is tried against the product and a kernel, as everything is; what is not wrong stays."""
    whole = HostRuntime.finished

    def wrong(self, found, epilogue, dtype):
        finished = whole(self, found, epilogue, dtype)
        return finished * 1.01 if epilogue is not None and epilogue.kind == kind else finished

    monkeypatch.setattr(HostRuntime, "finished", wrong)
    options = {"sizes": DEEP, "batch_size": 20, "epochs": 2}
    with caplog.at_level(logging.WARNING, "retroprop"):
        backend = CudaOnTheHost(epilogues=True, choice=1)
        found = trained(backend, **options)
    assert_same_training(found, trained("numpy", **options))
    assert {record.getMessage() for record in caplog.records} == {
        "relu within products changed the results of a step, and is left out."
    }
    assert calls(backend) == []
    assert backend.runtime.log["graph"] > 0


def test_nothing_is_put_into_products_that_is_not_measured():
    backend = CudaOnTheHost(epilogues=True, choice=1, measures=False)
    assert_same_training(trained(backend, sizes=DEEP), trained("numpy", sizes=DEEP))
    assert set(backend.runtime.log) == {"copy", "kernel", "product", "graph"}


def test_nodes_are_saved():
    launched = {}
    for choice in (0, 1):
        backend = CudaOnTheHost(epilogues=True, choice=choice)
        trained(backend, sizes=(6, 8, 8, 3), epochs=1, batch_size=59, shuffle=False)
        launched[choice] = len(backend.step._last.program.launches)
    assert launched[0] - launched[1] == 4
