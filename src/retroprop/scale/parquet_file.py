"""The rows of a Parquet file, read row group by row group."""

import os
from collections.abc import Sequence
from typing import Any

import numpy

from retroprop.functions.names import suggestion
from retroprop.functions.types import Array
from retroprop.scale.opened_parquet import opened
from retroprop.scale.parquet_columns import ParquetColumn
from retroprop.scale.stored_rows import StoredRows, path_of

SIDE = 64  # columns that are turned into rows at a time, which a processor's cache holds


class Parquet(StoredRows):
    """Columns of a Parquet file as rows.

    Parameters
    ----------
    path : str or path
        The file.
    columns : str or sequence of str, optional
        The columns, in this order: of numbers or booleans or, each row a vector, of fixed-size lists of numbers or
        fixed-size binary values (bytes). One name is one column: shape (m,), or (m, n) of vectors. By default all.
    drop : str or sequence of str
        Columns that are left out of all.

    Raises
    ------
    ImportError
        Without pyarrow: pip install "retroprop[parquet]".
    FileNotFoundError, TypeError, ValueError
        If there is no such file or column, or if a column holds other things than numbers, or missing values.
    """

    def __init__(
        self, path: Any, columns: str | Sequence[str] | None = None, *, drop: str | Sequence[str] = ()
    ) -> None:
        self.path = path_of(path, "Parquet file")
        self.watch(self.path)
        self._opened = opened(self.path, self._signature)
        schema, found = self._opened.file.schema_arrow, self._opened.file.metadata
        left_out = (drop,) if isinstance(drop, str) else tuple(drop)
        one = isinstance(columns, str)
        names = [columns] if isinstance(columns, str) else list(schema.names if columns is None else columns)
        for name in (*names, *left_out):
            if name not in schema.names:
                raise ValueError(f'"{self.path}" has no column {name!r}.{suggestion(name, schema.names, {})}')
        if columns is not None and left_out:
            raise ValueError("columns and drop are two ways to choose columns: pass one of them.")
        self._columns = [ParquetColumn(str(self.path), schema.field(n)) for n in names if n not in left_out]
        if not self._columns:
            raise ValueError(f'"{self.path}": no column is left.')
        self._names, groups = [column.name for column in self._columns], range(found.num_row_groups)
        sizes = [found.row_group(group).num_rows for group in groups]
        self._ends = numpy.cumsum([0, *sizes])
        self.dtype = numpy.result_type(*(column.dtype for column in self._columns))
        n = sum(column.width for column in self._columns)
        self.shape = (found.num_rows,) if one and not self._columns[0].is_vector else (found.num_rows, n)
        self.chunk_rows = max(sizes, default=1) or 1
        self._refuse_missing(found)

    def read_range(self, start: int, stop: int, into: Array) -> None:
        """Write consecutive rows into an array."""
        if self._opened.process != os.getpid():
            self._opened = opened(self.path, self._signature)
        first, last = numpy.searchsorted(self._ends, [start, stop - 1], "right") - 1
        for group in range(first, last + 1):
            begin, end = (int(self._ends[group + i]) for i in (0, 1))
            table = self._opened.read(group, self._names)
            inner = slice(max(start - begin, 0), min(stop, end) - begin)
            part = into[begin + inner.start - start : begin + inner.stop - start]
            arrays = [column.numbers(table.column(column.name), begin)[inner] for column in self._columns]
            self._write(arrays, part.reshape(len(part), -1))

    def _write(self, arrays: list[Array], into: Array) -> None:
        """Write columns side by side into rows."""
        if not any(column.is_vector for column in self._columns):
            for at in range(0, len(arrays), SIDE):
                into[:, at : at + SIDE] = numpy.stack(arrays[at : at + SIDE]).T
            return
        at = 0
        for column, numbers in zip(self._columns, arrays, strict=True):
            into[:, at : at + column.width] = numbers.reshape(len(into), column.width)
            at += column.width

    def _refuse_missing(self, found: Any) -> None:
        """Raise ValueError for missing values that the statistics of the file announce."""
        wanted = set(self._names)
        for group in range(found.num_row_groups):
            row_group = found.row_group(group)
            for at in range(row_group.num_columns):
                column = row_group.column(at)
                if column.path_in_schema in wanted and column.is_stats_set and column.statistics.null_count:
                    raise ValueError(
                        f'column "{column.path_in_schema}" of "{self.path}" has {column.statistics.null_count} missing '
                        f"value(s) in its row group {group}: fill them or leave their rows out; tabular.fit fills them."
                    )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._opened = opened(self.path, self._signature)

    def __repr__(self) -> str:
        return f'Parquet("{self.path}")'
