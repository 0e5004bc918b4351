"""The parts of a recorded step: dtypes, equal nodes, loops, and places in memory."""

import numpy as np
import pytest
from harness import open_backend
from hypothesis import given
from hypothesis import strategies as st

import retroprop as rp
from retroprop.backends.cpu.numba_target import NumbaLoops
from retroprop.backends.plan.leaves import _replaces, overwritten
from retroprop.backends.plan.places import ALIGNMENT, Cell, settle
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import NotTraceableError, number_dtype
from retroprop.backends.record.recorder import form_of, record
from retroprop.backends.record.symbols import Symbols
from retroprop.backends.record.table import UFUNCS
from retroprop.core.operations import Operations
from retroprop.training import step as steps

needs = st.builds(
    lambda nbytes, first, length: Cell(nbytes, first, first + length),
    st.integers(0, 2000), st.integers(0, 12), st.integers(0, 6),
)  # fmt: skip


@given(st.lists(needs, max_size=14))
def test_arrays_needed_at_once_lie_apart(wanted):
    size = settle(wanted)
    for i, one in enumerate(wanted):
        assert one.offset % ALIGNMENT == 0
        assert one.offset + one.nbytes <= size
        for other in wanted[:i]:
            at_once = one.first <= other.last and other.first <= one.last
            apart = one.offset + one.nbytes <= other.offset or other.offset + other.nbytes <= one.offset
            assert not at_once or apart
    busiest = max(
        (sum(-(-max(n.nbytes, 1) // 64) * 64 for n in wanted if n.first <= t <= n.last) for t in range(20)), default=0
    )
    assert size >= busiest


def test_what_follows_one_another_shares_memory():
    assert settle([Cell(640, t, t + 1) for t in range(0, 100, 2)]) == 640


@pytest.mark.parametrize("op", sorted(UFUNCS))
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_dtypes_and_shapes_are_numpys(op, dtype):
    xp, n = Symbols(), UFUNCS[op].nin
    arrays = [np.ones((3, 4), dtype), np.ones(4, dtype)][:n]
    others = [(*arrays[:1], 2.0)] if n == 2 else []
    for operands in (arrays, *others):
        symbols = [
            xp.graph.given("input", a.shape, a.dtype, n=i) if isinstance(a, np.ndarray) else a
            for i, a in enumerate(operands)
        ]
        try:
            with np.errstate(all="ignore"):
                expected = UFUNCS[op](*operands)
        except TypeError:
            with pytest.raises(TypeError):
                getattr(xp, op)(*symbols)
            continue
        found = getattr(xp, op)(*symbols)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


@pytest.mark.parametrize("name", ["numpy", "torch:cpu"])
def test_every_pointwise_operation_is_replayed(name, caplog, monkeypatch):
    """Each row of the table that is a function of NumPy, over the numbers between 0.1 and 0.9."""
    monkeypatch.setenv("RETROPROP_NUMBA", "0")
    caplog.set_level("INFO", logger="retroprop")
    backend = open_backend(name)
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.1, 0.9, (5, 3)) for _ in range(2)]
    for op, ufunc in UFUNCS.items():
        if name != "numpy" and op in ("isnan", "isinf", "isfinite"):
            continue  # which PyTorch writes nowhere: a step with them runs as it is written

        def step(operations, x, y, op=op, n=ufunc.nin):
            operands = (x > 0.5, y > 0.5) if op.startswith("logical") else (x, y)
            return (getattr(operations.xp, op)(*operands[:n]),)

        captured = backend.capture(step)
        given = [backend.asarray(array) for array in arrays]
        (found,) = captured(*given)
        operands = [array > 0.5 for array in arrays] if op.startswith("logical") else arrays
        np.testing.assert_allclose(backend.to_numpy(found), ufunc(*operands[: ufunc.nin]), rtol=1e-12, err_msg=op)
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("name", ["numpy", "torch:cpu"])
def test_booleans_count_in_arithmetic_and_sums_of_one_number_have_their_dtype(name):
    """(a > 0) · 2 is 0 or 2, an integer, not a truth; `any` of a number is one."""
    backend = open_backend(name)

    def step(operations, x):
        xp, positive = operations.xp, x > 0.0
        return positive * 2, positive + 1, xp.any(xp.sum(x)), xp.all(xp.max(x)), xp.sum(positive[0])

    x = np.array([1.0, -1.0, 3.0])
    positive = x > 0.0
    expected = (positive * 2, positive + 1, np.True_, np.True_, np.int64(1))
    for found, wanted in zip(backend.capture(step)(backend.asarray(x)), expected, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(found), wanted)
        assert backend.dtype_name(found) == str(wanted.dtype)


def test_equal_nodes_are_one_and_unequal_numbers_are_not():
    xp = Symbols()
    x = xp.graph.given("input", (3,), "float32", n=0)
    assert xp.exp(x) is xp.exp(x)
    assert xp.maximum(x, 0.0) is not xp.maximum(x, -0.0)
    assert x * 2 is not x * 2.0
    assert x + 0.0 is x
    assert x * 1.0 is x
    assert 0.0 - x is not x
    assert 1.0 / x is not x
    assert xp.sum(x, axis=0) is not xp.sum(x, axis=0, keepdims=True)


@pytest.mark.parametrize("ask", [bool, float, int, iter, len, np.asarray, np.sin, lambda x: x + np.ones(3)])
def test_a_symbol_has_no_numbers(ask):
    x = Symbols().graph.given("input", (3,), "float32", n=0)
    with pytest.raises(TypeError):
        ask(x)


def test_what_is_not_recorded_says_so():
    xp = Symbols()
    with pytest.raises(NotTraceableError, match="argsort is not recorded"):
        xp.argsort(xp.graph.given("input", (3,), "float32", n=0))


def test_only_matrices_side_by_side_are_joined():
    xp = Symbols()
    x, row = (xp.graph.given("input", shape, "float32", number=k) for k, shape in enumerate([(3, 2), (3,)]))
    assert xp.concat([x, x], axis=-1).shape == xp.concat((x, x), axis=1).shape == (3, 4)
    for arrays, axis in (([x, x], 0), ([row, row], -1), ([x, xp.astype(x, "float64")], 1), ([x, x], None)):
        with pytest.raises(NotTraceableError, match="concat of other than"):
            xp.concat(arrays, axis=axis)


def test_a_training_step_is_five_loops_between_its_products():
    net = rp.Network([64, 100, 10], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    rule = rp.optimizers.Adam()
    data = net.batch(np.ones((200, 64)), np.zeros(200, int))
    state = rule.start(net.parameters, np.zeros_like)
    arguments = (net.parameters, state, (0.1,), data, None, None)
    step = steps.step_of(net.architecture, rule, None, None)
    plan = Plan(record(step, Operations(np), form_of(arguments), (0, 1)), NumbaLoops.rules)
    calls = [one.node.op for one in plan.instructions if one.loop is None]
    assert calls == ["matmul", "matmul", "exp", "matmul", "matmul", "matmul"]
    # bias and relu; bias, maximum and shift; softmax, cost and δ; δ ∘ f′; the update. Sums of δ are in the loops.
    assert len(plan.instructions) - len(calls) == 5
    update = plan.instructions[-1].loop
    assert update.domain == (net.n_parameters,)
    assert plan.leaves.kept == {0: 0, 1: 1}


def test_a_rule_that_looks_at_whole_arrays_is_not_joined():
    """As LARS: a step in proportion to the norm of each array."""

    class Norms(rp.optimizers.SGD):
        def formula(self, xp, theta, grad, *rest):
            (eta,) = rest
            return (theta - eta * xp.sqrt(xp.sum(theta * theta)) * grad,)

    x, y = np.ones((4, 3)), np.ones((4, 2))
    net = rp.Network([3, 5, 2], initializer="normal", seed=0, dtype="float64", backend="numpy")
    g = net.gradient(x, y)
    expected = [
        theta - 0.1 * np.linalg.norm(theta) * grad
        for theta, grad in zip(net.parameters.leaves, g.parameters.leaves, strict=True)
    ]
    rp.fit(net, x, y, optimizer=Norms(0.1), epochs=1)
    for found, wanted in zip(net.parameters.leaves, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)


@pytest.mark.parametrize("options", [{}, {"l2": 0.01}, {"l1": 0.001}])
def test_a_wide_theta_its_gradient_and_its_state_lie_column_by_column(options, monkeypatch):
    monkeypatch.setenv("RETROPROP_NUMBA", "0")
    net = rp.Network([300, 40, 3], output="softmax", loss="cross_entropy", seed=0, backend="numpy", **options)
    bound = steps.bind(net.backend, net.architecture, rp.optimizers.Adam())
    data = net.batch(np.ones((5, 300)), np.zeros(5, int))
    parameters, state = net.parameters, rp.optimizers.Adam().start(net.parameters, np.zeros_like)
    parameters, state, *_ = bound(parameters, state, (0.1,), data, None, None)
    for leaves in (parameters, *state):
        wide, narrow = leaves.thetas
        assert wide.shape == (40, 300)
        assert wide.T.flags.c_contiguous
        assert narrow.flags.c_contiguous
    (program,) = bound._programs.values()
    plan = program.plan
    products = [node for node in plan.wanted if node.op == "matmul" and node.shape == (40, 300)]
    assert [plan.places[node.index].fortran for node in products] == [True]


def test_a_part_that_is_no_leaf_replaces_nothing():
    xp = Symbols()
    leaves = tuple(xp.graph.given("input", shape, "float32", number=k) for k, shape in enumerate([(2, 3), (4,)]))
    old = xp.graph.join(leaves)
    new = xp.graph.apply("overwrite", old * 2.0, old)
    first, second = xp.graph.parts(new, [(2, 3), (4,)])
    assert [_replaces(first, leaves[0]), _replaces(second, leaves[1])] == [True, True]
    assert [_replaces(second, leaves[0]), _replaces(first, leaves[1])] == [False, False]
    (other,) = xp.graph.parts(new, [(3, 2)])
    assert overwritten(other) is None
    assert not all(map(_replaces, [other, second], leaves))


@pytest.mark.parametrize(("dtype", "number", "taken"), [
    ("int32", 0.5, "float64"), ("int32", 1, "int32"), ("float32", 0.5, "float32"), ("float64", 1, "float64"),
])  # fmt: skip
def test_a_number_that_is_compared_keeps_its_fraction(dtype, number, taken):
    x = Symbols().graph.given("input", (3,), dtype, number=0)
    assert number_dtype(x > number, number) == taken
