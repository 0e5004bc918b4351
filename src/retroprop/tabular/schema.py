"""The schema of a table: the type of every column, found once on the training data and followed ever after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from retroprop.tabular.column_types import Wishes
from retroprop.tabular.columns import Column
from retroprop.tabular.decimal_marks import find_types
from retroprop.tabular.errors import DataError, listed, near_match, printable, quoted
from retroprop.tabular.matching import matched
from retroprop.tabular.raw import Layout, RawTable
from retroprop.tabular.raw_target import label_type, target_of
from retroprop.tabular.typed import Typed, typed_columns


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The columns of a table and their types.

    Attributes
    ----------
    columns : tuple of Column
        All columns but those dropped, in the order of the training file, with the target.
    target : str
        The column of the target.
    named : bool
        Whether the names come from the data; otherwise they are positions.
    names : tuple of str
        All columns of the training file, with those dropped.
    dropped : tuple of str
        The columns that the user left out.
    layout : Layout
        The form of the training file.
    notes : tuple of str
        One line for everything that was renamed, left out or read in an unusual way.
    """

    columns: tuple[Column, ...]
    target: str
    named: bool
    names: tuple[str, ...]
    dropped: tuple[str, ...]
    layout: Layout
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns to learn from."""
        return tuple(column for column in self.columns if column.is_used and column.name != self.target)

    @property
    def target_column(self) -> Column:
        """The column of the target."""
        return next(column for column in self.columns if column.name == self.target)

    def typed(self, raw: RawTable, *, want_target: bool) -> Typed:
        """Read the columns of `raw` by this schema: nothing is guessed, and every row keeps its place.

        Columns are found by name in any order, or by position where the data or the schema have no names. Columns that
        the schema does not know are ignored, with a note.

        Parameters
        ----------
        raw : RawTable
            A table with the features of the training.
        want_target : bool
            Whether the target must be there; otherwise it is read where it is there and not empty.

        Raises
        ------
        DataError
            If a column is missing, or a cell does not fit its column.
        """
        needed = [column.name for column in self.features]
        found, notes = matched(
            raw, self.names, needed, target=self.target, dropped=self.dropped, named=self.named, width=len(needed)
        )
        typed = typed_columns(raw, self.features, found, (*raw.notes, *notes))
        at = found.get(self.target)
        if at is None:
            if want_target:
                raise DataError(f"{raw.source}: the target {quoted(self.target)} is missing.")
            return typed
        target = target_of(raw, self.target_column, at)
        if target.missing.all() and not want_target:
            return typed  # in the data of a prediction the column of the target may be left empty
        return replace(typed, target=target)

    def to_plain(self) -> dict[str, Any]:
        """Return the schema as a dict that JSON can hold, the argument of `from_plain`."""
        return {
            "columns": [column.to_plain() for column in self.columns],
            "target": self.target,
            "named": self.named,
            "names": list(self.names),
            "dropped": list(self.dropped),
            "layout": self.layout.to_plain(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Rebuild the schema from the dict of `to_plain`."""
        return cls(
            columns=tuple(Column.from_plain(column) for column in plain["columns"]),
            target=plain["target"],
            named=plain["named"],
            names=tuple(plain["names"]),
            dropped=tuple(plain["dropped"]),
            layout=Layout.from_plain(plain["layout"]),
            notes=tuple(plain["notes"]),
        )


def find_schema(
    raw: RawTable,
    *,
    target: str | None,
    drop: Iterable[str] = (),
    categorical: Iterable[str] = (),
    numeric: Iterable[str] = (),
    decimal: str | None = None,
) -> Schema:
    """Return the schema of training data.

    Parameters
    ----------
    raw : RawTable
        The data.
    target : str or None
        The column to learn: its name, else its position (negative: from the end). None takes the target that the data
        name themselves, or the last column of an array without names.
    drop : iterable of str
        Names or positions of columns to leave out.
    categorical, numeric : iterable of str
        Names or positions of columns to read as categories, or as numbers in spite of leading zeros.
    decimal : str or None
        The decimal mark, "." or ",", where numbers such as 1,234 are ambiguous.

    Raises
    ------
    DataError
        If a column does not exist or cannot be read, or nothing is left to learn from.
    """
    names = list(raw.columns)
    if raw.n_rows == 0:
        raise DataError(f"{raw.source} has no rows of data.")
    if decimal not in (None, ".", ","):
        raise DataError(f'decimal="{decimal}" must be "." or ",".')
    dropped = {find_column(given, names, option="drop", source=raw.source) for given in drop}
    chosen = _target(raw, target, names)
    if chosen in dropped:
        raise DataError(f"{raw.source}: column {quoted(chosen)} is both target and dropped.")
    wishes = Wishes(
        target=chosen,
        categorical=frozenset(find_column(n, names, option="categorical", source=raw.source) for n in categorical),
        numeric=frozenset(find_column(n, names, option="numeric", source=raw.source) for n in numeric),
        decimal=decimal,
    )
    found = find_types(raw, [name for name in names if name not in dropped], wishes)
    columns = tuple(_with_labels(raw, f.column) if f.column.name == chosen else f.column for f in found)
    schema = Schema(
        columns=columns,
        target=chosen,
        named=raw.named,
        names=tuple(names),
        dropped=tuple(name for name in names if name in dropped),
        layout=raw.layout,
        notes=tuple(
            printable(note) for note in (*raw.notes, *(f.note for f in found if f.note), *_left_out(columns, chosen))
        ),
    )
    if schema.target_column.kind == "empty":
        raise DataError(f"{raw.source}, column {quoted(chosen)}: the target has no value in any row.")
    if not schema.features:
        raise DataError(f"{raw.source} has no feature column left; its columns are {listed(names)}.")
    return schema


def _target(raw: RawTable, target: str | None, names: list[str]) -> str:
    if target is None:
        if raw.layout.format == "npy" and not raw.named and names:
            return names[-1]
        if raw.target is None:
            raise DataError(
                f"{raw.source}: name the column to learn with target=... (its name or position). "
                f"Columns: {listed(names)}."
            )
        return raw.target
    chosen = find_column(target, names, option="target", source=raw.source)
    if chosen in raw.duplicates:
        raise DataError(f"{raw.source}: the name {quoted(chosen)} of the target stands more than once.")
    return chosen


def find_column(given: str, names: list[str], *, option: str, source: str) -> str:
    """Return the column given by its name, else by its position (negative: from the end).

    Raises
    ------
    DataError
        If there is no such column.
    """
    if given in names:
        return given
    try:
        position = int(given) if given.strip().lstrip("-").isdecimal() else None
    except ValueError:
        position = None
    if position is None:
        raise DataError(
            f"{option}={quoted(given)}: {source} has no such column.{near_match(given, names)} "
            f"Columns: {listed(names)}."
        )
    if not -len(names) <= position < len(names):
        raise DataError(
            f"{option}={position}: {source} has {len(names)} columns, so a position is 0 to {len(names) - 1} "
            f"(or negative, from the end)."
        )
    return names[position]


def _with_labels(raw: RawTable, column: Column) -> Column:
    """Return the column of the target, with the type of its labels."""
    cells = raw.columns[column.name]
    if column.kind != "number" or not cells.is_text:
        return column
    texts = [text for text in cells.factorised[0] if text not in column.missing]
    return replace(column, labels=label_type(texts))


def _left_out(columns: Iterable[Column], target: str) -> list[str]:
    """Return one note for each kind of column that holds nothing to learn from."""
    words = {
        "identifier": "identifiers, which tell rows apart and teach nothing",
        "constant": "columns with one value in all rows",
        "empty": "columns without values",
    }
    notes = []
    for kind, text in words.items():
        names = [column.name for column in columns if column.kind == kind and column.name != target]
        if names:
            notes.append(f"left out, as {text}: {listed(names)}.")
    return notes
