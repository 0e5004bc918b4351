"""The columns of a table with their types, as a schema reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.columns import Column
from retroprop.tabular.raw import RawTable
from retroprop.tabular.raw_target import RawTarget
from retroprop.tabular.values import category_codes, dates_in, numbers_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Typed:
    """A table whose columns have types: each stands in `numbers`, `codes` or `dates`, by its name in training.

    Attributes
    ----------
    raw : RawTable
        The table as it was read.
    numbers : mapping of str to float64 array (m,)
        Numbers, NaN where missing.
    codes : mapping of str to int64 array (m,)
        Categories and booleans: the index in `Column.categories`, -1 where missing, -2 where unknown. A boolean is 0
        (false) or 1.
    dates : mapping of str to datetime64[s] array (m,)
        Dates, NaT where missing.
    unknown : mapping of str to dict
        For every column with codes of -2: the unknown texts, with the first row of each.
    target : RawTarget or None
        The target, where it is there.
    notes : tuple of str
        One line for everything that was ignored or is unusual.
    """

    raw: RawTable
    numbers: Mapping[str, NDArray[np.float64]]
    codes: Mapping[str, NDArray[np.int64]]
    dates: Mapping[str, NDArray[np.datetime64]]
    unknown: Mapping[str, dict[str, int]]
    target: RawTarget | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """m, the number of observations."""
        return self.raw.n_rows

    @property
    def source(self) -> str:
        """The name of the data as the user typed it."""
        return self.raw.source

    def place(self, row: int) -> str:
        """Return the position of a row for messages: "line 17" or "row 15"."""
        return self.raw.place(row)

    def where(self, row: int, column: str) -> str:
        """Return the position of a cell for messages: source, line or row, and column."""
        return self.raw.where(row, column)


def typed_columns(raw: RawTable, columns: Iterable[Column], found: Mapping[str, str], notes: tuple[str, ...]) -> Typed:
    """Return the columns of `raw` with the types of `columns`; `found` maps their names to those of `raw`.

    Raises
    ------
    DataError
        If a cell does not fit its column.
    """
    numbers, codes, dates, unknown = {}, {}, {}, {}
    for column in columns:
        name = found[column.name]
        if column.kind == "number":
            numbers[column.name] = numbers_of(raw, name, column)
        elif column.kind == "date":
            dates[column.name] = dates_in(raw, name, column)
        else:
            codes[column.name], unknown[column.name] = category_codes(raw, name, column)
    return Typed(
        raw=raw,
        numbers=numbers,
        codes=codes,
        dates=dates,
        unknown={name: texts for name, texts in unknown.items() if texts},
        notes=notes,
    )
