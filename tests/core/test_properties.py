"""What holds for every network, looked for on networks nobody chose."""

import numpy as np
import pytest
from harness import relative_error

import retroprop as rp
from retroprop.functions.activations import elementwise_names

pytest.importorskip("hypothesis", reason="hypothesis is not installed")
from hypothesis import given, settings
from hypothesis import strategies as some

SMOOTH = sorted(set(elementwise_names()) - {"exp", "relu", "leaky_relu", "elu"})
ENDS = [
    ("identity", "squared_error"),
    ("identity", "log_cosh"),
    ("softmax", "cross_entropy"),
    ("softmax", "squared_error"),
    ("sigmoid", "binary_cross_entropy"),
    ("tanh", "squared_error"),
    ("softplus", "poisson"),
    ("exp", "poisson"),
]
# derandomised: the same networks in every run, so that a red run can be run again
LOOK = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@some.composite
def problems(draw, hidden=SMOOTH):
    """Return a float64 network on NumPy, rows, targets and weights."""
    sizes = draw(some.lists(some.integers(1, 6), min_size=2, max_size=5))
    output, loss = draw(some.sampled_from(ENDS))
    if output == "softmax":
        sizes[-1] = max(sizes[-1], 2)
    seed = draw(some.integers(0, 2**32 - 1))
    net = rp.Network(
        sizes,
        hidden=[draw(some.sampled_from(hidden)) for _ in sizes[2:]],
        output=output,
        loss=loss,
        bias=draw(some.booleans()),
        l2=draw(some.sampled_from([0.0, 0.1])),
        initializer=draw(some.sampled_from(["normal", "glorot_uniform", "he_normal", "orthogonal"])),
        seed=seed,
        dtype="float64",
        backend="numpy",
    )
    rng = np.random.default_rng(seed)
    m = draw(some.integers(1, 6))
    x = rng.normal(size=(m, sizes[0]))
    y = rng.dirichlet(np.ones(sizes[-1]), size=m) if loss != "poisson" else rng.poisson(2.0, (m, sizes[-1]))
    return net, x, y, rng.uniform(0.1, 2.0, m)


@LOOK
@given(problems())
def test_the_recursion_is_the_derivative(problem):
    net, x, y, weight = problem
    assert rp.check_gradient(net, x, y, weight).ok


@LOOK
@given(problems(hidden=sorted(set(elementwise_names()) - {"exp"})))
def test_a_batch_is_the_weighted_mean_of_its_rows(problem):
    net, x, y, weight = problem
    together = net.gradient(x, y, weight, wrt_input=True)
    share = weight / weight.sum()
    rows = [net.gradient(x[i : i + 1], y[i : i + 1], wrt_input=True) for i in range(len(x))]
    assert float(together.cost) == pytest.approx(sum(s * float(row.cost) for s, row in zip(share, rows, strict=True)))
    for leaf, grad in enumerate(together.parameters.leaves):
        mean = sum(s * row.parameters.leaves[leaf] for s, row in zip(share, rows, strict=True))
        assert relative_error(grad, mean) < 1e-9 or np.max(np.abs(mean)) < 1e-12
    for i, row in enumerate(rows):
        np.testing.assert_allclose(together.x[i], share[i] * row.x[0], rtol=1e-9, atol=1e-12)


@LOOK
@given(problems(), some.randoms(use_true_random=False))
def test_the_order_of_the_rows_says_nothing(problem, random):
    net, x, y, weight = problem
    order = list(range(len(x)))
    random.shuffle(order)
    one, other = net.gradient(x, y, weight), net.gradient(x[order], y[order], weight[order])
    for g, h in zip(one.parameters.leaves, other.parameters.leaves, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-9, atol=1e-12)
    for g, h in zip(one.deltas[1:], other.deltas[1:], strict=True):
        np.testing.assert_allclose(g[order], h, rtol=1e-9, atol=1e-14)
