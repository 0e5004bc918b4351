"""The preprocessing of a table as formulas over any namespace, from raw columns (m, 1) to inputs, to be recorded.

They are those of `retroprop.tabular.column_inputs`; a test holds the two equal.
"""

from math import nan, pi

from retroprop.functions.types import Array, Namespace
from retroprop.tabular.column_inputs import CategoryInputs, DateInputs, NumberInputs
from retroprop.tabular.preprocessing import FARTHEST, Preprocessing

_DAY = 86400.0


def inputs_of(preprocessing: Preprocessing, columns: tuple[Array, ...], xp: Namespace, *, fills: bool) -> Array:
    """Return the standardised inputs (m, n_1).

    Parameters
    ----------
    preprocessing : Preprocessing
        The columns and their standardisation.
    columns : tuple of array (m, 1)
        Numbers, seconds since 1970 (both float64, NaN is missing) and codes of categories (int64, below 0 is missing).
    xp : namespace
        Of the arrays.
    fills : bool
        Whether missing numbers and dates are filled; otherwise they stay NaN.
    """
    parts: list[Array] = []
    for column, values in zip(preprocessing.columns, columns, strict=True):
        if isinstance(column, CategoryInputs):
            parts += _category(column, values, xp)
        elif isinstance(column, DateInputs):
            parts += _date(column, values, xp, column.fill if fills else nan)
        else:
            parts += _number(column, values, xp, column.fill if fills else nan)
    x = parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)
    own = preprocessing.standardisation
    unit, mean, scale = (xp.asarray([values], dtype="float64") for values in (own.unit, own.mean, own.scale))
    constant = scale == 0.0
    x = xp.where(constant, 0.0, (x / unit - mean) / xp.where(constant, 1.0, scale))
    return xp.minimum(xp.maximum(x, -FARTHEST), FARTHEST)


def _number(column: NumberInputs, values: Array, xp: Namespace, fill: float) -> list[Array]:
    missing = xp.isnan(values)
    filled = xp.where(missing, fill, values)
    return [filled, xp.astype(missing, "float64")] if column.indicator else [filled]


def _category(column: CategoryInputs, codes: Array, xp: Namespace) -> list[Array]:
    own = xp.astype(codes == xp.asarray([column.kept], dtype="int64"), "float64")
    found = [own] if column.kept else []
    if column.other:
        found.append(xp.astype(codes >= 0, "float64") - xp.sum(own, axis=-1, keepdims=True))
    if column.missing:
        found.append(xp.astype(codes < 0, "float64"))
    return found


def _date(column: DateInputs, values: Array, xp: Namespace, fill: float) -> list[Array]:
    missing = xp.isnan(values)
    seconds = xp.where(missing, fill, values)
    days = xp.floor(seconds / _DAY)
    year = _year_of(days, xp)
    begin = _first_day(year, xp)
    turns = [
        (seconds - begin * _DAY) / ((_first_day(year + 1.0, xp) - begin) * _DAY),
        _turn(seconds / _DAY + 3.0, 7.0, xp),
    ]
    if column.clock:
        turns.append(seconds / _DAY - days)
    # cos x = sin(x + π/2): some runtimes have no cosine of float64
    circles = [xp.sin(2.0 * pi * turn + shift) for turn in turns for shift in (0.0, pi / 2.0)]
    return [seconds / _DAY, *circles, *([xp.astype(missing, "float64")] if column.indicator else [])]


def _turn(value: Array, period: float, xp: Namespace) -> Array:
    return value / period - xp.floor(value / period)


def _year_of(days: Array, xp: Namespace) -> Array:
    """Return the year of a day counted from 1970 (H. Hinnant, "chrono-compatible low-level date algorithms")."""
    shifted = days + 719468.0  # from 1 March of the year 0
    era = xp.floor(shifted / 146097.0)
    of_era = shifted - era * 146097.0
    year = xp.floor(
        (of_era - xp.floor(of_era / 1460.0) + xp.floor(of_era / 36524.0) - xp.floor(of_era / 146096.0)) / 365.0
    )
    of_year = of_era - (365.0 * year + xp.floor(year / 4.0) - xp.floor(year / 100.0))
    return year + era * 400.0 + xp.astype(of_year >= 306.0, "float64")  # January and February belong to the next one


def _first_day(year: Array, xp: Namespace) -> Array:
    """Return 1 January of a year, in days from 1970."""
    before = year - 1.0
    return 365.0 * before + xp.floor(before / 4.0) - xp.floor(before / 100.0) + xp.floor(before / 400.0) - 719162.0
