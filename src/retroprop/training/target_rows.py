"""Targets that are read as the training needs them: the dtype, the shape and the checks of targets in memory."""

from typing import Any

from retroprop.backends import host, host_backend
from retroprop.backends.intake.batch import INDEX_DTYPE, take_targets
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.core.architecture import Architecture
from retroprop.functions.types import Array
from retroprop.training.row_source import PART, chunk_rows_of, is_source
from retroprop.training.source_rows import SourceRows


def is_stored(y: Any) -> bool:
    """Return whether targets are in a file or a source, not in memory."""
    return host.is_mapped(y) or is_source(y)


class MappedArray:
    """A file mapped into memory, as a source."""

    def __init__(self, array: Any, name: str) -> None:
        self._array = host.as_host(array, name)
        self.shape, self.ndim, self.dtype = self._array.shape, self._array.ndim, self._array.dtype

    def read(self, rows: Any, into: Array) -> None:
        """Write rows into an array."""
        into[...] = self._array[rows]


class TargetRows(Mapped):
    """Targets of m rows, in the form of `take_targets`: class indices (m,), or rows (m, n_L).

    Raises
    ------
    TypeError, ValueError
        For another kind of data or shape, NaN, inf, or values the loss has no meaning for; all are read once.
    """

    def __init__(self, architecture: Architecture, dtype: str, y: Any, m: int, *, name: str = "y") -> None:
        self._rows = SourceRows(y if is_source(y) else MappedArray(y, name), name=name, dtype=dtype)
        stored, self.chunk_rows = self._rows.shape, chunk_rows_of(y)
        if stored[:1] != (m,):
            raise ValueError(
                f"x and {name} must have one row each for an observation: x has {m} rows, {name} the shape {stored}."
            )
        a_row = max(self._rows.own(slice(0, 1)).nbytes, 1)
        chunk = self.chunk_rows or 1
        step = max(PART // a_row // chunk, 1) * chunk
        for at in range(0, m, step):
            rows = slice(at, min(at + step, m))
            part = self._rows.own(rows)
            where = name if m <= step else f"{name}[{rows.start}:{rows.stop}]"
            taken = take_targets(host_backend(), architecture, dtype, part, (len(part),), check=True, name=where)
        indices = taken.ndim == 1
        self.shape = (m, *taken.shape[1:])
        self.ndim, self.dtype = taken.ndim, host.xp.dtype(INDEX_DTYPE if indices else dtype)

    def check(self) -> None:
        """Do nothing: they are checked."""

    def read(self, rows: Any, into: Array) -> None:
        """Write the `rows`, a slice or valid indices, into an array of `dtype`."""
        into[...] = self._rows.own(rows).reshape(into.shape)
