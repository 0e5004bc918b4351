"""A network within a function of JAX: its gradient is that of JAX."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.functions.activations import ACTIVATIONS

pytestmark = pytest.mark.needs("jax")


def network(hidden="tanh", output="identity", sizes=(2, 4, 2), **options):
    return rp.Network(sizes, hidden=hidden, output=output, seed=0, backend="numpy", dtype="float64", **options)


@pytest.mark.parametrize(
    "name", ["silu", "softmax", *(pytest.param(name, marks=pytest.mark.long) for name in ACTIVATIONS)]
)
def test_check_grads(name):
    from jax.test_util import check_grads

    f = rp.interop.jax_function(network(name if ACTIVATIONS[name].elementwise else "tanh", name))
    x = np.random.default_rng(0).normal(size=(3, 2))
    check_grads(f, (f.parameters, x), order=1, modes=["rev"])


def test_within_jit_and_vmap():
    import jax

    net = network("silu", "softmax")
    f, x = rp.interop.jax_function(net), np.random.default_rng(0).normal(size=(4, 5, 2))
    np.testing.assert_allclose(jax.jit(f)(f.parameters, x[0]), net.predict(x[0]), rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(f, (None, 0))(f.parameters, x)[3], net.predict(x[3]), rtol=1e-12)


def test_training_and_the_way_back():
    import jax

    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 2))
    y = np.sin(x[:, :1])
    f = rp.interop.jax_function(network(sizes=(2, 8, 1), bias=False))
    slope = jax.jit(jax.value_and_grad(lambda p: ((f(p, x) - y) ** 2).mean()))
    parameters = f.parameters
    costs = []
    for _ in range(150):
        cost, g = slope(parameters)
        parameters = jax.tree.map(lambda p, g: p - 0.2 * g, parameters, g)
        costs.append(float(cost))
    assert costs[-1] < 0.2 * costs[0]
    net = f.network(parameters)
    np.testing.assert_allclose(net.predict(x), f(parameters, x), rtol=1e-12)
    assert net.biases == []


def test_the_second_derivative_in_reverse_is_jaxs_of_our_recursion():
    import jax

    f = rp.interop.jax_function(rp.Network.from_parameters([[[0.7]], [[1.0]]], hidden="tanh", dtype="float64"))
    first = jax.grad(lambda t: f(f.parameters, t[None, None])[0, 0])
    second = jax.grad(first)(0.3)
    a = np.tanh(0.7 * 0.3)
    np.testing.assert_allclose(second, -2.0 * 0.49 * a * (1.0 - a * a), rtol=1e-12)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jacfwd(lambda x: f(f.parameters, x))(np.ones((1, 1)))


def test_bad_input():
    f = rp.interop.jax_function(network())
    with pytest.raises(ValueError, match=r"x must have the shape \(m, 2\), not \(3,\)"):
        f(f.parameters, np.ones(3))
    with pytest.raises(TypeError, match="net must be a Network, not NoneType"):
        rp.interop.jax_function(None)
