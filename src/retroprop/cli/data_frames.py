"""Reading .parquet files, and turning the columns of a polars frame into features and target."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.errors import CommandError, need
from retroprop.cli.table import DataTable, Selection, choose_columns

# (row, column name, fault of that cell) -> the error that locates it in the file.
Fault = Callable[[int, str, str], CommandError]


def read_parquet(path: Path, source: str, selection: Selection) -> DataTable:
    """Read a .parquet file.

    Raises
    ------
    CommandError
        If polars is missing, the file cannot be read, or a cell is missing or not a number.
    """
    if selection.header is not None:
        raise CommandError(f"--header and --no-header are for .csv files; {source} is not one.")
    pl = need("polars", extra="data", purpose=f'reading "{source}"')
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CommandError(f'"{source}": not a readable .parquet file ({str(error).splitlines()[0]}).') from error
    return table_of_frame(frame, source, selection, place=lambda row: f"row {row}", named=True)


def table_of_frame(
    frame: Any, source: str, selection: Selection, *, place: Callable[[int], str], named: bool
) -> DataTable:
    """Convert a polars frame to a table: numbers unchanged, booleans as 0 and 1, text as categories.

    Parameters
    ----------
    frame : polars.DataFrame
        The data. A column of text is read as numbers if at least half of its cells are; any other cell is a fault.
    source : str
        The name of the data as the user typed it.
    selection : Selection
        The target, and the columns to leave out.
    place : callable
        Maps row i to its position for messages, for example "line 17".
    named : bool
        Whether the column names come from the data; otherwise they are positions.

    Raises
    ------
    CommandError
        If a column cannot be used, or a cell is missing or not a number.
    """
    if selection.features is not None:
        raise CommandError(f"--features names an array of an .npz file; {source} has columns: use --drop.")
    names = frame.columns
    features, target = choose_columns(names, selection, source, named=named)

    def fault(row: int, column: str, reason: str) -> CommandError:
        return CommandError(f'{source}, {place(row)}, column "{column}": {reason}.')

    x = np.empty((frame.height, len(features)))
    categories: dict[str, tuple[str, ...]] = {}
    for i, position in enumerate(features):
        column: NDArray[Any] = _column(frame.to_series(position), source, fault)
        if column.dtype.kind == "U" and {text.lower() for text in np.unique(column)} <= {"true", "false"}:
            column = np.char.lower(column) == "true"
        elif column.dtype.kind == "U":
            texts, column = np.unique(column, return_inverse=True)
            categories[names[position]] = tuple(str(text) for text in texts)
        x[:, i] = column
    return DataTable(
        source=source,
        x=x,
        feature_names=tuple(names[i] for i in features),
        named=named,
        y=_target(frame, target, source, fault, needed=selection.target_needed),
        target_name=None if target is None else names[target],
        categories=categories,
        dropped=tuple(name for i, name in enumerate(names) if i not in features and i != target),
        place=place,
    )


def _target(frame: Any, target: int | None, source: str, fault: Fault, *, needed: bool) -> NDArray[Any] | None:
    if target is None:
        return None
    series = frame.to_series(target)
    if not needed and series.null_count() == frame.height:
        return None  # in the data of a prediction the target column may be left empty
    if str(series.dtype) == "Boolean":
        series = series.cast(str)
    return _column(series, source, fault)


def _column(series: Any, source: str, fault: Fault) -> NDArray[Any]:
    """Return a column as float64 numbers, or as text if most of its cells are not numbers."""
    missing = series.is_null()
    if missing.any():
        raise fault(int(missing.arg_max()), series.name, "the value is missing")
    if series.dtype.is_numeric() or str(series.dtype) == "Boolean":
        return np.asarray(series.cast(float).to_numpy(), dtype=np.float64)
    if str(series.dtype).partition("(")[0] in ("Categorical", "Enum"):
        series = series.cast(str)
    if str(series.dtype) not in ("String", "Utf8"):
        raise CommandError(
            f'{source}, column "{series.name}": {series.dtype} is neither number nor text; leave it out with '
            f'--drop "{series.name}".'
        )
    return _numbers_or_text(series, fault)


def _numbers_or_text(series: Any, fault: Fault) -> NDArray[Any]:
    numbers = series.cast(float, strict=False)
    n_bad = numbers.null_count()
    if n_bad == 0:
        return np.asarray(numbers.to_numpy(), dtype=np.float64)
    if 2 * n_bad <= len(series):
        row = int(numbers.is_null().arg_max())
        raise fault(row, series.name, f'"{series[row]}" is not a number, unlike most of this column')
    return np.asarray(series.to_list(), dtype=np.str_)
