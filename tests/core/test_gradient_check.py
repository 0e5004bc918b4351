"""The check itself: it passes what is right, and finds what is wrong, where it is wrong."""

import dataclasses

import numpy as np
import pytest

import retroprop as rp
from retroprop.core.operations import Operations
from retroprop.functions.activations import Tanh

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))


def test_right_on_every_backend(backend, dtype):
    net = rp.Network([3, 5, 4, 2], hidden=["gelu", "relu"], l2=0.01, l1=0.01, seed=1, dtype=dtype, backend=backend)
    check = rp.check_gradient(net, X, Y, RNG.uniform(0.5, 1.0, 6))
    assert check.ok
    assert check.n_checked == net.n_parameters
    assert check.max_relative_error < (1e-6 if dtype == "float64" else 5e-3)


class _OneWrongWeight(Operations):
    """Backpropagation with a fault in one partial derivative of Θ^(2)."""

    def gradient(self, layer, delta_next, a, *, has_bias):
        grad_theta, grad_bias = super().gradient(layer, delta_next, a, has_bias=has_bias)
        if layer == 2:
            grad_theta = grad_theta.copy()
            grad_theta[1, 3] *= 1.001
        return grad_theta, grad_bias


def test_finds_a_fault_and_says_where(monkeypatch):
    net = rp.Network([3, 5, 2], hidden="tanh", seed=0, dtype="float64", backend="numpy")
    monkeypatch.setattr(type(net.backend), "operations", lambda self: _OneWrongWeight(np, "cpu"))
    check = rp.check_gradient(net, X, Y)
    assert not check.ok
    assert check.where == "thetas[1][1, 3]"
    assert check.max_relative_error == pytest.approx(1e-3, rel=0.5)


def test_finds_a_wrong_derivative(monkeypatch):
    net = rp.Network([3, 5, 2], hidden="tanh", seed=0, dtype="float64", backend="numpy")
    monkeypatch.setattr(Tanh, "derivative", lambda self, z, a, xp: 1.0 - a)
    assert not rp.check_gradient(net, X, Y).ok


def test_not_a_number_is_not_ok(monkeypatch):
    net = rp.Network([3, 5, 2], hidden="tanh", seed=0, dtype="float64", backend="numpy")
    monkeypatch.setattr(Tanh, "derivative", lambda self, z, a, xp: a * float("nan"))
    check = rp.check_gradient(net, X, Y)
    assert not check.ok
    assert check.max_relative_error == np.inf
    assert check.where.startswith("thetas[0]")


def test_a_large_network_is_sampled_from_the_seed():
    net = rp.Network([3, 400, 300, 2], seed=0, dtype="float64", backend="numpy")
    one, same = (rp.check_gradient(net, X, Y, max_parameters=50, seed=3) for _ in range(2))
    assert one.ok
    assert one.n_checked == 50
    assert dataclasses.asdict(one) == dataclasses.asdict(same)


def test_a_kink_within_the_step_is_no_fault():
    """At z = 1e-7 the difference over h = 6e-6 straddles relu's kink; closer by it does not."""
    net = rp.Network.from_parameters([[[1.0]], [[1.0]]], dtype="float64", backend="numpy")
    assert rp.check_gradient(net, [[1e-7]], [[1.0]]).ok


def test_exactly_on_a_kink_is_no_fault_either():
    """Zero biases and a row of zeros put every relu at z = 0, where any number from 0 to 1 is a derivative."""
    for seed in range(5):
        net = rp.Network([2, 8, 1], output="sigmoid", loss="binary_cross_entropy", seed=seed, dtype="float64",
                         backend="numpy")  # fmt: skip
        assert rp.check_gradient(net, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]).ok


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.1])
def test_a_large_cost_hides_no_fault(factor, dtype, monkeypatch):
    net = rp.Network([3, 5, 2], hidden="tanh", seed=0, dtype=dtype, backend="numpy")
    assert rp.check_gradient(net, X, 1e5 * Y).ok
    monkeypatch.setattr(Tanh, "derivative", lambda self, z, a, xp: factor * (1.0 - a * a))
    assert not rp.check_gradient(net, X, 1e5 * Y).ok


def test_soft_targets_of_a_float32_network_are_accepted():
    options = {"output": "softmax", "loss": "cross_entropy", "backend": "numpy"}
    teacher, net = (rp.Network([3, 5, 10], seed=seed, **options) for seed in (0, 1))
    assert rp.check_gradient(net, X, teacher.predict(X)).ok


def test_refuses_values_it_cannot_check(backend):
    net = rp.Network([3, 2], seed=0, backend=backend)
    bad = X.copy()
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite; x\[2, 1\] is nan"):
        rp.check_gradient(net, backend.asarray(bad, "float32"), Y)
    with pytest.raises(ValueError, match="max_parameters must be 1 or above"):
        rp.check_gradient(net, X, Y, max_parameters=0)
