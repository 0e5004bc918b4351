"""Special functions that the Array API standard lacks, as expressions of those that it has."""

from math import pi, sqrt

from retroprop.functions.types import Array, Namespace

# Coefficients of the rational Chebyshev approximations of W. J. Cody, "Rational Chebyshev approximations for
# the error function", Mathematics of Computation 23 (1969): erf for |x| <= 0.46875, erfc up to 4 and beyond.
_ERF_P = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
          3.20937758913846947e3)  # fmt: skip
_ERF_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_MIDDLE_P = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
             2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
             1.23033935479799725e3)  # fmt: skip
_MIDDLE_Q = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
             3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
             1.23033935480374942e3)  # fmt: skip
_TAIL_P = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
           1.60837851487422766e-2, 6.58749161529837803e-4)  # fmt: skip
_TAIL_Q = (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
           2.33520497626869185e-3)  # fmt: skip


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's rule, highest power first."""
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


def normal_cdf(z: Array, xp: Namespace) -> Array:
    """Return Φ(z), the distribution function of the standard normal.

    It is computed from erfc for negative z, so that the tail keeps its digits, Φ(−10) = 7.6e-24; the relative error
    is a few eps near 0 and up to z² eps in the left tail, from the rounding of z² in e^{−z²/2}.
    """
    x = xp.abs(z) / sqrt(2.0)
    # Each approximation is evaluated within its own range only, so that none overflows outside of it.
    small = xp.minimum(x, 0.46875)
    middle = xp.minimum(x, 4.0)
    tail = 1.0 / xp.square(xp.maximum(x, 4.0))
    erf = small * _polynomial(xp.square(small), _ERF_P) / _polynomial(xp.square(small), _ERF_Q)
    gauss = xp.exp(-xp.square(x))
    erfc = gauss * xp.where(
        x <= 4.0,
        _polynomial(middle, _MIDDLE_P) / _polynomial(middle, _MIDDLE_Q),
        xp.sqrt(tail) * (1.0 / sqrt(pi) - tail * _polynomial(tail, _TAIL_P) / _polynomial(tail, _TAIL_Q)),
    )
    below = xp.where(x <= 0.46875, 0.5 - 0.5 * erf, 0.5 * erfc)  # Φ(−|z|)
    return xp.where(z < 0.0, below, 1.0 - below)


def normal_pdf(z: Array, xp: Namespace) -> Array:
    """Return φ(z), the density of the standard normal."""
    return xp.exp(-0.5 * xp.square(z)) / sqrt(2.0 * pi)


def sigmoid(z: Array, xp: Namespace) -> Array:
    """Return 1 / (1 + e^−z) without overflow, with full relative precision in both tails."""
    # e^min(z, 0) / (1 + e^−|z|)
    return xp.exp(xp.minimum(z, 0.0)) / (1.0 + xp.exp(-xp.abs(z)))


def softplus(z: Array, xp: Namespace) -> Array:
    """Return log(1 + e^z) without overflow."""
    return xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.abs(z)))


def log_softmax_parts(z: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return s = z − max z of each row, and log Σ e^s (last axis kept).

    The log-probabilities of softmax are their difference. The largest term of the sum is 1; the others are added to it
    by log1p, so that an observation with a right prediction keeps the digits of its small cost.
    """
    shifted = z - xp.max(z, axis=-1, keepdims=True)
    largest = xp.astype(shifted == 0.0, z.dtype)
    others = xp.sum(xp.exp(shifted) - largest, axis=-1, keepdims=True)
    ties = xp.sum(largest, axis=-1, keepdims=True) - 1.0
    return shifted, xp.log1p(others + ties)


def xlogy(x: Array, y: Array, xp: Namespace) -> Array:
    """Return x log y, and 0 where x is 0; y is bounded away from 0, so that the value is finite."""
    return x * xp.log(positive(y, xp))


def positive(a: Array, xp: Namespace) -> Array:
    """Return the maximum of `a` and the smallest normal number (NaN stays NaN)."""
    return xp.maximum(a, float(xp.finfo(a.dtype).smallest_normal))


def sign(x: Array, xp: Namespace) -> Array:
    """Return the sign of x, 0 at 0, by two comparisons (the `sign` of some libraries waits for the device)."""
    return xp.astype(x > 0.0, x.dtype) - xp.astype(x < 0.0, x.dtype)
