"""The special functions against Python's own math and SciPy, far into both tails."""

import math

import numpy as np
import pytest

from retroprop.functions import special

# Numbers that are the same in both dtypes.
GRID = (np.arange(-38 * 64, 38 * 64 + 1) / 64.0).astype("float32")


def on(backend, function, dtype, *arrays):
    return backend.to_numpy(function(*(backend.asarray(a, dtype) for a in arrays), backend.xp)).astype("float64")


def errors(actual, expected, dtype):
    """Return the relative error in units of the dtype's eps.

    Below the smallest normal number none is asked: JAX takes it for 0.
    """
    info = np.finfo(dtype)
    expected = np.asarray(expected, dtype="float64")
    off = np.abs(actual - expected)
    off = np.where(off <= float(info.smallest_normal), 0.0, off)
    return off / np.maximum(np.abs(expected), float(info.smallest_normal)) / float(info.eps)


def tail_bound(z, dtype):
    """Return the relative error of Φ(z) in units of eps that is borne.

    e^(−z²/2) of a z²/2 that is rounded to eps/2 is off by z²/4 eps, by twice that where z/√2 is rounded before it is
    squared (which is what SciPy and `math.erfc(z/√2)` do too: in float64 the witness has its own such error).
    """
    tail = np.where(z < 0.0, z * z, 0.0)
    return 8.0 + (2.0 if dtype == "float64" else 1.0) * tail


def test_normal_cdf_keeps_its_relative_precision_down_to_the_smallest_numbers(backend, dtype):
    z = GRID.astype("float64")
    expected = [0.5 * math.erfc(-v / math.sqrt(2.0)) for v in z]
    assert np.all(errors(on(backend, special.normal_cdf, dtype, z), expected, dtype) <= tail_bound(z, dtype))


def test_normal_cdf_against_scipy(dtype):
    scipy_special = pytest.importorskip("scipy.special", reason="SciPy is the witness")
    z = np.random.default_rng(0).uniform(-38.0, 38.0, 20000).astype("float32").astype("float64")
    found = special.normal_cdf(z.astype(dtype), np).astype("float64")
    assert np.all(errors(found, scipy_special.ndtr(z), dtype) <= tail_bound(z, dtype))


def test_normal_cdf_against_fifty_digits(dtype):
    mpmath = pytest.importorskip("mpmath", reason="mpmath is the witness")
    with mpmath.workdps(50):
        z = np.random.default_rng(4).uniform(-37.5 if dtype == "float64" else -13.0, 9.0, 500).astype("float32")
        found = special.normal_cdf(z.astype(dtype), np)
        off = [
            float(abs(mpmath.mpf(float(f)) / mpmath.ncdf(mpmath.mpf(float(v))) - 1))
            for f, v in zip(found, z, strict=True)
        ]
    # the witness has no error of its own
    assert np.all(np.asarray(off) / float(np.finfo(dtype).eps) <= 4.0 + np.where(z < 0.0, z * z, 0.0))


def test_normal_cdf_at_the_seams_of_its_three_ranges():
    # |z|/√2 = 0.46875 and 4: the ranges meet there
    for seam in (0.46875 * math.sqrt(2.0), 4.0 * math.sqrt(2.0)):
        z = np.asarray([s * seam * (1.0 + k * 1e-15) for s in (-1.0, 1.0) for k in range(-5, 6)])
        expected = [0.5 * math.erfc(-v / math.sqrt(2.0)) for v in z]
        assert np.all(errors(special.normal_cdf(z, np), expected, "float64") <= tail_bound(z, "float64"))


def test_normal_cdf_by_the_tables(backend, dtype):
    # Abramowitz & Stegun, table 26.1
    z = [0.0, 1.0, -1.0, 1.96, -3.0]
    expected = [0.5, 0.841344746068543, 0.158655253931457, 0.975002104851780, 0.001349898031630]
    np.testing.assert_allclose(
        on(backend, special.normal_cdf, dtype, z), expected, rtol=max(16.0 * float(np.finfo(dtype).eps), 5e-13)
    )


def test_normal_cdf_ends_and_nan(backend, dtype):
    found = on(backend, special.normal_cdf, dtype, [-1e4, 1e4, -0.0])
    np.testing.assert_array_equal(found, [0.0, 1.0, 0.5])
    inf = backend.asarray([float("inf")], dtype)
    with backend.active():
        assert np.isnan(backend.to_numpy(special.normal_cdf(inf - inf, backend.xp))[0])


def test_normal_pdf(backend, dtype):
    z = GRID[np.abs(GRID) <= 12].astype("float64")
    expected = [math.exp(-v * v / 2.0) / math.sqrt(2.0 * math.pi) for v in z]
    assert np.all(errors(on(backend, special.normal_pdf, dtype, z), expected, dtype) <= 8.0 + z * z)


def test_sigmoid_keeps_its_relative_precision_in_both_tails(backend, dtype):
    z = (np.arange(-700, 701) / 1.0 if dtype == "float64" else np.arange(-860, 861) / 10.0).astype("float32")
    z = z.astype("float64")
    # σ(z) = e^z / (1 + e^z) for z < 0: no number of it cancels
    expected = [math.exp(v) / (1.0 + math.exp(v)) if v < 0 else 1.0 / (1.0 + math.exp(-v)) for v in z]
    assert np.all(errors(on(backend, special.sigmoid, dtype, z), expected, dtype) <= 8.0)
    np.testing.assert_array_equal(on(backend, special.sigmoid, dtype, [-1e4, 0.0, 1e4]), [0.0, 0.5, 1.0])


def test_softplus_keeps_its_relative_precision_in_both_tails(backend, dtype):
    z = (np.arange(-700, 701) / 1.0 if dtype == "float64" else np.arange(-860, 861) / 10.0).astype("float32")
    z = z.astype("float64")
    expected = [math.log1p(math.exp(v)) if v < 0 else v + math.log1p(math.exp(-v)) for v in z]
    assert np.all(errors(on(backend, special.softplus, dtype, z), expected, dtype) <= 8.0)
    np.testing.assert_array_equal(on(backend, special.softplus, dtype, [-1e4, 1e4]), [0.0, 1e4])


def test_sigmoid_and_softplus_against_scipy():
    scipy_special = pytest.importorskip("scipy.special", reason="SciPy is the witness")
    z = np.random.default_rng(1).uniform(-700.0, 700.0, 5000)
    assert np.all(errors(special.sigmoid(z, np), scipy_special.expit(z), "float64") <= 8.0)
    assert np.all(errors(special.softplus(z, np), -scipy_special.log_expit(-z), "float64") <= 8.0)


def test_the_parts_of_log_softmax_give_log_probabilities(backend, dtype):
    z = [[0.0, 0.0, 0.0], [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4 - 1.0]]
    shifted, log_sum = special.log_softmax_parts(backend.asarray(z, dtype), backend.xp)
    found = backend.to_numpy(shifted - log_sum).astype("float64")
    third = -math.log(2.0 + math.exp(-1.0))
    expected = [[-math.log(3.0)] * 3, [0.0, -2e4, -1e4], [third, third, third - 1.0]]
    np.testing.assert_allclose(found, expected, rtol=16.0 * float(np.finfo(dtype).eps), atol=0.0)


def test_xlogy(backend, dtype):
    x, y = [0.0, 0.0, 1.0, 0.5, 2.0], [0.0, 3.0, 1.0, 0.25, 10.0]
    expected = [0.0, 0.0, 0.0, 0.5 * math.log(0.25), 2.0 * math.log(10.0)]
    found = on(backend, special.xlogy, dtype, x, y)
    np.testing.assert_allclose(found, expected, rtol=8.0 * float(np.finfo(dtype).eps), atol=0.0)
    # x log 0 is kept finite, far below
    low = on(backend, special.xlogy, dtype, [1.0], [0.0])[0]
    assert np.isfinite(low)
    assert low < -80.0


def test_sign_and_positive(backend, dtype):
    x = backend.asarray([-2.0, -0.0, 0.0, 3.0], dtype)
    np.testing.assert_array_equal(backend.to_numpy(special.sign(x, backend.xp)), [-1.0, 0.0, 0.0, 1.0])
    kept = backend.to_numpy(special.positive(x, backend.xp))
    np.testing.assert_array_equal(kept > 0.0, True)
    assert kept[3] == 3.0
