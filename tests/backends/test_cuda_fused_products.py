"""Products with the loops behind them: relu in cublasLt, tiles in generated kernels. The training is the same."""

import logging
from itertools import pairwise

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, HostRuntime, RoundedNumpy, planned
from test_cuda_captured import assert_same_training, trained

import retroprop as rp
from retroprop.backends.cuda import ways
from retroprop.backends.cuda.kernels import loop_source
from retroprop.backends.cuda.kernels.tile_product import LINE, MOST_TERMS, is_small
from retroprop.backends.cuda.rewrites.fused_products import with_sums, with_tiles
from retroprop.backends.cuda.rewrites.product_calls import Choice, ProductCall
from retroprop.backends.numpy_backend import NumpyBackend
from retroprop.backends.record.graph import NotTraceableError
from retroprop.backends.record.recorder import form_of, record
from retroprop.core.operations import Operations

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
SIZES = (6, 17, 9, 3)
OPTIONS = {"sizes": SIZES, "epochs": 3, "batch_size": 59}


def last(given):
    return len(given) - 1


def kinds(backend):
    """Return how each product of the last program is computed: by a call, by tiles alone or with the loop behind it."""
    found = []
    for one in backend.step._last.program.instructions:
        for part in one.ways[one.taken] if isinstance(one, Choice) else (one,):
            ops = [node.op for node in part.nodes]
            if isinstance(part, ProductCall):
                found.append(part.kind)
            elif "matmul" in ops and part.loop is None:
                found.append("none")
            elif "matmul" in ops:
                others = [n for n in part.nodes if n.op != "matmul" and part.loop.kinds[n.index] != LINE]
                found.append("fused" if others else "tile")
    return found


def sums(backend):
    """Return how many sums of δ are taken with ∂J/∂Θ."""
    found = [one.loop for one in backend.step._last.program.instructions if one.loop is not None]
    return sum(kind == LINE for loop in found for kind in loop.kinds.values())


TILED = {
    "float32": {}, "tf32": {"precision": "tf32"}, "float64": {"dtype": "float64"}, "two forms": {"batch_size": 20},
    "sgd": {"optimizer": rp.optimizers.SGD(0.1)}, "full batch": {"batch_size": None},
    "without bias": {"net_options": {"bias": False}}, "dropout": {"net_options": {"dropout": 0.3}},
    "dropout, tf32": {"net_options": {"dropout": [0.0, 0.3]}, "precision": "tf32"},
    "penalised": {"net_options": {"l2": 0.01, "l1": 0.001}}, "tanh": {"net_options": {"hidden": "tanh"}},
    "gelu": {"net_options": {"hidden": "gelu"}}, "leaky relu": {"net_options": {"hidden": "leaky_relu"}},
    "one layer": {"sizes": (6, 3)}, "one column": {"sizes": (6, 1, 16, 3)},
}  # fmt: skip


@pytest.mark.parametrize("case", list(TILED))
def test_a_training_by_tiles_is_numpys(case):
    """Every layer is one kernel forward, the last with its cost and δ, and one back; ∂J/∂Θ comes with ∂J/∂b."""
    options = OPTIONS | TILED[case]
    precision = options.pop("precision", "highest")
    backend = CudaOnTheHost(tiles=True, choice=last, precision=precision)
    reference = RoundedNumpy(precision="tf32") if precision == "tf32" else "numpy"
    assert_same_training(trained(backend, **options), trained(reference, **options), options.get("dtype", "float32"))
    n = len(options["sizes"]) - 1
    # A penalty is added to each ∂J/∂Θ; the penalties themselves come between the last product and its loop.
    alone = 1 if case == "penalised" else n
    assert sorted(kinds(backend)) == ["fused"] * (3 * n - 1 - alone) + ["tile"] * alone
    assert sums(backend) == (n if options.get("net_options", {}).get("bias", True) else 0)
    assert backend.runtime.log["graph"] > 0


def test_a_row_of_softmax_longer_than_a_tile_is_a_loop_of_its_own():
    found = {}
    for n in (16, 17):
        backend, options = CudaOnTheHost(tiles=True, choice=last), OPTIONS | {"sizes": (6, 8, n), "epochs": 1}
        assert_same_training(trained(backend, **options), trained("numpy", **options))
        found[n] = kinds(backend)
    assert [found[n].count("fused") for n in (16, 17)] == [3, 2]
    assert found[17].count("tile") == found[16].count("tile") + 1


@pytest.mark.parametrize("case", [
    {}, {"net_options": {"bias": False}}, {"net_options": {"l2": 0.01}}, {"shuffle": False}, {"dtype": "float64"},
], ids=["plain", "without bias", "penalised", "in order", "float64"])  # fmt: skip
def test_relu_is_in_the_products(case):
    backend, options = CudaOnTheHost(epilogues=True, choice=last), OPTIONS | case
    assert_same_training(trained(backend, **options), trained("numpy", **options), case.get("dtype", "float32"))
    bias = options.get("net_options", {}).get("bias", True)
    assert sorted(kinds(backend)) == sorted(["none"] * 6 + ["relu_bias" if bias else "relu"] * 2)


class ByHand:
    """Relu's own formulas, from outside."""

    needs_z = False

    def value(self, z, xp):
        return xp.maximum(z, 0.0)

    def derivative(self, z, a, xp):
        return xp.astype(a > 0.0, a.dtype)


@pytest.mark.parametrize("options", [{"hidden": "tanh"}, {"dropout": 0.5}, {"hidden": "leaky_relu"},
                                     {"hidden": ByHand()}], ids=["tanh", "dropout", "leaky", "by hand"])  # fmt: skip
def test_what_is_no_relu_by_its_role_is_a_kernel(options):
    backend = CudaOnTheHost(epilogues=True, choice=last)
    assert_same_training(
        trained(backend, **OPTIONS, net_options=options), trained("numpy", **OPTIONS, net_options=options)
    )
    assert set(kinds(backend)) == {"none"}


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


def test_an_operation_that_a_backend_overrides_is_in_no_call(caplog):
    backend = HalvedCuda(epilogues=True, choice=last)
    with caplog.at_level(logging.INFO, "retroprop"):
        assert_same_training(trained(backend, **OPTIONS), trained(HalvedNumpy(), **OPTIONS))
    assert caplog.text == "", "it is not tried"
    assert set(kinds(backend)) == {"none"}


@pytest.mark.parametrize("options", [{}, {"epilogues": True}, {"tiles": True}, {"epilogues": True, "precision": "tf32"},
                                     {"epilogues": True, "precision": "bf16", "rounds": True}],
                         ids=["launches", "relu", "tiles", "tf32", "bf16"])  # fmt: skip
def test_the_derivative_of_relu_is_0_where_z_is_0(options):
    """Without a signal every z is exactly 0, and no hidden bias moves, to the bit; the output's does."""
    backend, given = CudaOnTheHost(choice=last, **options), np.zeros((59, 6))
    net, _ = trained(backend, **OPTIONS | {"epochs": 1, "optimizer": rp.optimizers.SGD(0.5)}, given=given)
    expected, _ = trained("numpy", **OPTIONS | {"epochs": 1, "optimizer": rp.optimizers.SGD(0.5)}, given=given)
    assert [bool(np.any(bias)) for bias in net.biases] == [False, False, True]
    np.testing.assert_allclose(net.biases[-1], expected.biases[-1], atol=1e-2 if options.get("rounds") else 1e-6)
    assert set(kinds(backend)) == (
        {"fused", "tile"} if "tiles" in options else {"relu_bias", "none"} if options else {"none"}
    )


# Choices --------------------------------------------------------------------------------------------------------------


def test_what_is_fastest_is_measured_once_for_each_layer(monkeypatch):
    """One of several products and loops, then whole steps; the steps that follow measure nothing."""
    whole, measured = HostRuntime.fastest, []
    monkeypatch.setattr(HostRuntime, "fastest", lambda self, given: measured.append(len(given)) or whole(self, given))
    backend = CudaOnTheHost(epilogues=True, tiles=True, choice=last)
    trained(backend, **OPTIONS | {"epochs": 30})
    # Relu of two layers, and whole steps; tiles of eight products, two of which have a call as well; the sums of δ.
    assert sorted(measured) == sorted([2, 2, 2] + [3] * 2 + [2] * 6 + [2] + [2])


def test_each_layer_has_a_way_of_its_own():
    """Of the layers with three ways the second, which is relu's call; of others, and of whole steps, the last."""
    backend = CudaOnTheHost(epilogues=True, tiles=True, choice=lambda given: 1)
    assert_same_training(trained(backend, **OPTIONS), trained("numpy", **OPTIONS))
    assert sorted(kinds(backend)) == ["fused"] * 3 + ["relu_bias"] * 2 + ["tile"] * 3


@pytest.mark.parametrize("options", [{}, {"choice": 0}, {"choice": last}, {"measures": False}],
                         ids=["", "first", "last", "unmeasured"])  # fmt: skip
def test_a_step_is_counted_once_whatever_the_way(options):
    backend = CudaOnTheHost(tiles=True, **options)
    _, history = trained(backend, **OPTIONS | {"batch_size": 20})
    program = backend.step._last.program
    before = program.costs[0].copy()
    program.runtime.clear(program.tick)
    program.costs[...] = np.nan
    program.run()
    assert int(program.tick) == 1
    assert np.isfinite(before)
    assert np.isfinite(program.costs).tolist() == [True] + [False] * (program.costs.size - 1)
    assert all(later < earlier for earlier, later in pairwise(history.cost))


def test_the_slower_way_is_not_taken():
    backend = CudaOnTheHost(epilogues=True, tiles=True, choice=0)
    assert_same_training(trained(backend, **OPTIONS), trained("numpy", **OPTIONS))
    assert set(kinds(backend)) == {"none"}
    assert backend.runtime.log["relu_bias"] > 0  # measured


def test_where_nothing_is_measured_tiles_are_taken_by_a_rule_of_shape(monkeypatch):
    for most, expected in ((ways.UNMEASURED, {"fused", "tile"}), (0, {"none"})):
        monkeypatch.setattr(ways, "UNMEASURED", most)
        backend = CudaOnTheHost(epilogues=True, tiles=True, measures=False)
        assert_same_training(trained(backend, **OPTIONS), trained("numpy", **OPTIONS))
        assert set(kinds(backend)) == expected
        assert backend.runtime.log["relu_bias"] == 0


def test_a_product_is_small_by_its_terms_and_by_its_tiles():
    assert is_small(1024, 1024, 128, MOST_TERMS)
    assert not is_small(1024, 1024, 129, MOST_TERMS)
    assert is_small(1024, 1, 1024, MOST_TERMS)
    assert not is_small(1025, 1, 1024, MOST_TERMS)


# What is wrong, or raises ---------------------------------------------------------------------------------------------


def test_a_tile_that_computes_something_else_is_left_out_and_nothing_else(caplog, monkeypatch):
    whole = HostRuntime.kernel

    def wrong(self, text, *given):
        return whole(self, text.replace("  return total;\n", "  return total * T(1.01);\n"), *given)

    monkeypatch.setattr(HostRuntime, "kernel", wrong)
    backend = CudaOnTheHost(epilogues=True, tiles=True, choice=last)
    with caplog.at_level(logging.WARNING, "retroprop"):
        assert_same_training(trained(backend, **OPTIONS), trained("numpy", **OPTIONS))
    assert [record.getMessage() for record in caplog.records] == [
        "loops within products changed the results of a step, and is left out."
    ]
    assert sorted(set(kinds(backend))) == ["none", "relu_bias"]
    assert backend.runtime.log["graph"] > 0


def test_sums_that_are_wrong_leave_the_tiles(caplog, monkeypatch):
    whole = HostRuntime.kernel

    def wrong(self, text, *given):
        return whole(self, text.replace("line += lines[w]", "line -= lines[w]"), *given)

    monkeypatch.setattr(HostRuntime, "kernel", wrong)
    backend = CudaOnTheHost(tiles=True, choice=last)
    with caplog.at_level(logging.WARNING, "retroprop"):
        assert_same_training(trained(backend, **OPTIONS), trained("numpy", **OPTIONS))
    assert "sums of δ within products changed the results of a step, and is left out." in caplog.text
    assert set(kinds(backend)) == {"fused", "tile"}
    assert sums(backend) == 0


def test_a_tile_that_does_not_compile_leaves_what_there_was(caplog, monkeypatch):
    whole = HostRuntime.kernel

    def refused(self, text, *given):
        if "tile<" in text:
            raise RuntimeError("no tensor cores")
        return whole(self, text, *given)

    monkeypatch.setattr(HostRuntime, "kernel", refused)
    backend = CudaOnTheHost(epilogues=True, tiles=True, choice=last)
    with caplog.at_level(logging.INFO, "retroprop"):
        assert_same_training(trained(backend, **OPTIONS), trained("numpy", **OPTIONS))
    assert "loops within products is left out: RuntimeError: no tensor cores" in caplog.text
    assert set(kinds(backend)) == {"none", "relu_bias"}


def test_one_layer_that_cannot_be_a_tile_leaves_the_others(caplog, monkeypatch):
    whole = loop_source.operand

    def refused(shape, *given, **options):
        if shape == (9, 17):  # Θ of the second layer, on the way forward
            raise NotTraceableError("not this one")
        return whole(shape, *given, **options)

    monkeypatch.setattr(loop_source, "operand", refused)
    backend = CudaOnTheHost(tiles=True, choice=last)
    with caplog.at_level(logging.INFO, "retroprop"):
        assert_same_training(trained(backend, **OPTIONS), trained("numpy", **OPTIONS))
    assert "a product and its loop are not one launch: not this one" in caplog.text
    assert sorted(kinds(backend)) == ["fused"] * 4 + ["none"] + ["tile"] * 3


# Memory, and readers --------------------------------------------------------------------------------------------------


def two_products(operations, x, w):
    xp = operations.xp
    z = xp.matmul(xp.tanh(x), w)
    y = xp.tanh(z) * 2.0
    return y, xp.matmul(y.T, z)


def test_a_product_that_others_read_too_is_stored():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 7)), rng.normal(size=(7, 18))
    backend = CudaOnTheHost(tiles=True, choice=last)
    found = backend.capture(two_products)(x, w)
    for one, expected in zip(found, two_products(Operations(np), x, w), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-12, atol=1e-12)
    assert sorted(kinds(backend)) == ["fused", "tile"]
    (fused,) = [one for one in backend.step._last.program.instructions if len(one.stores) == 2]
    assert [node.op for node in fused.stores] == ["matmul", "multiply"]


def test_an_output_where_other_blocks_still_read_an_operand_is_not_fused():
    plan = planned(record(two_products, Operations(np), form_of((np.ones((5, 7)), np.ones((7, 18)))), ()))
    first, (result, _) = plan.instructions[0].stores[0], plan.recording.results
    for place, fused in ((plan.places[result.index], True), (plan.places[first.index], False)):
        plan.places[result.index] = place
        found = with_tiles(MOST_TERMS, plan, plan.instructions)
        assert [len(one.ways[0]) for one in found if isinstance(one, Choice)] == ([2, 1] if fused else [1, 1])


def test_the_sums_of_rows_are_those_of_a_transpose_and_not_of_a_square_matrix():
    """δΘ reads δ itself, of which a block has whole rows: their sums would be others than Σ_rows δ."""

    def step(operations, x, theta, a):
        delta = operations.xp.tanh(x) * 2.0
        total = operations.xp.sum(delta, axis=0)
        return operations.xp.matmul(delta, theta), operations.xp.matmul(delta.T, a), total * total

    plan = planned(record(step, Operations(np), form_of(tuple(np.ones((5, 5)) for _ in range(3))), ()))
    tiles = with_tiles(MOST_TERMS, plan, plan.instructions)
    for one in tiles:
        if isinstance(one, Choice):
            one.taken = len(one.ways) - 1
    moved = [one for one in with_sums(plan, tiles) or () if LINE in (one.loop.kinds.values() if one.loop else ())]
    assert [one.nodes[0].operands[0].op for one in moved] == ["transpose"]
