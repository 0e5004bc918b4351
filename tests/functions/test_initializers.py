"""Initial parameters: bounds, moments, orthogonality, and the order they are drawn in."""

import math

import numpy as np
import pytest
from harness import assert_close

import retroprop as rp
from retroprop.functions import initializers

N_OUT, N_IN = 160, 240
N = N_OUT * N_IN

# name: (the largest size it may draw, the variance of a weight), each written out from its paper
UNIFORM = {
    "uniform": (0.1, 0.1**2 / 3),
    "glorot_uniform": (math.sqrt(6 / (N_IN + N_OUT)), 2 / (N_IN + N_OUT)),
    "he_uniform": (math.sqrt(6 / N_IN), 2 / N_IN),
}
NORMAL = {"normal": 1.0, "glorot_normal": 2 / (N_IN + N_OUT), "he_normal": 2 / N_IN, "lecun": 1 / N_IN}


def draw(initializer, n_out=N_OUT, n_in=N_IN, seed=0):
    return initializers.get(initializer).theta(np.random.default_rng(seed), n_out, n_in, np)


def test_the_table_has_every_initializer_of_the_design_and_no_other():
    assert set(initializers.INITIALIZERS) == {*UNIFORM, *NORMAL, "orthogonal", "constant", "zeros"}
    assert all(initializers.get(name).name == name for name in initializers.INITIALIZERS)


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_bounds_and_variance(name):
    theta = draw(name)
    limit, variance = UNIFORM[name]
    assert theta.shape == (N_OUT, N_IN)
    assert theta.dtype == np.float64
    # The largest of N comes within 20/N of the bound with probability 1 − e^−20.
    assert limit * (1 - 20 / N) < np.abs(theta).max() <= limit
    assert theta.min() < 0 < theta.max()
    # Five standard errors: of the mean √(σ²/N), of the variance σ² √((κ − 1)/N) with κ = 9/5 of a uniform.
    assert abs(theta.mean()) < 5 * math.sqrt(variance / N)
    assert abs(theta.var() - variance) < 5 * variance * math.sqrt(0.8 / N)


@pytest.mark.parametrize("name", NORMAL)
def test_normal_moments(name):
    theta, variance = draw(name), NORMAL[name]
    assert theta.shape == (N_OUT, N_IN)
    assert theta.dtype == np.float64
    assert abs(theta.mean()) < 5 * math.sqrt(variance / N)
    assert abs(theta.var() - variance) < 5 * variance * math.sqrt(2 / N)
    # Normal, not uniform: kurtosis 3 within five times √(24/N).
    assert abs(np.mean(theta**4) / theta.var() ** 2 - 3) < 5 * math.sqrt(24 / N)


def test_fan_in_is_the_columns():
    # A wide Θ and a tall one differ by which of their axes is n_in.
    for name, variance in (("he_normal", 2), ("lecun", 1), ("he_uniform", 2)):
        for n_out, n_in in ((2000, 5), (5, 2000)):
            expected = variance / n_in
            assert draw(name, n_out, n_in).var() == pytest.approx(expected, rel=5 * math.sqrt(2 / 10000))


def test_the_parameters_of_an_object_are_used():
    assert np.abs(draw(initializers.Uniform(epsilon=0.5))).max() == pytest.approx(0.5, rel=20 / N)
    assert draw(initializers.Normal(std=0.01)).std() == pytest.approx(0.01, rel=5 * math.sqrt(0.5 / N))
    np.testing.assert_array_equal(draw(initializers.Constant(0.25), 2, 3), np.full((2, 3), 0.25))
    np.testing.assert_array_equal(draw("constant", 2, 3), np.full((2, 3), 0.5))
    np.testing.assert_array_equal(draw("zeros", 2, 3), np.zeros((2, 3)))
    assert draw(initializers.Constant(1), 2, 3).dtype == np.float64


@pytest.mark.parametrize(("n_out", "n_in"), [(5, 5), (7, 3), (3, 7), (1, 4), (4, 1), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal(n_out, n_in, gain):
    theta = draw(initializers.Orthogonal(gain), n_out, n_in)
    assert theta.shape == (n_out, n_in)
    small = theta @ theta.T if n_out <= n_in else theta.T @ theta
    np.testing.assert_allclose(small, gain**2 * np.eye(min(n_out, n_in)), atol=1e-14 * gain**2 * 5)


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    # Without the signs of R's diagonal, Householder's Q has entries of one sign more often than the other.
    many = np.asarray([draw("orthogonal", 2, 2, seed) for seed in range(800)])
    determinants = np.linalg.det(many)
    for signs in (many[:, 0, 0] > 0, many[:, 1, 0] > 0, many[:, 1, 1] > 0, determinants > 0):
        assert abs(np.mean(signs) - 0.5) < 5 * 0.5 / math.sqrt(800)
    # An angle uniform on the circle: the second moment of its cosine is 1/2, the fourth 3/8 (variance 1/8).
    assert abs(np.mean(many[:, 0, 0] ** 2) - 0.5) < 5 * math.sqrt(1 / 8 / 800)


@pytest.mark.parametrize("name", sorted(initializers.INITIALIZERS))
def test_only_uniform_and_normal_draw_biases(name):
    bias = initializers.get(name).bias(np.random.default_rng(0), 7, 3, np)
    assert bias.shape == (7,)
    assert bias.dtype == np.float64
    assert np.any(bias != 0.0) == (name in ("uniform", "normal"))
    assert len(np.unique(bias)) == (7 if name in ("uniform", "normal") else 1)


def test_biases_keep_to_their_own_distribution():
    rng = np.random.default_rng(1)
    bias = initializers.Uniform(0.2).bias(rng, N, 3, np)
    assert 0.2 * (1 - 20 / N) < np.abs(bias).max() <= 0.2
    assert initializers.Normal(3.0).bias(rng, N, 3, np).std() == pytest.approx(3.0, rel=5 * math.sqrt(0.5 / N))


def test_the_order_of_draws_is_layer_by_layer_theta_then_bias(backend, dtype):
    net = rp.Network([3, 4, 2], initializer=initializers.Uniform(0.5), seed=7, dtype=dtype, backend=backend)
    # One stream of random numbers, cut in the order of the design: theta 4×3, bias 4, theta 2×4, bias 2.
    stream = np.random.default_rng(7).uniform(-0.5, 0.5, 12 + 4 + 8 + 2)
    theta_1, bias_1, theta_2, bias_2 = np.split(stream, [12, 16, 24])
    for actual, expected in (
        (net.thetas[0], theta_1.reshape(4, 3)),
        (net.biases[0], bias_1),
        (net.thetas[1], theta_2.reshape(2, 4)),
        (net.biases[1], bias_2),
    ):
        # drawn in float64, then cast: bit for bit
        assert_close(actual, expected.astype(dtype), backend=backend, dtype=dtype, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("name", sorted(initializers.INITIALIZERS))
def test_one_seed_the_same_numbers_on_every_backend_and_in_both_dtypes(name, backend, dtype):
    sizes = [4, 5, 3]
    here = rp.Network(sizes, initializer=name, seed=11, dtype=dtype, backend=backend)
    reference = rp.Network(sizes, initializer=name, seed=11, dtype="float64", backend="numpy")
    for actual, expected in zip(here.parameters.leaves, reference.parameters.leaves, strict=True):
        assert_close(actual, expected.astype(dtype), backend=backend, dtype=dtype, rtol=0.0, atol=0.0)


def test_seeds():
    def first(seed):
        return rp.Network([3, 4], seed=seed, backend="numpy").thetas[0]

    np.testing.assert_array_equal(first(1), first(1))
    assert np.any(first(1) != first(2))
    assert np.any(first(None) != first(None))
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(first(rng), first(1))
    assert np.any(first(rng) != first(1))  # a generator goes on where it stands


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rp.Network([3, 4], initializer="orthogonal", seed=0, backend="numpy")
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("epsilon", [0.0, -0.1, math.inf, math.nan])
def test_an_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(ValueError, match="epsilon of uniform"):
        initializers.Uniform(epsilon)


@pytest.mark.parametrize("std", [0.0, -0.1, math.inf, math.nan])
def test_a_std_out_of_range_is_refused(std):
    with pytest.raises(ValueError, match="std of normal"):
        initializers.Normal(std)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_constant_and_a_gain_must_be_finite(bad):
    # as the others, before a network of NaN is built
    with pytest.raises(ValueError, match="constant"):
        initializers.Constant(bad)
    with pytest.raises(ValueError, match="gain"):
        initializers.Orthogonal(bad)
