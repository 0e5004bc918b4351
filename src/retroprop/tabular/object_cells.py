"""Cells of columns in memory: pandas and polars series, and arrays of Python objects."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.cells import Cells


def cells_of_series(series: Any) -> Cells:
    """Return the cells of a polars series."""
    import polars as pl

    dtype = series.dtype
    if dtype in (pl.Categorical, pl.Enum):
        series, dtype = series.cast(pl.String), pl.String
    if dtype == pl.String:
        stripped = series.str.strip_chars()
        return Cells(stripped.set(stripped.str.len_bytes() == 0, None))
    missing = series.is_null().to_numpy() if series.null_count() else None
    if dtype == pl.Null:
        return Cells(np.zeros(len(series)), np.ones(len(series), dtype=bool))
    if dtype == pl.Boolean:
        return Cells(series.fill_null(False).to_numpy(), missing)
    if dtype.is_decimal() or str(dtype) in ("Int128", "UInt128"):
        return Cells(series.cast(pl.String))
    if dtype.is_integer():
        return Cells(series.fill_null(0).to_numpy(), missing)
    if dtype.is_float():
        return cells_of_floats(series.fill_null(np.nan).to_numpy())
    if dtype in (pl.Date, pl.Datetime):
        moments = series.cast(pl.Datetime("us")).to_numpy().astype("datetime64[s]")
        return Cells(moments, missing)
    return Cells(None, other=str(dtype), n_rows=len(series))


def cells_of_floats(values: NDArray[Any]) -> Cells:
    """Return the cells of an array of floats, in which NaN is a missing value."""
    missing = np.isnan(values)
    return Cells(values, missing if missing.any() else None)


def cells_of_objects(column: Any) -> Cells:
    """Return the cells of a pandas series or of a 1-D array of any data type."""
    if not isinstance(column, np.ndarray):
        dtype = column.dtype
        if not isinstance(dtype, np.dtype):
            return _extension(column, str(dtype))
        column = column.to_numpy()
    kind = column.dtype.kind
    if kind in "iub":
        return Cells(column)
    if kind == "f":
        return cells_of_floats(column)
    if kind == "M":
        return _moments(column)
    if kind == "U":
        return _texts(column.tolist())
    if kind == "O":
        return _objects(column.tolist())
    return Cells(None, other=str(column.dtype), n_rows=len(column))


def _moments(column: NDArray[Any]) -> Cells:
    moments = column.astype("datetime64[s]")
    missing = np.isnat(moments)
    return Cells(moments, missing if missing.any() else None)


def _extension(column: Any, dtype: str) -> Cells:
    """Return the cells of a pandas series whose data type is pandas' own: nullable, string, category, with a zone."""
    missing = column.isna().to_numpy(dtype=bool)
    if dtype.startswith("datetime64"):
        return _moments(column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    if dtype.lower().startswith(("int", "uint", "float", "boolean", "bool")):
        numpy = {"boolean": "bool", "bool": "bool"}.get(dtype.partition("[")[0], dtype.partition("[")[0].lower())
        return Cells(column.to_numpy(dtype=numpy, na_value=0), missing if missing.any() else None)
    if dtype == "category" or dtype.startswith(("str", "string")):
        return _objects([None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)])
    return Cells(None, other=dtype, n_rows=len(column))


def _objects(values: list[Any]) -> Cells:
    """Return the cells of Python objects: of one type where they are, else as texts."""
    gone = [_is_gone(value) for value in values]
    given = [value for value, none in zip(values, gone, strict=True) if not none]
    missing = np.asarray(gone, dtype=bool)
    if not given:
        return Cells(np.zeros(len(values)), missing)
    mask = missing if missing.any() else None
    if all(isinstance(value, (bool, np.bool_)) for value in given):
        return Cells(_filled(values, gone, False, np.dtype(bool)), mask)
    if all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in given):
        integers = np.asarray([int(value) for value in given])
        if integers.dtype.kind in "iu":
            return Cells(_filled(values, gone, 0, integers.dtype), mask)
    elif all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in given):
        return cells_of_floats(_filled(values, gone, np.nan, np.dtype(np.float64)))
    elif all(isinstance(value, date) for value in given):
        return _moments(
            np.asarray([np.datetime64("NaT", "s") if n else _naive(v) for v, n in zip(values, gone, strict=True)])
        )
    other = next((v for v in given if not isinstance(v, (str, bool, int, float, Decimal, np.generic, date))), None)
    if other is not None:
        return Cells(None, other=f"{type(other).__name__} objects", n_rows=len(values))
    return _texts([None if none else str(value) for value, none in zip(values, gone, strict=True)])


def _is_gone(value: Any) -> bool:
    nan = isinstance(value, (float, np.floating)) and bool(np.isnan(value))
    return value is None or nan or type(value).__name__ in ("NAType", "NaTType")


def _filled(values: list[Any], gone: list[bool], filler: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.asarray([filler if none else value for value, none in zip(values, gone, strict=True)], dtype=dtype)


def _naive(moment: date) -> np.datetime64:
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return np.datetime64(int(moment.timestamp()), "s")
    return np.datetime64(moment, "s")


def _texts(values: list[str | None]) -> Cells:
    array = np.empty(len(values), dtype=object)
    array[:] = [text.strip() or None if text is not None else None for text in values]
    return Cells(array)
