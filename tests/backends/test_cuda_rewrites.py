"""More in a product: the update of SGD, gelu. Where a plan has them, the training is the same."""

import logging

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, HostRuntime
from test_cuda_captured import assert_same_training, trained

import retroprop as rp

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
SIZES = (6, 8, 16, 3)


def forked_and_rewritten(ways):
    """Choose products beside others, relu's epilogue, and of two programs the second."""
    if len(ways[0]) == 2:
        return 1
    programs = {way[0].__self__.program for way in ways}
    return len(programs) - 1


def compared(options, *, epilogues=False, descends=False, choice=1):
    """Train both ways, and return what was launched."""
    options = {"sizes": SIZES, "epochs": 2, "batch_size": 20} | options
    backend = CudaOnTheHost(epilogues=epilogues, descends=descends, choice=choice)
    assert_same_training(trained(backend, **options), trained("numpy", **options), options.get("dtype", "float32"))
    return backend


def kinds(backend):
    """Return the kinds of products of the last step's program, in order."""
    return [getattr(one, "kind", "none") for one in backend.step._last.program.instructions if one.loop is None]


SCHEDULED = rp.optimizers.SGD(rp.schedules.Exponential(0.5, decay=0.9))


@pytest.mark.parametrize("choice", [1, forked_and_rewritten], ids=["in order", "forked"])
@pytest.mark.parametrize("options", [
    {"optimizer": rp.optimizers.SGD(0.1)}, {"optimizer": SCHEDULED}, {"optimizer": SCHEDULED, "shuffle": False},
    {"optimizer": "sgd", "net_options": {"bias": False}}, {"optimizer": "sgd", "dtype": "float64"},
    {"optimizer": "sgd", "net_options": {"hidden": "tanh"}},
    {"optimizer": "sgd", "batch_size": None, "epochs": 5}, {"optimizer": "sgd", "sizes": (6, 3)},
    {"optimizer": "sgd", "sizes": (6, 8, 8, 8, 8, 3)}, {"optimizer": SCHEDULED, "batch_size": 1, "epochs": 1},
], ids=["constant", "schedule", "in order", "without bias", "float64", "tanh", "full batch", "one layer",
        "deep", "many steps"])  # fmt: skip
def test_a_training_whose_products_are_the_update_is_numpys(options, choice):
    backend = compared(options, descends=True, choice=choice)
    etas = [one for one in backend.step._last.program.instructions if getattr(one, "eta", None) is not None]
    n_thetas = len(options.get("sizes", SIZES)) - 1
    assert len(etas) == n_thetas + options.get("net_options", {}).get("bias", True)
    assert backend.runtime.log["product update"] > 0


@pytest.mark.parametrize("options", [
    {"optimizer": "adam"}, {"optimizer": rp.optimizers.SGD(0.1, momentum=0.9)}, {"optimizer": "sgd", "clip_norm": 0.5},
    {"optimizer": "sgd", "clip_value": 0.01}, {"optimizer": "sgd", "net_options": {"l2": 0.01}},
    {"optimizer": "sgd", "net_options": {"l1": 0.01}},
], ids=["adam", "momentum", "norm", "value", "l2", "l1"])  # fmt: skip
def test_another_update_is_left_as_it_is(options):
    assert compared(options, descends=True).runtime.log["product update"] == 0


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"hidden": "gelu_tanh"}, {"l2": [0.0, 0.01, 0.0]}],
                         ids=["dropout", "gelu", "one penalty"])  # fmt: skip
def test_where_not_every_product_can_be_the_update_others_are(options):
    """Of the later layers δ lies where a did, or there is a penalty: their parameters follow in a kernel."""
    backend = compared({"optimizer": SCHEDULED, "net_options": options}, descends=True)
    products = [one for one in backend.step._last.program.instructions if getattr(one, "result", None) is not None]
    assert len(products) == 2  # of three
    assert products[-1].result.shape == (8, 6)


def test_everything_that_reads_a_theta_runs_before_its_update():
    backend = compared({"optimizer": "sgd"}, descends=True)
    instructions = backend.step._last.program.instructions
    updated = [k for k, one in enumerate(instructions) if getattr(one, "result", None) is not None]
    assert len(updated) == 3
    for place in updated:
        theta = instructions[place].result
        assert not [one for one in instructions[place + 1 :] if any(o.index == theta.index for o in one.reads)]


@pytest.mark.parametrize("options", [
    {}, {"optimizer": "sgd"}, {"net_options": {"bias": False}}, {"net_options": {"l2": 0.01}}, {"dtype": "float64"},
], ids=["adam", "sgd", "without bias", "penalised", "float64"])  # fmt: skip
def test_gelu_is_in_the_products(options):
    options = options | {"net_options": options.get("net_options", {}) | {"hidden": "gelu_tanh"}}
    found = kinds(compared(options, epilogues=True))
    bias = options["net_options"].get("bias", True)
    assert found.count("gelu_aux_bias" if bias else "gelu_aux") == 2
    assert found.count("dgelu_bgrad" if bias else "dgelu") == 2


@pytest.mark.parametrize("options", [
    {"net_options": {"hidden": "gelu"}}, {"net_options": {"hidden": "silu"}},
    {"net_options": {"hidden": "gelu_tanh", "dropout": 0.3}},
    {"sizes": (6, 7, 9, 3), "net_options": {"hidden": "gelu_tanh"}},
], ids=["exact", "silu", "dropout", "rows that are no multiple"])  # fmt: skip
def test_what_is_no_gelu_of_cublaslt_is_a_kernel(options):
    assert not [kind for kind in kinds(compared(options, epilogues=True)) if "gelu" in kind]


def test_all_at_once():
    options = {"optimizer": "sgd", "net_options": {"hidden": ["gelu_tanh", "relu"]}}
    log = compared(options, epilogues=True, descends=True, choice=forked_and_rewritten).runtime.log
    assert log["gelu_aux_bias"] > 0
    assert log["product update"] > 0


def test_the_slower_way_is_not_taken():
    backend = compared({"optimizer": "sgd"}, epilogues=True, descends=True, choice=0)
    assert backend.runtime.log["product update"] > 0  # measured
    assert set(kinds(backend)) == {"none"}


def test_what_does_something_else_is_left_out(caplog, monkeypatch):
    whole = HostRuntime.product

    def wrong(self, first, second, result, epilogue=None, *, factors=None, concurrent=False):
        factors = None if factors is None else np.array([-1.0, 1.0], factors.dtype)
        return whole(self, first, second, result, epilogue, factors=factors, concurrent=concurrent)

    monkeypatch.setattr(HostRuntime, "product", wrong)
    with caplog.at_level(logging.WARNING, "retroprop"):
        backend = compared({"optimizer": "sgd"}, descends=True)
    assert "the update within products changed the results of a step" in caplog.text
    assert set(kinds(backend)) == {"none"}
    assert backend.runtime.log["graph"] > 0


def test_an_update_that_is_not_available_is_left_out(caplog, monkeypatch):
    whole = HostRuntime.product

    def refused(self, first, second, result, epilogue=None, *, factors=None, concurrent=False):
        if factors is not None:
            raise RuntimeError("no factors on this device")
        return whole(self, first, second, result, epilogue, concurrent=concurrent)

    monkeypatch.setattr(HostRuntime, "product", refused)
    with caplog.at_level(logging.INFO, "retroprop"):
        compared({"optimizer": "sgd"}, descends=True)
    assert "the update within products is left out: RuntimeError: no factors on this device" in caplog.text
