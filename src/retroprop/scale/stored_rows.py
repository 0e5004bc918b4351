"""Rows in a file: the common base of the sources of all formats."""

from pathlib import Path
from typing import Any, Self

import numpy

from retroprop.functions.types import Array
from retroprop.training.row_source import loaded


class StoredRows:
    """A source of rows, as `RowSource` describes it, which can be sliced, loaded and pickled.

    `source[1000:2000]` are some of its rows, again as a source; one that begins at a multiple of `chunk_rows` is read
    without reading any chunk twice. `numpy.asarray(source)` loads all rows.

    A subclass sets the attributes, and defines `read_range`.

    Attributes
    ----------
    shape : tuple of int
        The number of rows, and the shape of a row.
    dtype : numpy.dtype
        Of the numbers.
    chunk_rows : int
        The rows that are read together.
    """

    shape: tuple[int, ...]
    dtype: Any
    chunk_rows: int
    _watched: Path | None = None  # a file whose change is one of the data
    _signature: tuple[int, ...] | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def read_range(self, start: int, stop: int, into: Array) -> None:
        """Write consecutive rows into an array."""
        raise NotImplementedError

    def read(self, rows: Any, into: Array) -> None:
        """Write rows, a slice or valid indices, into an array.

        Raises
        ------
        OSError
            If they cannot be read, or if the file has been changed or removed.
        """
        if isinstance(rows, slice):
            self._read(rows.start, rows.stop, into)
            return
        chunks = rows // self.chunk_rows
        for chunk in numpy.unique(chunks).tolist():
            start = chunk * self.chunk_rows
            stop = min(start + self.chunk_rows, self.shape[0])
            whole = numpy.empty((stop - start, *self.shape[1:]), self.dtype)
            self._read(start, stop, whole)
            which = chunks == chunk
            into[which] = whole[rows[which] - start]

    def __getitem__(self, rows: Any) -> "RowRange":
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError(f"a source gives a range of rows, as in source[0:1000], not source[{rows!r}].")
        start, stop, _ = rows.indices(self.shape[0])
        return RowRange(self, start, max(start, stop))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("rows in a file become an array by a copy.")
        return numpy.asarray(loaded(self), dtype)

    def watch(self, path: Path) -> Self:
        """Raise from now on if this file is changed or removed."""
        self._watched, self._signature = path, _signature_of(path)
        return self

    def _read(self, start: int, stop: int, into: Array) -> None:
        if self._watched is not None:
            try:
                now = _signature_of(self._watched)
            except OSError as error:
                raise OSError(f"{self!r} was removed while it was in use ({error.strerror}): restore it.") from error
            if now != self._signature:
                raise OSError(f"{self!r} was changed while it was in use: open it again, and begin the training anew.")
        try:
            self.read_range(start, stop, into)
        except (MemoryError, UnreadableRowsError):
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            raise UnreadableRowsError(
                f"{self!r}: the rows {start} to {stop - 1} cannot be read ({type(error).__name__}: {reason}): the file "
                "is damaged or incomplete, write it again."
            ) from error


class UnreadableRowsError(OSError):
    """Rows that are announced and cannot be read."""


class RowRange(StoredRows):
    """A range of the rows of a source."""

    def __init__(self, source: StoredRows, start: int, stop: int) -> None:
        self._source, self._start = source, start
        self.shape = (stop - start, *source.shape[1:])
        self.dtype, self.chunk_rows = source.dtype, source.chunk_rows

    def read_range(self, start: int, stop: int, into: Array) -> None:
        """Write consecutive rows into an array."""
        self._source.read(slice(self._start + start, self._start + stop), into)

    def _read(self, start: int, stop: int, into: Array) -> None:
        self.read_range(start, stop, into)  # its source says what is wrong

    def __repr__(self) -> str:
        return f"{self._source!r}[{self._start}:{self._start + self.shape[0]}]"


def path_of(given: Any, kind: str) -> Path:
    """Return the path of a file or folder that is there.

    Raises
    ------
    FileNotFoundError
        If it is not.
    """
    path = Path(given)
    if not path.exists():
        raise FileNotFoundError(f'no {kind} "{path}".')
    return path


def _signature_of(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino
