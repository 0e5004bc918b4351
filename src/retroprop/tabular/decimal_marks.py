"""The decimal mark of a table: where a number such as 1,234 or 1.234 is ambiguous, the other columns decide."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retroprop.tabular.column_types import Found, Wishes, find_column_type
from retroprop.tabular.errors import AmbiguousError, DataError, quoted
from retroprop.tabular.number_texts import NumberFormat
from retroprop.tabular.raw import RawTable

_GROUPED = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"


def find_types(raw: RawTable, names: Sequence[str], wishes: Wishes) -> list[Found]:
    """Return the kinds of the columns `names`.

    Raises
    ------
    DataError
        If a column cannot be read, or its decimal mark is ambiguous and no other column decides.
    """
    found: dict[str, Found] = {}
    ambiguous: dict[str, AmbiguousError] = {}
    for name in names:
        try:
            found[name] = find_column_type(raw, name, wishes)
        except AmbiguousError as error:
            ambiguous[name] = error
    marks = {mark for name in found if (mark := _mark(raw, found[name]))} if ambiguous or _separates(raw) else set()
    for name, undecided in ambiguous.items():
        if len(marks) != 1:
            raise undecided
        found[name] = find_column_type(raw, name, replace(wishes, decimal=min(marks)))
    if "," in marks and wishes.decimal is None:
        _refuse_points(raw, [name for name in names if found[name].column.format == NumberFormat()])
    return [found[name] for name in names]


def _separates(raw: RawTable) -> bool:
    """Return whether the file is one in which decimal commas may stand."""
    return raw.layout.format == "text" and raw.layout.separator != ","


def _mark(raw: RawTable, found: Found) -> str:
    """Return the decimal mark of a column of numbers, or "" where it shows none."""
    format = found.column.format
    if format is None:
        return ""
    if format.decimal == "," or format.thousands == ",":
        return "," if format.decimal == "," else "."
    numbers = raw.numbers.get(found.column.name)
    fractions = numbers is not None and bool((np.floor(numbers) != numbers)[~np.isnan(numbers)].any())
    return "." if fractions else ""


def _refuse_points(raw: RawTable, names: Sequence[str]) -> None:
    """Raise DataError where, in a table with decimal commas, every point of a column may separate thousands."""
    for name in names:
        series = raw.columns[name].values
        points = series.str.contains(".", literal=True) if raw.columns[name].is_series else None
        if points is not None and points.any() and series.filter(points).str.contains(_GROUPED).all():
            row = int(points.fill_null(False).arg_max())
            raise DataError(
                f"{raw.where(row, name)}: the point of {quoted(series[row])} may be a thousands separator, because "
                f"other columns have decimal commas; say which (decimal=...)."
            )
