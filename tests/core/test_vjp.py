"""`net.vjp`: the gradient of an outside function of the output, by the recursion, on every backend."""

import numpy as np
import pytest
from harness import assert_close

import retroprop as rp
from retroprop.functions.activations import ACTIVATIONS


def network(hidden, output, backend, dtype="float64"):
    drawn = {"initializer": rp.initializers.Normal(0.5), "seed": 0}
    return rp.Network([3, 4, 2], hidden=hidden, output=output, l2=0.3, dtype=dtype, backend=backend, **drawn)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_is_the_gradient_by_differences(name):
    net = network(name if ACTIVATIONS[name].elementwise else "tanh", name, "numpy")
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    g = net.vjp(x, c)
    assert np.isclose(g.cost, (c * net.predict(x)).sum())
    step = 1e-6
    for theta, grad in zip(net.parameters.leaves, [*g.thetas, *g.biases], strict=True):
        for place in [(0,) * theta.ndim, tuple(n - 1 for n in theta.shape)]:
            values = []
            for sign in (1.0, -1.0):
                theta[place] += sign * step
                values.append((c * net.predict(x)).sum())
                theta[place] -= sign * step
            np.testing.assert_allclose(grad[place], (values[0] - values[1]) / (2 * step), rtol=1e-6, atol=1e-7)
    moved = x + step * (at := rng.normal(size=x.shape))
    difference = (c * (net.predict(moved) - net.predict(x - step * at))).sum() / (2 * step)
    np.testing.assert_allclose((g.x * at).sum(), difference, rtol=1e-6)


def test_with_the_gradient_of_the_loss_it_is_gradient(backend, dtype):
    net = rp.Network([3, 4, 2], hidden="silu", seed=0, dtype=dtype, backend=backend)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)).astype(dtype), rng.normal(size=(6, 2)).astype(dtype)
    own = net.gradient(x, y, wrt_input=True)
    a = backend.to_numpy(net.predict(x))
    g = net.vjp(x, (a - y) / 6.0)  # ∂J/∂a of the squared error
    for one, other in zip((*g.thetas, *g.biases, g.x), (*own.thetas, *own.biases, own.x), strict=True):
        assert_close(one, backend.to_numpy(other), backend=backend, dtype=dtype)


def test_a_cotangent_of_another_shape():
    net = network("tanh", "identity", "numpy")
    with pytest.raises(ValueError, match=r"cotangent must have the shape of the output, \(6, 2\), not \(6, 3\)"):
        net.vjp(np.ones((6, 3)), np.ones((6, 3)))
