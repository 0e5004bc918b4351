"""The two networks of the source text, worked by hand: every path from a weight to the cost, factor by factor.

The text's networks have sigmoid neurons everywhere, no bias, and the squared error as their cost.
"""

from math import exp

import pytest
from harness import assert_close

import retroprop as rp

EXACT = 1e-12


def f(z):
    return 1.0 / (1.0 + exp(-z))


def f_prime(a):
    return a * (1.0 - a)


def network(thetas, backend):
    return rp.Network.from_parameters(thetas, hidden="sigmoid", output="sigmoid", dtype="float64", backend=backend)


def test_1_1_1(backend):
    x, y, theta_1, theta_2 = 0.7, 0.2, -0.4, 1.3
    a_2 = f(theta_1 * x)
    a_3 = f(theta_2 * a_2)
    # ∂J/∂θ2 = ∂J/∂a3 · ∂a3/∂z3 · ∂z3/∂θ2
    dj_theta_2 = (a_3 - y) * f_prime(a_3) * a_2
    # ∂J/∂θ1 = ∂J/∂a3 · ∂a3/∂z3 · ∂z3/∂a2 · ∂a2/∂z2 · ∂z2/∂θ1
    dj_theta_1 = (a_3 - y) * f_prime(a_3) * theta_2 * f_prime(a_2) * x

    g = network([[[theta_1]], [[theta_2]]], backend).gradient([[x]], [[y]], wrt_input=True)

    check = {"backend": backend, "dtype": "float64", "rtol": EXACT}
    assert_close(g.cost, 0.5 * (a_3 - y) ** 2, **check)
    assert_close(g.thetas[0], [[dj_theta_1]], **check)
    assert_close(g.thetas[1], [[dj_theta_2]], **check)
    assert_close(g.x, [[(a_3 - y) * f_prime(a_3) * theta_2 * f_prime(a_2) * theta_1]], **check)
    assert g.biases == []
    assert g.deltas[0] is None


# Θ^(1) and Θ^(2): the letter θ_jk goes to neuron j, from neuron k.
T1 = [[0.15, 0.25], [0.20, -0.30]]
T2 = [[0.40, 0.50], [-0.45, 0.55]]


def by_paths(x, y):
    """Return a, δ and every partial derivative of one observation of the 2-2-2 network, as sums over paths."""
    x1, x2 = x
    a1_2 = f(T1[0][0] * x1 + T1[0][1] * x2)
    a2_2 = f(T1[1][0] * x1 + T1[1][1] * x2)
    a1_3 = f(T2[0][0] * a1_2 + T2[0][1] * a2_2)
    a2_3 = f(T2[1][0] * a1_2 + T2[1][1] * a2_2)
    e1, e2 = a1_3 - y[0], a2_3 - y[1]  # ∂J/∂a1^(3), ∂J/∂a2^(3)

    # Layer 2: one path each, ∂J/∂a^(3) · ∂a^(3)/∂z^(3) · ∂z^(3)/∂θ
    theta_2 = [
        [e1 * f_prime(a1_3) * a1_2, e1 * f_prime(a1_3) * a2_2],
        [e2 * f_prime(a2_3) * a1_2, e2 * f_prime(a2_3) * a2_2],
    ]
    # Layer 1: a path through each output, ∂J/∂a^(3) · ∂a^(3)/∂z^(3) · ∂z^(3)/∂a^(2) · ∂a^(2)/∂z^(2) · ∂z^(2)/∂θ
    theta_1 = [
        [
            e1 * f_prime(a1_3) * T2[0][0] * f_prime(a1_2) * x1 + e2 * f_prime(a2_3) * T2[1][0] * f_prime(a1_2) * x1,
            e1 * f_prime(a1_3) * T2[0][0] * f_prime(a1_2) * x2 + e2 * f_prime(a2_3) * T2[1][0] * f_prime(a1_2) * x2,
        ],
        [
            e1 * f_prime(a1_3) * T2[0][1] * f_prime(a2_2) * x1 + e2 * f_prime(a2_3) * T2[1][1] * f_prime(a2_2) * x1,
            e1 * f_prime(a1_3) * T2[0][1] * f_prime(a2_2) * x2 + e2 * f_prime(a2_3) * T2[1][1] * f_prime(a2_2) * x2,
        ],
    ]
    # The text's error terms: δ_j^(3) = (a_j − y_j) f′, δ_j^(2) = f′ Σ_i δ_i^(3) θ_ij
    delta_3 = [e1 * f_prime(a1_3), e2 * f_prime(a2_3)]
    delta_2 = [
        f_prime(a1_2) * (delta_3[0] * T2[0][0] + delta_3[1] * T2[1][0]),
        f_prime(a2_2) * (delta_3[0] * T2[0][1] + delta_3[1] * T2[1][1]),
    ]
    cost = 0.5 * (e1**2 + e2**2)
    return {"a": ([a1_2, a2_2], [a1_3, a2_3]), "delta": (delta_2, delta_3), "theta": (theta_1, theta_2), "j": cost}


def test_2_2_2_one_observation(backend):
    x, y = [0.05, 0.10], [0.01, 0.99]
    hand = by_paths(x, y)

    net = network([T1, T2], backend)
    trace, g = net.forward([x]), net.gradient([x], [y])

    check = {"backend": backend, "dtype": "float64", "rtol": EXACT}
    assert_close(g.cost, hand["j"], **check)
    for layer in (0, 1):
        assert_close(trace.a[layer + 1], [hand["a"][layer]], **check)
        assert_close(g.deltas[layer + 1], [hand["delta"][layer]], **check)
        assert_close(g.thetas[layer], hand["theta"][layer], **check)


def test_2_2_2_many_observations_sum_over_m(backend):
    """With m observations the cost is their mean, so 1/m enters every δ and the gradient sums over the rows."""
    xs = [[0.05, 0.10], [0.9, -1.2], [-0.3, 2.0]]
    ys = [[0.01, 0.99], [1.0, 0.0], [0.5, 0.25]]
    hands = [by_paths(x, y) for x, y in zip(xs, ys, strict=True)]

    g = network([T1, T2], backend).gradient(xs, ys)

    check = {"backend": backend, "dtype": "float64", "rtol": EXACT}
    assert_close(g.cost, sum(hand["j"] for hand in hands) / 3, **check)
    for layer in (0, 1):
        deltas = [[d / 3 for d in hand["delta"][layer]] for hand in hands]
        assert_close(g.deltas[layer + 1], deltas, **check)
        summed = [[sum(hand["theta"][layer][j][k] for hand in hands) / 3 for k in (0, 1)] for j in (0, 1)]
        assert_close(g.thetas[layer], summed, **check)


def test_weights_replace_one_over_m(backend):
    """J = Σ w_i J_i / Σ w_i: a weight of 2 is the observation twice."""
    xs, ys = [[0.05, 0.10], [0.9, -1.2]], [[0.01, 0.99], [1.0, 0.0]]
    net = network([T1, T2], backend)

    weighted = net.gradient(xs, ys, sample_weight=[2.0, 1.0])
    repeated = net.gradient([xs[0], xs[0], xs[1]], [ys[0], ys[0], ys[1]])

    check = {"backend": backend, "dtype": "float64", "rtol": EXACT}
    assert_close(weighted.cost, backend.to_numpy(repeated.cost), **check)
    for one, other in zip(weighted.thetas, repeated.thetas, strict=True):
        assert_close(one, backend.to_numpy(other), **check)


@pytest.mark.parametrize("bias", [False, True])
def test_symmetry_stays(backend, bias):
    """The text's warning: equal weights see equal sums, get equal δ, and stay equal through every update."""
    net = rp.Network(
        [2, 3, 2],
        hidden="sigmoid",
        output="sigmoid",
        initializer=rp.initializers.Constant(0.3),
        bias=bias,
        dtype="float64",
        backend=backend,
    )
    x, y = [[0.0, 1.0], [1.0, 0.5], [0.2, 0.1]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    deltas = backend.to_numpy(net.gradient(x, y).deltas[1])
    assert (deltas == deltas[:, :1]).all()

    history = rp.fit(net, x, y, optimizer=rp.optimizers.SGD(0.5, momentum=0.9), epochs=50)

    first = backend.to_numpy(net.thetas[0])
    second = backend.to_numpy(net.thetas[1])
    assert (first == first[:1]).all(), "every hidden neuron still has the weights of the first"
    assert (second == second[:, :1]).all(), "every output still weighs the hidden neurons alike"
    assert history.cost[-1] < history.cost[0], "and yet it was trained"

    broken = rp.Network([2, 3, 2], initializer=rp.initializers.Uniform(0.1), seed=0, backend=backend)
    first = backend.to_numpy(broken.thetas[0])
    assert len({tuple(row) for row in first.tolist()}) == 3, "random weights break the symmetry"
