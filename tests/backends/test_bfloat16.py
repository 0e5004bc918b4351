"""Products whose operands are rounded to bfloat16: what is rounded, once and where, and that the training is that."""

import logging
import math

import numpy as np
import pytest
from cuda_on_the_host import (
    COMPILER,
    CudaOnTheHost,
    HostRuntime,
    RoundedNumpy,
    in_bfloat16,
    planned,
    planned_in_bfloat16,
    run,
    widened,
)
from test_cuda_captured import assert_same_training, trained

import retroprop as rp
from retroprop.backends.cuda.casts import taken_rounding
from retroprop.backends.cuda.kernels.geometry import THREADS
from retroprop.backends.cuda.kernels.plain_kernels import cast, gather_blocks, gather_source
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.products.cublaslt import CublasLtError
from retroprop.backends.cuda.rewrites.bfloat16 import CONVERSIONS, ROUND, rounded
from retroprop.backends.cuda.rewrites.product_calls import Choice, ProductCall
from retroprop.backends.record.recorder import form_of, record
from retroprop.core.operations import Operations
from retroprop.training import step as steps

needs_a_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
SIZES = (6, 8, 130, 3)
DRAWN = np.random.default_rng(0).integers(0, 2**32, 3000, "uint32").view("float32")
LARGEST = float(np.finfo("float32").max)
ROUNDED = {1.0: 1.0, 1.0 + 2**-8: 1.0, 1.0 + 3 * 2**-8: 1.0 + 2**-6, 1.0 + 2**-8 + 2**-20: 1.0 + 2**-7,
           -1.0 - 2**-8: -1.0, -1.0 - 3 * 2**-8: -1.0 - 2**-6, 0.1: 0.10009765625, 2.0**-133: 2.0**-133,
           2.0**-134: 0.0, -LARGEST: -math.inf, math.inf: math.inf, -math.inf: -math.inf}  # fmt: skip


def test_rounding_is_to_the_nearest_and_of_two_to_the_even():
    """The tests' own rounding: worked out by hand, and PyTorch's."""
    x = np.array(list(ROUNDED), "float32")
    np.testing.assert_array_equal(widened(in_bfloat16(x)), np.array(list(ROUNDED.values()), "float32"))
    torch = pytest.importorskip("torch", reason="PyTorch, whose rounding is a witness, is not installed")
    theirs = torch.from_numpy(DRAWN).to(torch.bfloat16).view(torch.int16).numpy().view("uint16")
    nan = np.isnan(DRAWN)
    assert nan.any()
    np.testing.assert_array_equal(in_bfloat16(DRAWN[~nan]), theirs[~nan])
    assert np.isnan(widened(in_bfloat16(DRAWN[nan]))).all()


@needs_a_compiler
def test_kernels_round_as_that_and_keep_nan_and_signs():
    x = np.concatenate([np.array([*ROUNDED, 0.0, -0.0, math.nan, -math.nan], "float32"), DRAWN])
    found, back = np.zeros(x.size, "uint16"), np.zeros(x.size, "float32")
    text = HEAD + (
        'extern "C" __global__ void retroprop_kernel(const float *x, unsigned short *found, float *back) {\n'
        f"  for (int k = 0; k < {x.size}; ++k) {{ found[k] = bfloat16(x[k]); back[k] = widened(found[k]); }}\n}}\n"
    )
    run(text, (1, 1, 1), 1, [a.ctypes.data for a in (x, found, back)])
    np.testing.assert_array_equal(found, in_bfloat16(x))
    np.testing.assert_array_equal(back.view("uint32"), widened(in_bfloat16(x)).view("uint32"))


@needs_a_compiler
@pytest.mark.parametrize("n", [12, 7])
@pytest.mark.parametrize("stored", ["float32", "uint8", "uint16", "float64"])
def test_rows_are_rounded_on_the_way(stored, n):
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(40, n)) * 100.0 + 200.0).clip(0.0).astype(stored)
    order, tick, taken = rng.permutation(40)[:9], np.array([0], "int64"), np.zeros((9, n), "uint16")
    part = cast(n, x.dtype, taken.dtype, (x.ctypes.data, taken.ctypes.data), ROUND)
    arrays = [order, tick, x, taken]
    grid = (gather_blocks(9, [part]), 1, 1)
    run(HEAD + gather_source(9, [part]), grid, THREADS, [a.ctypes.data for a in arrays])
    np.testing.assert_array_equal(taken, in_bfloat16(x[order].astype("float32")))


@needs_a_compiler
@pytest.mark.parametrize("n", [8, 11, 3])
def test_a_whole_array_is_rounded_with_wide_loads_whatever_its_size(n):
    x, guard = np.zeros(16, "float32"), np.full(16, 7, "uint16")
    x[:] = np.random.default_rng(1).normal(size=16)
    part = cast(n, x.dtype, guard.dtype, (256, 256), ROUND, whole=True)
    assert (part.pack, part.words) == (4, -(-n // 4))
    arrays = [np.zeros(1, "int64"), np.array([0], "int64"), x, guard]
    run(HEAD + gather_source(9, [part]), (1, 1, 1), THREADS, [a.ctypes.data for a in arrays])
    np.testing.assert_array_equal(guard, np.where(np.arange(16) < n, in_bfloat16(x), 7))


def plan_of(sizes=SIZES, *, m=16, how=planned_in_bfloat16, rule=None, rows=True, stored="float32", **options):
    net = rp.Network(sizes, output="softmax", loss="cross_entropy", seed=0, backend="numpy", **options)
    rule = rp.optimizers.Adam() if rule is None else rule
    data = net.batch(np.ones((m, sizes[0])), np.zeros(m, int))
    data = data._replace(x=data.x.astype(stored))
    state = rule.start(net.parameters, np.zeros_like)
    order = np.arange(m) if rows else None
    arguments = (net.parameters, state, rule.hyper(3, 0.1), data, order, None)
    return how(record(steps.step_of(net.architecture, rule, None, None), Operations(np), form_of(arguments), (0, 1)))


def written(plan):
    """Return the operations of what each loop stores, by loop."""
    return [[node.op for node in one.stores] for one in plan.instructions if one.loop is not None]


@pytest.mark.parametrize("hidden", ["relu", "leaky_relu", "tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize("stored", ["float32", "uint8"])
def test_every_operand_of_a_product_is_rounded_once(hidden, stored):
    plan = plan_of(hidden=hidden, stored=stored)
    products = [one.nodes[0] for one in plan.instructions if one.loop is None and one.nodes[0].op == "matmul"]
    assert len(products) == 3 + 3 + 2
    assert {operand.dtype.name for node in products for operand in node.operands} == {"uint16"}
    assert {node.dtype.name for node in products} == {"float32"}
    roundings = [node for one in plan.instructions for node in one.nodes if node.op == ROUND]
    # x, all parameters at once, a of two hidden layers, δ of three
    assert len(roundings) == 1 + 1 + 2 + 3
    assert sum(node.ndim == 1 for node in roundings) == 1


def test_what_no_loop_reads_in_float32_is_not_stored_in_it():
    """Of relu's a only what products take, from which [a > 0] is computed; of δ too; tanh′ needs a as it is."""
    relu, tanh = written(plan_of()), written(plan_of(hidden="tanh"))
    assert relu[1:4] == [["bfloat16"]] * 3  # of the parameters, of a
    assert [sorted(ops) for ops in relu[5:7]] == [["bfloat16", "sum"]] * 2
    assert [sorted(ops) for ops in tanh[2:4]] == [["bfloat16", "tanh"]] * 2


def test_with_dropout_the_sign_is_that_before_the_mask():
    net = rp.Network(SIZES, output="softmax", loss="cross_entropy", dropout=0.5, seed=0, backend="numpy")
    rule = rp.optimizers.SGD(0.1)
    data = net.batch(np.ones((16, 6)), np.zeros(16, int))
    masks = tuple(np.ones((16, n), "float32") for n in SIZES[1:3])
    arguments = (net.parameters, rule.start(net.parameters, np.zeros_like), (0.1,), data, None, masks)
    recording = record(steps.step_of(net.architecture, rule, None, None), Operations(np), form_of(arguments), (0, 1))
    assert not [node for node in rounded(recording).graph if node.op == "widened"]
    assert [node for node in rounded(recording).graph if node.op == ROUND]


def test_products_of_other_dtypes_and_forms_stay_what_they_are():
    def formula(operations, x, y, batched):
        xp = operations.xp
        return xp.matmul(x, y), xp.matmul(batched, batched)

    arrays = (np.ones((3, 4)), np.ones((4, 5)), np.ones((2, 3, 3), "float32"))
    recording = record(formula, Operations(np), form_of(arrays), ())
    assert not [node for node in rounded(recording).graph if node.op in CONVERSIONS]


@pytest.mark.parametrize("options", [
    {}, {"stored": "uint8"}, {"hidden": "tanh"}, {"hidden": "gelu"}, {"bias": False}, {"m": 300},
], ids=["relu", "bytes", "tanh", "gelu", "without bias", "more rows"])  # fmt: skip
def test_a_block_grows_by_the_rounded_forms_at_most(options):
    """Of parameters, and of an a that is kept for the way back as well."""
    plan, plain = plan_of(**options), plan_of(how=planned, **options)
    twice = ("tanh", "where", "add", "multiply") if "hidden" in options else ()
    forms = [node for node in plan.wanted if node.op == ROUND and (node.ndim == 1 or node.inputs[0].op in twice)]
    assert plan.nbytes <= plain.nbytes + sum(node.nbytes + 64 for node in forms)
    if "hidden" not in options:
        assert len(forms) == 1


CASES = {
    "shuffled": {},
    "in order": {"shuffle": False},
    "sgd": {"optimizer": rp.optimizers.SGD(0.1)},
    "momentum": {"optimizer": rp.optimizers.SGD(0.1, momentum=0.9)},
    "tanh": {"net_options": {"hidden": "tanh"}},
    "gelu": {"net_options": {"hidden": "gelu_tanh"}},
    "leaky relu": {"net_options": {"hidden": "leaky_relu"}},
    "with dropout": {"net_options": {"dropout": 0.3}},
    "with metrics": {"metrics": ["accuracy"], "shuffle": False},
    "clipped": {"clip_norm": 0.5},
    "penalised": {"net_options": {"l2": 0.01, "l1": 0.001}},
    "without bias": {"net_options": {"bias": False}},
    "full batch": {"batch_size": None},
    "bytes": {"given": np.random.default_rng(2).integers(0, 9, (59, 6)).astype("uint8")},
    "lbfgs": {"optimizer": "lbfgs", "batch_size": None, "epochs": 1},
}


@needs_a_compiler
@pytest.mark.parametrize("case", list(CASES))
def test_a_training_is_numpys_with_operands_rounded(case):
    options = {"batch_size": 20, "epochs": 2, "precision": "bf16"} | CASES[case]
    backend = Rounding()
    found = trained(backend, **options)
    assert_same_training(found, trained(RoundedNumpy(), **options))
    assert backend.runtime.log["graph"] > 0
    exact, _ = trained("numpy", **{**options, "precision": "highest"})
    assert any(np.any(one != other) for one, other in zip(found[0].thetas, exact.thetas, strict=True))


class Rounding(CudaOnTheHost):
    """A GPU whose products take bfloat16."""

    def __init__(self, **options):
        super().__init__(rounds=True, precision="bf16", **options)

    def check_demands(self, demands, dtype):
        """Take all."""


@needs_a_compiler
def test_the_casts_are_in_kernels_that_are_there_anyway(monkeypatch):
    """Of the parameters with the rows of a batch, all layers at once; without rows in one kernel of their own."""
    monkeypatch.setattr(HostRuntime, "fastest", lambda self, ways: 0)
    for batch, more in ((20, 0), (59, 2)):  # the full batch: x and the parameters
        launched = []
        for backend in (CudaOnTheHost(), Rounding()):
            trained(backend, sizes=SIZES, epochs=1, batch_size=batch)
            launched.append(len(next(iter(backend.step._programs.values())).program.launches))
        assert launched[1] - launched[0] == more


def test_parameters_are_not_rounded_where_rows_lie_until_they_are_cast():
    """The plan gives the memory of rows in float32 away once they are cast; cast on the way, they are never there."""
    plan = plan_of((600, 8, 3), m=40)
    gathers = [one.nodes[0] for one in plan.instructions if one.nodes[0].op == "gather"]
    casts = [one for one in plan.instructions if one.nodes[0].op == ROUND and one.loop is not None]
    (x, *others), (parameters, *_) = [one.nodes[0] for one in casts], [one for one in casts if one.nodes[0].ndim == 1]
    assert taken_rounding(plan, gathers, [parameters]) is None
    assert taken_rounding(plan, [x, *gathers[1:]], [parameters]) is others[0]
    assert taken_rounding(plan, gathers[1:], casts) is None  # x is no parameter


@needs_a_compiler
def test_the_same_bits_each_time():
    one, other = (trained(Rounding(), sizes=SIZES, batch_size=20, epochs=2)[0] for _ in range(2))
    for found, wanted in zip(one.parameters.leaves, other.parameters.leaves, strict=True):
        np.testing.assert_array_equal(found, wanted)


@needs_a_compiler
def test_what_the_library_refuses_is_done_without_bfloat16_and_logged_once(caplog, monkeypatch):
    whole = HostRuntime.product

    def refused(self, first, second, result, *args, **options):
        if self.rounds:
            raise CublasLtError("cublasLt has no algorithm")
        return whole(self, first, second, result, *args, **options)

    monkeypatch.setattr(HostRuntime, "product", refused)
    with caplog.at_level(logging.WARNING, "retroprop"):
        found = trained(Rounding(), batch_size=4)  # and a smaller batch at the end
    assert_same_training(found, trained("numpy", batch_size=4))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "round float32 by themselves: in bfloat16, cublasLt has no algorithm" in messages[0]


def parts(backend):
    """Return the instructions of the last step's program, of a choice those that are taken."""
    found = backend.step._last.program.instructions
    return [part for one in found for part in (one.ways[one.taken] if isinstance(one, Choice) else (one,))]


def kinds(backend):
    """Return the kinds of products of the last step's program, in order."""
    return [getattr(one, "kind", "none") for one in parts(backend) if one.loop is None]


@needs_a_compiler
@pytest.mark.parametrize("options", [
    {}, {"optimizer": rp.optimizers.SGD(0.1)}, {"net_options": {"bias": False}}, {"net_options": {"l2": 0.01}},
    {"sizes": (6, 8, 8, 8, 3), "shuffle": False}, {"epochs": 6},
], ids=["adam", "sgd", "without bias", "penalised", "deep", "longer"])  # fmt: skip
def test_relu_is_in_the_products(options):
    """Their results are bfloat16, and the bias with them."""
    options = {"sizes": SIZES, "batch_size": 20, "epochs": 2, "precision": "bf16"} | options
    backend = Rounding(epilogues=True, choice=lambda ways: len(ways) - 1)
    assert_same_training(trained(backend, **options), trained(RoundedNumpy(within=True), **options))
    calls = [one for one in parts(backend) if isinstance(one, ProductCall)]
    bias = options.get("net_options", {}).get("bias", True)
    assert [one.kind for one in calls] == ["relu_bias" if bias else "relu"] * (len(options["sizes"]) - 2)
    assert {node.dtype.name for one in calls for node in one.stores} == {"uint16"}


@needs_a_compiler
@pytest.mark.parametrize(
    "options", [{"hidden": "tanh"}, {"hidden": "leaky_relu"}, {"dropout": 0.3}, {"hidden": "gelu_tanh"}]
)
def test_what_is_no_relu_before_a_product_stays_a_kernel(options):
    options = {"sizes": SIZES, "batch_size": 20, "epochs": 1, "net_options": options}
    backend = Rounding(epilogues=True, choice=lambda ways: len(ways) - 1)
    reference = RoundedNumpy()
    assert_same_training(trained(backend, **options), trained(reference, **options))
    assert set(kinds(backend)) == {"none"}


@needs_a_compiler
def test_relu_is_left_to_kernels_where_it_is_refused_or_slower(caplog, monkeypatch):
    options = {"sizes": SIZES, "batch_size": 20, "epochs": 1}
    backend = Rounding(epilogues=True)  # the first way of each
    assert_same_training(trained(backend, **options), trained(RoundedNumpy(), **options))
    assert backend.runtime.log["relu_bias"] > 0  # measured
    assert set(kinds(backend)) == {"none"}
    whole = HostRuntime.product

    def refused(self, first, second, result, epilogue=None):
        if epilogue is not None:
            raise CublasLtError("cublasLt has no algorithm")
        return whole(self, first, second, result, epilogue)

    monkeypatch.setattr(HostRuntime, "product", refused)
    backend = Rounding(epilogues=True, choice=lambda ways: len(ways) - 1)
    with caplog.at_level(logging.INFO, "retroprop"):
        assert_same_training(trained(backend, **options), trained(RoundedNumpy(), **options))
    assert "a product and its loop are not one launch: cublasLt has no algorithm" in caplog.text
    assert set(kinds(backend)) == {"none"}
