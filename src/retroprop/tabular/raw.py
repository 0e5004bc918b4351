"""The table as it was read, before any column has a type; and the layout of its file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.cells import Cells, plain_numbers
from retroprop.tabular.errors import quoted


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The form of a file, found once; a later file is read by it.

    Attributes
    ----------
    format : str
        "text", "parquet", "npy", "npz", "frame", "arrays" or "built-in".
    separator : str or None
        Of a text file: "," ";" "|" or a tab; " " for white space of any length.
    encoding : str or None
        Of a text file, for example "utf-8".
    header : bool
        Whether the names of the columns stand in the data.
    names : tuple of str
        The names of all columns, as they stood (before duplicates were renamed); empty where there were none.
    width : int
        The number of columns.
    comment : str
        The character that begins a comment line, or "".
    title_lines : int
        The number of lines above the table that are no part of it.
    features, target : str or None
        The arrays of an .npz file.
    """

    format: str
    separator: str | None = None
    encoding: str | None = None
    header: bool = True
    names: tuple[str, ...] = ()
    width: int = 0
    comment: str = ""
    title_lines: int = 0
    features: str | None = None
    target: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return the layout as a dict that JSON can hold, the argument of `from_plain`."""
        return {**asdict(self), "names": list(self.names)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Rebuild the layout from the dict of `to_plain`."""
        return cls(**{**plain, "names": tuple(plain["names"])})


@dataclass(frozen=True, kw_only=True, eq=False)
class RawTable:
    """A table as it stood in its file, frame or array.

    Attributes
    ----------
    source : str
        The name of the data as the user typed it.
    columns : mapping of str to Cells
        The columns in the order of the file. Names are unique: a second "a" is "a.1", a column without a name
        "unnamed 0" by its position; positions "0", "1", ... where the data have no names.
    n_rows : int
        m, the number of observations.
    named : bool
        Whether the names come from the data; otherwise they are positions.
    layout : Layout
        The form of the file.
    target : str or None
        The column that the data themselves call their target: the second array of an .npz file, the target of a
        built-in data set.
    duplicates : tuple of str
        Names that stood more than once.
    notes : tuple of str
        One line for everything that was renamed or left out.
    lines : int array (m,) or None
        The line of a text file at which every row starts; None for other data, which have rows only.
    """

    source: str
    columns: Mapping[str, Cells]
    n_rows: int
    named: bool
    layout: Layout
    target: str | None = None
    duplicates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lines: NDArray[np.int64] | None = field(default=None, repr=False)

    def place(self, row: int) -> str:
        """Return the position of a row for messages: "line 17" of a text file, "row 15" of other data (from 0)."""
        return f"row {row}" if self.lines is None else f"line {self.lines[row]}"

    def where(self, row: int, column: str) -> str:
        """Return the position of a cell for messages: source, line or row, and column."""
        return f"{self.source}, {self.place(row)}, column {quoted(column)}"

    @cached_property
    def numbers(self) -> dict[str, NDArray[np.float64]]:
        """The columns of texts whose cells are all plain numbers or empty (NaN), converted."""
        return plain_numbers({name: cells.values for name, cells in self.columns.items() if cells.is_series})
