"""The data table of a command, and the choice of its feature and target columns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.errors import CommandError, listed, near_match


def _row(index: int) -> str:
    return f"row {index}"


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """Features and target, as read from a file or bundled with scikit-learn.

    Attributes
    ----------
    source : str
        The name of the data as the user typed it.
    x : float64 array (m, n)
        The features; a text column holds indices of its `categories`.
    feature_names : tuple of str, length n
        The names of the columns, or their positions in a file without names.
    named : bool
        Whether the names come from the data; otherwise they are positions.
    y : float64 or str array (m,), or None
        The target.
    target_name : str or None
        The column of the target.
    categories : dict of str to tuple of str
        The different texts of every text column.
    dropped : tuple of str
        Columns that were left out.
    place : callable
        Maps row i to its position for messages, for example "line 17".
    """

    source: str
    x: NDArray[np.float64]
    feature_names: tuple[str, ...]
    named: bool
    y: NDArray[Any] | None = None
    target_name: str | None = None
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    place: Callable[[int], str] = _row

    @property
    def n_rows(self) -> int:
        """m, the number of observations."""
        return len(self.x)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The user's choice of target, features and columns to leave out.

    Attributes
    ----------
    target : str or None
        Name or position of the target column; in an .npz file the name of an array.
    features : str or None
        The array of an .npz file that holds the features.
    drop : tuple of str
        Names or positions of columns to leave out.
    ignored : tuple of str
        Names of columns to leave out where they exist.
    header : bool or None
        Whether the first line of a .csv file holds names; None detects it.
    target_needed : bool
        Whether a target is required (training) or optional (prediction).
    width : int or None
        For prediction: the number of columns of the training file. A file without names contains the target and the
        ignored columns only if it has that many columns.
    """

    target: str | None = None
    features: str | None = None
    drop: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    header: bool | None = None
    target_needed: bool = True
    width: int | None = None


def find_column(given: str, names: list[str], *, option: str, source: str) -> int:
    """Return the position of a column given by its name, else by its position (negative: from the end).

    Raises
    ------
    CommandError
        If there is no such column.
    """
    if given in names:
        return names.index(given)
    try:
        position = int(given)
    except ValueError:
        raise CommandError(
            f'{option} "{given}": {source} has no such column.{near_match(given, names)} Columns: {listed(names)}.'
        ) from None
    if not -len(names) <= position < len(names):
        raise CommandError(
            f"{option} {given}: {source} has {len(names)} columns, so a position is 0 to {len(names) - 1} "
            f"(or negative, from the end)."
        )
    return position % len(names)


def choose_columns(names: list[str], selection: Selection, source: str, *, named: bool) -> tuple[list[int], int | None]:
    """Return the positions of the features and of the target; `named` says whether the names come from the data.

    Raises
    ------
    CommandError
        If a column does not exist or is both target and dropped, or if no feature is left.
    """
    dropped = {find_column(name, names, option="--drop", source=source) for name in selection.drop}
    target = None
    if selection.target_needed:
        if selection.target is None:
            raise CommandError(
                f"{source}: name the column to learn with --target NAME (or its position). Columns: {listed(names)}."
            )
        target = find_column(selection.target, names, option="--target", source=source)
        if target in dropped:
            raise CommandError(f'"{names[target]}" is both --target and --drop.')
    elif named or len(names) == selection.width:
        dropped |= {i for i, name in enumerate(names) if name in selection.ignored}
        if selection.target in names and names.index(selection.target) not in dropped:
            target = names.index(selection.target)
    features = [i for i in range(len(names)) if i != target and i not in dropped]
    if not features:
        raise CommandError(f"{source} has no feature column left; its columns are {listed(names)}.")
    return features, target


def check_table(table: DataTable) -> DataTable:
    """Return `table` after checking that it has rows and that every number is finite.

    Raises
    ------
    CommandError
        If it fails; the message names the first row and column at fault.
    """
    if table.n_rows == 0:
        raise CommandError(f"{table.source} has no rows of data.")
    _refuse_not_finite(table, table.x, table.feature_names)
    if table.y is not None and table.y.dtype.kind == "f":
        _refuse_not_finite(table, table.y[:, None], (table.target_name or "target",))
    return table


def _refuse_not_finite(table: DataTable, values: NDArray[np.float64], names: tuple[str, ...]) -> None:
    # Fast path: the sum is finite unless a term is not. If it merely overflowed, the full check below decides.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return
    rows, columns = np.nonzero(~np.isfinite(values))
    if rows.size:
        row, column = int(rows[0]), int(columns[0])
        value = values[row, column]
        fault = "the value is missing (NaN)" if np.isnan(value) else f"{value} is not a finite number"
        raise CommandError(f'{table.source}, {table.place(row)}, column "{names[column]}": {fault}.')
