"""From typed columns to the inputs of a network: filled, one-hot, in parts, standardised.

Everything is estimated from the training rows alone and stored in the model file, so that a prediction preprocesses
its data as the training did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.column_inputs import (
    MISSING,
    MOST_CATEGORIES,
    CategoryInputs,
    ColumnInputs,
    DateInputs,
    NumberInputs,
    inputs_from_plain,
)
from retroprop.tabular.errors import DataError
from retroprop.tabular.schema import Schema
from retroprop.tabular.standardisation import Standardisation
from retroprop.tabular.typed import Typed

# The scale of a 0/1 input that is rarely 1: a category of one row in ten thousand would otherwise become 100.
_LEAST_SCALE_OF_A_FLAG = 0.1
# In standard deviations from the mean of the training rows: beyond, a network of float32 would overflow.
FARTHEST = 1e4


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The map from typed columns to inputs.

    Attributes
    ----------
    columns : tuple of NumberInputs, CategoryInputs or DateInputs
        The columns that are used, in order.
    standardisation : Standardisation
        Of all inputs.
    """

    columns: tuple[ColumnInputs, ...]
    standardisation: Standardisation

    @classmethod
    def of_schema(cls, schema: Schema, typed: Typed, rows: Any, missing: str) -> Self:
        """Estimate the preprocessing of the features of a schema; `missing` is "fill" or "refuse".

        Raises
        ------
        DataError
            If no column has a value in the training rows, or a value is missing and that is refused.
        """
        categories = {column.name: column.categories for column in schema.features if column.kind == "category"}
        found = cls.fit(typed, [column.name for column in schema.features], categories, rows)
        if not found.columns:
            raise DataError(f"{typed.source} has no feature column with a value in the training rows.")
        if missing == "refuse":
            found.refuse_missing(typed)
        return found

    @classmethod
    def fit(cls, typed: Typed, names: Sequence[str], categories: dict[str, tuple[str, ...]], rows: Any) -> Self:
        """Estimate the preprocessing from the given rows of a table.

        Parameters
        ----------
        typed : Typed
            The table.
        names : sequence of str
            The columns to use, in order; those without any value in `rows` are left out.
        categories : dict of str to tuple of str
            The texts of the codes of each column that is a category. Codes of another column are 0 and 1.
        rows : int array
            The training rows.

        Raises
        ------
        DataError
            If a number is infinite.
        """
        columns: list[ColumnInputs] = []
        for name in names:
            values = _values(typed, name, category=name in categories)[rows]
            if name in categories:
                columns.append(CategoryInputs.fit(name, categories[name], values))
            elif not _missing(values).all():
                columns.append((DateInputs if name in typed.dates else NumberInputs).fit(name, values))
        x = _stacked(columns, [values[rows] for values in _values_of(typed, columns)], len(rows))
        flags = np.all((x == 0.0) | (x == 1.0), axis=0)
        return cls(
            columns=tuple(columns), standardisation=Standardisation.fit(x, np.where(flags, _LEAST_SCALE_OF_A_FLAG, 0.0))
        )

    def __call__(self, typed: Typed) -> NDArray[np.float64]:
        """Return the inputs, float64 (m, n_1), of a table, clipped to `FARTHEST` standard deviations.

        Raises
        ------
        DataError
            If a number is infinite.
        """
        return np.clip(self._standardised(typed), -FARTHEST, FARTHEST)

    def far(self, typed: Typed) -> dict[str, int]:
        """Return the first row of each column with a value so far from those of training that it is clipped."""
        beyond = np.abs(self._standardised(typed)) > FARTHEST
        owners = [column.name for column in self.columns for _ in column.names]
        found = {owners[at]: int(np.argmax(beyond[:, at])) for at in np.flatnonzero(beyond.any(axis=0))}
        return dict(sorted(found.items()))

    def _standardised(self, typed: Typed) -> NDArray[np.float64]:
        return self.standardisation(_stacked(self.columns, _values_of(typed, self.columns), typed.n_rows))

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return [name for column in self.columns for name in column.names]

    def missing(self, typed: Typed, rows: Any = slice(None)) -> dict[str, int]:
        """Return how many values of each column are missing in some rows, for columns where any is."""
        counts = {column.name: int(_missing(_raw(typed, column.name)[rows]).sum()) for column in self.columns}
        return {name: count for name, count in counts.items() if count}

    def refuse_missing(self, typed: Typed) -> None:
        """Raise DataError at the first missing value."""
        for name in self.missing(typed):
            row = int(np.argmax(_missing(_raw(typed, name))))
            raise DataError(f"{typed.where(row, name)}: the value is missing.")

    def to_plain(self) -> dict[str, Any]:
        """Return the preprocessing as a dict that JSON can hold, the argument of `from_plain`."""
        return {
            "columns": [column.to_plain() for column in self.columns],
            "standardisation": self.standardisation.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Rebuild the preprocessing from the dict of `to_plain`."""
        return cls(
            columns=tuple(inputs_from_plain(column) for column in plain["columns"]),
            standardisation=Standardisation.from_plain(plain["standardisation"]),
        )


def described(column: ColumnInputs) -> str:
    """Return the value that stands for a missing one in a column, in words."""
    if isinstance(column, CategoryInputs):
        return "a category of its own" if column.missing else "none of its categories"
    if isinstance(column, DateInputs):
        return f"the median date {np.datetime64(column.fill, 's')}"
    return f"the median {column.fill:g}"


def grouped(column: ColumnInputs) -> str | None:
    """Return in words that rare categories share an input, or None where each has its own."""
    if isinstance(column, CategoryInputs) and column.other:
        return f"{len(column.texts)} categories: the {MOST_CATEGORIES} most frequent have inputs of their own"
    return None


def _raw(typed: Typed, name: str) -> NDArray[Any]:
    for columns in (typed.numbers, typed.dates, typed.codes):
        if name in columns:
            found: NDArray[Any] = columns[name]
            return found
    raise KeyError(name)


def _values_of(typed: Typed, columns: Sequence[ColumnInputs]) -> list[NDArray[Any]]:
    return [_values(typed, column.name, category=isinstance(column, CategoryInputs)) for column in columns]


def _values(typed: Typed, name: str, *, category: bool) -> NDArray[Any]:
    """Return the values of a column in the form that its inputs take: booleans as 0, 1 and NaN."""
    values = _raw(typed, name)
    if values.dtype.kind == "f" and np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise DataError(f"{typed.where(row, name)}: {values[row]} is not a finite number.")
    if name in typed.codes and not category:
        return np.where(values < 0, np.nan, values.astype(np.float64))
    return values


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where values are missing: NaN, NaT, or the code of a missing category."""
    if values.dtype.kind == "i":
        return np.asarray(values == MISSING)
    return np.asarray(np.isnat(values) if values.dtype.kind == "M" else np.isnan(values))


def _stacked(columns: Sequence[ColumnInputs], values: Sequence[NDArray[Any]], m: int) -> NDArray[np.float64]:
    """Return the raw inputs of all columns as one matrix (m, n_1)."""
    x = np.empty((m, sum(len(column.names) for column in columns)))
    at = 0
    for column, own in zip(columns, values, strict=True):
        for inputs in column.raw(own):
            x[:, at] = inputs
            at += 1
    return x
