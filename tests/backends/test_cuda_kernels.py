"""Generated kernels, run on the host as they are, against NumPy: every activation, loss and update, every sum."""

import numpy as np
import nvrtc
import pytest
from cuda_on_the_host import COMPILER, HostRuntime, planned_in_bfloat16, run
from cuda_on_the_host import planned as planned_for_launches
from harness import tolerance
from test_bfloat16 import plan_of as bfloat16_plan

import retroprop as rp
from retroprop.backends.cuda.kernels.geometry import BLOCKS, THREADS, geometry_of
from retroprop.backends.cuda.kernels.loop_source import CudaLoopSource
from retroprop.backends.cuda.kernels.operands import STRIDE, OperandLayout
from retroprop.backends.cuda.kernels.philox import mask_source
from retroprop.backends.cuda.kernels.plain_kernels import (
    Part,
    advance_source,
    cast,
    copied,
    distance_source,
    gather_blocks,
    gather_source,
)
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.launch_program import RULES, LaunchProgram, given_nodes
from retroprop.backends.cuda.step_memory import StepMemory
from retroprop.backends.masks import MaskedLayer, MaskForm
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.recorder import form_of, record
from retroprop.core.operations import Operations
from retroprop.functions import activations, losses
from retroprop.training import step as steps

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
RNG = np.random.default_rng(0)
GATHERED = [copied(3136, ()), copied(4, ()), copied(2, ()), copied(1, ()),
            *(Part(196, source, target, 4, target) for source in ("unsigned char", "signed char", "short", "bool")
              for target in ("float", "double")),
            Part(196, "float", "unsigned short", 4, "bfloat16"), Part(3, "bool", "unsigned short", 1, "bfloat16"),
            Part(10**6, "float", "unsigned short", 4, "bfloat16", whole=4 * 10**6 - 1)]  # fmt: skip


def kernel_of(*given, **options):
    return CudaLoopSource(*given, **options).kernel()


@pytest.fixture(params=["float32", pytest.param("float64", marks=pytest.mark.long)])
def dtype(request):
    """float32, and float64 on the long run: each kernel takes a compiler."""
    return request.param


def test_the_kernel_that_ends_with_the_cost_writes_it_down_and_ticks():
    a, y = numbers("float32", 33, 10), numbers("float32", 33, 10)
    plan = planned(lambda xp, a, y, eta: (xp.mean(xp.sum(xp.square(a - y), axis=-1)), (a - y) * eta), [a, y, 0.5])
    (one,) = plan.instructions
    cost, delta = plan.recording.results
    places = {node.index: array for node, array in zip(plan.recording.arguments, (a, y), strict=False)}
    places |= {cost.index: np.zeros((), "float32"), delta.index: np.zeros_like(a)}
    see = lambda node: OperandLayout(node.index, (10, 1)[-node.ndim :] if node.ndim else (), 4)  # noqa: E731
    for ticked in (False, True):
        kernel = kernel_of(one, see, lambda node: 0, cost=cost, ticked=ticked)
        assert kernel.closes
        table, tick, costs = np.full((3, STRIDE), np.nan), np.array([1], "int64"), np.zeros(3, "float32")
        table[0 if ticked else 1, 0] = 0.5
        parts, counters = np.zeros(kernel.parts), np.zeros(kernel.counters, "uint32")
        arguments = [*(places[node.index] for node in kernel.arrays), table, tick, parts, counters, costs, tick]
        run(HEAD + kernel.text, kernel.geometry.grid, THREADS, [array.ctypes.data for array in arguments])
        expected = np.mean(np.sum(np.square(a - y), axis=-1))
        np.testing.assert_allclose(costs, [0.0, expected, 0.0], rtol=1e-6)
        np.testing.assert_allclose(places[delta.index], (a - y) * 0.5, rtol=1e-6)
        assert tick.tolist() == [2]
    assert not kernel_of(one, see, lambda node: 0, cost=delta).closes


def planned(formula, arrays):
    step = lambda operations, *given: formula(operations.xp, *given)  # noqa: E731
    recording = record(step, Operations(np), form_of(tuple(arrays)), ())
    return Plan(recording, RULES)


def carried_out(formula, arrays):
    """Run a formula that is one loop through its kernel, and return its results."""
    plan = planned(formula, arrays)
    (one,) = plan.instructions
    assert one.loop is not None
    given = {node.index: array for node, array in zip(plan.recording.arguments, arrays, strict=True)}
    places = {i: np.array(array) for i, array in given.items() if isinstance(array, np.ndarray)}
    for node in plan.wanted:
        if node.op == "constant":
            places[node.index] = np.frombuffer(node.attributes["content"], node.dtype).reshape(node.shape).copy()
    for node in one.stores:
        places[node.index] = np.full(node.shape, 99, node.dtype)

    def array(node):
        return array(node.inputs[0]).reshape(node.shape) if node.op == "reshape" else places[node.index]

    def see(node):
        found = array(node)
        return OperandLayout(found.ctypes.data, tuple(s // found.itemsize for s in found.strides), found.ctypes.data)

    slots = {}
    kernel = kernel_of(one, see, lambda node: slots.setdefault(node.index, len(slots)))
    tick = np.array([2], "int64")
    table = np.full((3, STRIDE), np.nan)
    for i, slot in slots.items():
        table[2, slot] = given[i]
    counters = np.zeros(max(kernel.counters, 1), "uint32")
    parts = np.full(max(kernel.parts, 1), np.nan)
    arguments = [array(node) for node in kernel.arrays]
    arguments += [table, tick] if kernel.numbers else []
    arguments += [parts, counters] if kernel.counters else []
    for _ in range(2):  # twice: the counters must come back to 0
        run(HEAD + kernel.text, kernel.geometry.grid, THREADS, [a.ctypes.data for a in arguments])
    results = plan.recording.results
    return [array(node) for node in (results if isinstance(results, tuple) else (results,))]


def compare(formula, arrays, dtype):
    with np.errstate(all="ignore"):
        expected = formula(np, *arrays)
    found = carried_out(formula, arrays)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=tolerance(dtype), atol=tolerance(dtype))


def numbers(dtype, *shape):
    return (RNG.normal(size=shape) * 3.0).astype(dtype)


def value_of(f):
    return lambda xp, z, b: (f.value(z + b, xp),)


def derivative_of(f):
    return lambda xp, z, b: (f.pull_back(0.5 * z, z + b, f.value(z + b, xp), xp),)


@pytest.mark.parametrize("name", sorted(set(activations.ACTIVATIONS) - {"identity"}))
@pytest.mark.parametrize("made", [value_of, derivative_of])
def test_every_activation_with_a_bias(name, made, dtype):
    z = numbers(dtype, 7, 12)
    z[0, :4] = [0.0, -0.0, 9.5, -30.0]
    compare(made(activations.get(name)), [z, numbers(dtype, 12)], dtype)


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_every_loss_and_its_mean(name, dtype):
    loss = losses.get(name)

    def formula(xp, a, y):
        a, y = xp.abs(a) / 10.0 + 0.001, xp.abs(y) / 10.0
        return xp.mean(loss.value(a, y, xp), axis=-1), loss.derivative(a, y, xp)

    compare(formula, [numbers(dtype, 33, 10), numbers(dtype, 33, 10)], dtype)


def softmax_step(xp, z, b, y, classes):
    """Bias, softmax, cross-entropy, δ and the gradient of the bias, as core has them."""
    z = z + b
    a = activations.get("softmax").value(z, xp)
    target = xp.astype(y[:, None] == classes, z.dtype)
    cost = losses.get("cross_entropy").value_from_z(z, target, xp)
    delta = (a - target) * (1.0 / z.shape[0])
    return a, delta, xp.sum(delta, axis=-2), xp.mean(cost, axis=-1)


@pytest.mark.parametrize(
    ("m", "n"), [(5, 3), (37, 10), (128, 10), (1000, 10), (70, 33), (9, 128), (300, 200), (3, 512)]
)
def test_softmax_cross_entropy_delta_and_bias_in_one_kernel(m, n, dtype):
    z = numbers(dtype, m, n) * 10.0
    y, classes = RNG.integers(0, n, m).astype("int32"), np.arange(n, dtype="int32")
    compare(softmax_step, [z, z[0].copy(), y, classes], dtype)


@pytest.mark.parametrize(("m", "n"), [(2, 4), (128, 256), (129, 30), (1000, 7), (4096, 36), (40, 1028)])
def test_mask_delta_and_the_sum_over_rows_in_one_kernel(m, n, dtype):
    def formula(xp, back, a, mask):
        delta = back * mask * xp.astype(a > 0.0, a.dtype)
        return delta, xp.sum(delta, axis=-2)

    compare(formula, [numbers(dtype, m, n) for _ in range(3)], dtype)


@pytest.mark.parametrize("optimizer", [
    rp.optimizers.SGD(0.1), rp.optimizers.SGD(0.1, momentum=0.9, nesterov=True), rp.optimizers.RMSprop(0.1),
    rp.optimizers.Adam(0.1), rp.optimizers.AdamW(0.1), rp.optimizers.Lion(0.1),
], ids=lambda optimizer: optimizer.name)  # fmt: skip
@pytest.mark.parametrize("size", [6, 2051])
def test_the_update_is_one_kernel_and_takes_its_numbers_from_the_device(optimizer, size, dtype):
    arrays = [RNG.uniform(0.1, 1.0, size).astype(dtype) for _ in range(2 + optimizer.slots)]
    compare(optimizer.formula, [*arrays, *optimizer.hyper(3, 0.1)], dtype)


@pytest.mark.parametrize("shape", [(1000,), (13, 9), (3000, 2)])
@pytest.mark.parametrize("name", ["sum", "max", "min", "mean"])
def test_sums_over_everything(shape, name, dtype):
    def formula(xp, x):
        total = getattr(xp, name)(xp.abs(x) + 1.0)
        return xp.sqrt(total) * 2.0, total

    compare(formula, [numbers(dtype, *shape)], dtype)


@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_is_the_largest_and_the_smallest(name):
    x = numbers("float32", 5, 7)
    x[2, 3] = np.nan
    (found,) = carried_out(lambda xp, x: (getattr(xp, name)(x, axis=1) * 1.5,), [x])
    assert np.isnan(found).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("size", [100, 101])
def test_an_output_may_lie_where_an_operand_does(size):
    x, y = numbers("float32", size), numbers("float32", size)
    plan = planned(lambda xp, x, y: (x * y + 1.0,), [x, y])
    (one,) = plan.instructions
    expected = x * y + 1.0
    kernel = kernel_of(one, lambda node: OperandLayout(
        0 if node.op != "input" or node is not plan.recording.arguments[1] else 1, (1,), 16), len)  # fmt: skip
    assert [node.op for node in kernel.arrays].count("input") == 2
    run(HEAD + kernel.text, kernel.geometry.grid, THREADS, [x.ctypes.data, y.ctypes.data])
    np.testing.assert_allclose(x, expected, rtol=1e-6)


@pytest.mark.parametrize("domain", [(), (1,), (10**7,), (1, 1), (3, 10), (4096, 1024), (10**6, 3), (2, 10**6)])
@pytest.mark.parametrize("whole_rows", [False, True])
@pytest.mark.parametrize("sums", [False, True])
def test_a_grid_covers_its_domain_within_the_limits_of_cuda(domain, whole_rows, sums):
    g = geometry_of(domain, 4, whole_rows=whole_rows, sums=sums)
    assert 1 <= g.strips < 2**31
    assert 1 <= g.tall < 2**16
    if len(domain) == 2:
        assert g.lanes * g.rows == THREADS
        assert g.strips * g.lanes * g.columns * g.width >= domain[1]
        assert domain[1] % g.width == 0
        assert not sums or g.strips * g.tall <= max(BLOCKS, g.strips)


@pytest.mark.parametrize("architecture", [pytest.param("80", marks=pytest.mark.long), "90"])
def test_kernels_compile_for_the_gpus_of_today(architecture, dtype):
    """NVRTC needs no device."""
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not installed, which the extra 'test' has for Linux on x86-64")
    sgd, adam = rp.optimizers.SGD(0.1, momentum=0.9, nesterov=True), rp.optimizers.Adam(0.1)
    z, bias, row = numbers(dtype, 64, 12), numbers(dtype, 12), numbers(dtype, 1001)
    y, classes = np.zeros(64, "int32"), np.arange(12, dtype="int32")
    samples = [
        (softmax_step, [z, bias, y, classes]),
        (lambda xp, z: (xp.max(z), xp.min(z), xp.mean(z)), [z]),
        (sgd.formula, [row, row, row, 0.1]),
        (adam.formula, [row, row, row, row, 0.1]),
        *((derivative_of(activations.get(name)), [z, bias]) for name in activations.ACTIVATIONS if name != "identity"),
    ]
    texts = [kernel_text(formula, arrays) for formula, arrays in samples]
    texts += [HEAD + gather_source(128, GATHERED), advance_source("float")]
    for hidden in ("relu", "tanh", "gelu"):  # with what products take in bfloat16
        texts += [text_of(one) for one in bfloat16_plan(hidden=hidden).instructions if one.loop is not None]
    texts += [HEAD + distance_source(np.dtype(one), two=two) for one, two in (("float32", True), ("int64", False))]
    layers = (MaskedLayer(1, 300, 0.25), None, MaskedLayer(3, 7, 0.5))
    texts += [
        HEAD + mask_source(MaskForm(layers, 64, dtype), [layers[0], layers[2]], wide=wide) for wide in (True, False)
    ]
    for code in nvrtc.compiled(texts, *nvrtc.AS_CUPY, f"-arch=sm_{architecture}"):
        assert code[:4] == b"\x7fELF"


def test_what_does_not_compile_is_reported():
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not installed, which the extra 'test' has for Linux on x86-64")
    with pytest.raises(ValueError, match='identifier "unheard_of" is undefined'):
        nvrtc.compiled(['extern "C" __global__ void k(float *x) { *x = unheard_of; }'], "-arch=sm_90")


def kernel_text(formula, arrays):
    plan = planned(formula, arrays)
    (one,) = plan.instructions
    return text_of(one)


def text_of(one):
    strides = lambda shape: tuple(int(np.prod(shape[k + 1 :])) for k in range(len(shape)))  # noqa: E731
    return HEAD + kernel_of(one, lambda node: OperandLayout(node.index, strides(node.shape), 256), lambda node: 0).text


class Written(HostRuntime):
    """A runtime that collects sources, and compiles and runs none."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def kernel(self, text, blocks, threads, arguments):
        self.texts.append(text)
        return lambda: None


@pytest.mark.parametrize(("hidden", "how"), [("relu", planned_for_launches), ("gelu", planned_for_launches),
                                             ("relu", planned_in_bfloat16)])  # fmt: skip
def test_equal_layers_share_their_kernels(hidden, how):
    """Of nine layers: rows; f with its bias; the cost; f' with the sums of δ; the update of all parameters."""
    runtime = Written()
    runtime.rounds = how is planned_in_bfloat16
    plan = bfloat16_plan((256,) * 10, m=256, how=how, hidden=hidden)
    given = {i: np.empty(node.shape, node.dtype) for i, node in given_nodes(plan).items()}
    LaunchProgram(plan, StepMemory(runtime), given)
    assert len(runtime.texts) == 1 + 8 + 1 + 8 + 1
    assert len(set(runtime.texts)) == 5


def test_between_two_products_there_is_one_kernel():
    """Bias and activation, derivative and mask: a launch each way."""
    net = rp.Network([6, 8, 8, 3], hidden="gelu", dropout=0.5, output="identity", seed=0, backend="numpy")
    optimizer = rp.optimizers.Adam()
    masks = tuple(np.ones((5, 8), "float32") for _ in range(2))
    data = net.batch(np.ones((5, 6)), np.ones((5, 3)))
    step = steps.step_of(net.architecture, optimizer, None, None)
    state = optimizer.start(net.parameters, np.zeros_like)
    arguments = (net.parameters, state, (0.1,), data, None, masks)
    plan = planned_for_launches(record(step, Operations(np), form_of(arguments), (0, 1)))
    kernels = [one for one in plan.instructions if one.loop is not None]
    products = [one for one in plan.instructions if one.loop is None and one.node.op == "matmul"]
    assert len(products) == 3 + 3 + 2
    # 2 hidden layers forward and back; output with cost and δ; the update
    assert len(kernels) == 2 + 2 + 1 + 1


@pytest.mark.parametrize("tick", [0, 2])
def test_rows_are_gathered_from_several_arrays_at_once(tick):
    x, y, weight = numbers("float32", 40, 12), RNG.integers(0, 9, 40).astype("int32"), numbers("float64", 40)
    order = RNG.permutation(40)[: 3 * 9]
    taken = [np.zeros((9, *part.shape[1:]), part.dtype) for part in (x, y, weight)]
    parts = [copied(part[0].nbytes, (part.ctypes.data,)) for part in (x, y, weight)]
    assert [part.source for part in parts] == ["int4", "int", "int2"]
    source = gather_source(9, parts)
    ticks = np.array([tick], "int64")
    addresses = [a.ctypes.data for pair in zip((x, y, weight), taken, strict=True) for a in pair]
    grid = (gather_blocks(9, parts), 3, 1)
    run(HEAD + source, grid, THREADS, [order.ctypes.data, ticks.ctypes.data, *addresses])
    for part, found in zip((x, y, weight), taken, strict=True):
        np.testing.assert_array_equal(found, part[order[9 * tick : 9 * tick + 9]])


@pytest.mark.parametrize("n", [12, 7])
@pytest.mark.parametrize("stored", ["uint8", "int8", "int16", "bool"])
def test_rows_are_cast_on_the_way(stored, n, dtype):
    x, y = RNG.integers(-128, 128, (40, n)).astype(stored), numbers("float32", 40, 3)
    order, tick = RNG.permutation(40)[:9], np.array([0], "int64")
    taken = [np.full((9, n), np.nan, dtype), np.zeros((9, 3), "float32")]
    addresses = x.ctypes.data, taken[0].ctypes.data
    parts = [cast(n, x.dtype, taken[0].dtype, addresses), copied(12, (y.ctypes.data, taken[1].ctypes.data))]
    aligned = addresses[0] % (4 * x.itemsize) == 0 and addresses[1] % (4 * taken[0].itemsize) == 0
    assert parts[0].pack == (4 if n == 12 and aligned else 1)
    grid = (gather_blocks(9, parts), 2, 1)
    arrays = [order, tick, x, taken[0], y, taken[1]]
    run(HEAD + gather_source(9, parts), grid, THREADS, [a.ctypes.data for a in arrays])
    np.testing.assert_array_equal(taken[0], x[order].astype(dtype))
    np.testing.assert_array_equal(taken[1], y[order])


def test_a_step_writes_its_cost_down_and_goes_on():
    costs, cost, tick = np.zeros(3, "float32"), np.array(1.5, "float32"), np.array([1], "int64")
    run(advance_source("float"), (1, 1, 1), 1, [costs.ctypes.data, cost.ctypes.data, tick.ctypes.data])
    assert costs.tolist() == [0.0, 1.5, 0.0]
    assert tick.tolist() == [2]


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("stored", ["float32", "float64", "int64", "bool"])
def test_a_distance_is_a_sum_over_all_blocks(stored, two):
    """Of integers it is the number that differ; NaN is NaN's equal and far from all else."""
    given = [(RNG.normal(size=1000) * 3.0).astype(stored) for _ in range(2)]
    x, y = given if stored == "bool" else (given[0], np.where(RNG.random(1000) < 0.5, given[0], given[1]))
    source, parts = HEAD + distance_source(x.dtype, two=two), np.full(3, np.nan)

    def distance():
        arrays = [x.ctypes.data, *([y.ctypes.data] if two else [])]
        run(source, (3, 1, 1), THREADS, [*arrays, x.size, parts.ctypes.data])
        return parts.sum()

    far = np.abs(x.astype("float64") - y) if x.dtype.kind == "f" else x != y
    np.testing.assert_allclose(distance(), (far if two else np.abs(x.astype("float64"))).sum(), rtol=1e-12)
    if x.dtype.kind == "f":
        x[7], y[7] = np.inf, np.inf if two else 0.0
        assert distance() == pytest.approx(far.sum() - far[7]) if two else distance() == np.inf
        x[999], y[999] = np.nan, np.nan
        assert np.isnan(distance()) != two
        y[999] = 1.0
        assert np.isnan(distance())
