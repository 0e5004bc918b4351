"""exp, expm1, log, log1p and tanh of float32 as arithmetic, which Numba's compiler vectorises; calls of libm it cannot.

The polynomials are those of Cephes (Moshier, https://www.netlib.org/cephes/); results are within 3 units in the last
place. Of other dtypes the functions are those of `math`.
"""

import math
from functools import lru_cache
from typing import Any

from numpy import float32 as f32
from numpy import int32 as i32

_E0, _E1, _E2, _E3, _E4, _E5 = map(
    f32, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = map(
    f32,
    (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
     2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)  # fmt: skip
_T0, _T1, _T2, _T3, _T4 = map(
    f32, (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
)
_LOG2E, _LN2_HIGH, _LN2_LOW = f32(1.44269504), f32(0.693359375), f32(-2.12194440e-4)  # ln 2 = high + low
_LARGEST, _SMALLEST = f32(89.0), f32(-104.0)  # beyond, exp is inf and 0 in float32
_ZERO, _HALF, _ONE, _TWO, _INF, _NAN = map(f32, (0.0, 0.5, 1.0, 2.0, math.inf, math.nan))
_NORMAL, _SHIFT = f32(1.17549435e-38), f32(8388608.0)  # the smallest normal number; 2^23


@lru_cache(maxsize=1)
def vector_functions() -> dict[str, Any]:
    """Return the functions by name, for compiled functions to call; Numba is imported here."""
    from numba import njit, types

    compiled = njit(nogil=True, error_model="numpy")
    real, integer = types.float32, types.int32
    as_real = _intrinsic(integer, real, lambda builder, x, to: builder.bitcast(x, to))
    as_integer = _intrinsic(real, integer, lambda builder, x, to: builder.bitcast(x, to))
    floor = _intrinsic(
        real, real, lambda builder, x, to: builder.call(builder.module.declare_intrinsic("llvm.floor", [to]), [x])
    )

    @compiled  # type: ignore[untyped-decorator]
    def scaled(x: Any) -> Any:
        """Return e^r − 1 and two powers of two, whose product may be no number of float32: x = ln of both + r."""
        x = _LARGEST if x > _LARGEST else (_SMALLEST if x < _SMALLEST else x)
        n = floor(x * _LOG2E + _HALF) if x == x else _ZERO  # NaN has no integer
        r = x - n * _LN2_HIGH - n * _LN2_LOW
        q = (((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5) * (r * r) + r
        k = i32(n)
        half = k >> i32(1)
        return q, as_real(i32((half + i32(127)) << i32(23))), as_real(i32((k - half + i32(127)) << i32(23)))

    @compiled  # type: ignore[untyped-decorator]
    def exp(x: Any) -> Any:
        q, s, t = scaled(x)
        return (q + _ONE) * s * t

    @compiled  # type: ignore[untyped-decorator]
    def expm1(x: Any) -> Any:
        q, s, t = scaled(x)
        # 2^n (e^r − 1) + (2^n − 1), where 1 counts
        return (q + _ONE) * s * t if x > f32(20.0) else q * s * t + (s * t - _ONE)

    @compiled  # type: ignore[untyped-decorator]
    def log(x: Any) -> Any:
        small = x < _NORMAL
        bits = as_integer(x * _SHIFT if small else x)
        n = (bits >> i32(23)) - i32(149 if small else 126)
        m = as_real(i32((bits & i32(0x007FFFFF)) | i32(0x3F000000)))  # x = m 2^n, m in [1/2, 1)
        low = m < f32(0.707106781)
        e = f32(n - i32(1)) if low else f32(n)
        r = (m + m if low else m) - _ONE
        z = r * r
        y = (((((((_L0 * r + _L1) * r + _L2) * r + _L3) * r + _L4) * r + _L5) * r + _L6) * r + _L7) * r + _L8
        y = y * r * z + e * _LN2_LOW - _HALF * z + r + e * _LN2_HIGH
        y = -_INF if x == _ZERO else (_NAN if x < _ZERO else y)
        return y if x < _INF else x

    @compiled  # type: ignore[untyped-decorator]
    def log1p(x: Any) -> Any:
        u = _ONE + x
        v = u - _ONE  # x as far as u has its digits
        # The reciprocal of a large number may be no normal one.
        return x if v == _ZERO else log(u) * (x / v if v < _SHIFT else _ONE)

    @compiled  # type: ignore[untyped-decorator]
    def tanh(x: Any) -> Any:
        size, z = abs(x), x * x
        large = _ONE - _TWO / (exp(size + size) + _ONE)
        y = (((_T0 * z + _T1) * z + _T2) * z + _T3) * z + _T4
        return y * z * x + x if size < f32(0.625) else (-large if x < _ZERO else large)

    functions = {"exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh}
    return {name: _by_dtype(form, getattr(math, name)) for name, form in functions.items()}


def _intrinsic(source: Any, target: Any, lowered: Any) -> Any:
    """Return the function of one number that `lowered(builder, number, type of the result)` builds."""
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def function(typing_context: Any, value: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return lowered(builder, arguments[0], context.get_value_type(target))

        return target(source), lower

    return function


def _by_dtype(of_float32: Any, plain: Any) -> Any:
    """Return the function that is the one for float32, and the other for others."""
    from numba import types
    from numba.extending import overload

    def function(x: Any) -> Any:
        return plain(x)

    @overload(function, jit_options={"nogil": True})  # type: ignore[untyped-decorator]
    def chosen(x: Any) -> Any:
        form = of_float32 if x == types.float32 else plain

        def called(x: Any) -> Any:
            return form(x)

        return called

    return function
