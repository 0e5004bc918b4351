"""A source of rows: data that a training reads as it needs them, such as a file larger than memory."""

from math import prod
from typing import Any, Protocol, TypeGuard, runtime_checkable

from retroprop.backends import host
from retroprop.functions.types import Array

PART = 2**24  # bytes that are read at a time where all rows are read once


@runtime_checkable
class RowSource(Protocol):
    """Rows that are read on demand: an object with these four attributes is accepted as the `x` or `y` of `rp.fit`.

    A source whose rows are stored in chunks has a fifth, `chunk_rows`: the number of rows of a chunk, which can be read
    only as a whole. They begin at row 0; the last may be shorter. Such a source is asked for whole chunks.

    `read` is called by a thread of the training, never by two at once for one source, though x and y may be read at the
    same time.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of a row."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def dtype(self) -> Any:
        """The NumPy dtype of the numbers that `read` gives."""

    def read(self, rows: Any, into: Any, /) -> None:
        """Write rows into a NumPy array of this dtype, in C order.

        Parameters
        ----------
        rows : slice or integer array
            The rows: a slice with a start, a stop and no step; or indices in [0, shape[0]), in any order.
        into : numpy.ndarray
            As many rows; all of them must be written.
        """


def is_source(x: Any) -> TypeGuard[RowSource]:
    """Return whether `x` is a source of rows, and no array."""
    return callable(getattr(x, "read", None)) and isinstance(x, RowSource)


def refuse_others(x: Any, name: str) -> None:
    """Raise TypeError for an array in chunks that is no source, such as zarr's own."""
    if hasattr(x, "chunks") and hasattr(x, "__getitem__") and not is_source(x):
        raise TypeError(
            f"{name} is {type(x).__module__}.{type(x).__name__}, an array in chunks: pass rp.scale.Zarr({name}) if "
            "it is zarr's, or an object with shape, ndim, dtype and read(rows, into), see rp.scale.RowSource."
        )


def chunk_rows_of(x: Any) -> int | None:
    """Return the rows of a chunk, None where single rows can be read."""
    given = getattr(x, "chunk_rows", None)
    if given is not None and (not isinstance(given, int) or given < 1):
        raise ValueError(f"chunk_rows must be a whole number of 1 or above, or None, not {given!r}.")
    return given


def loaded(x: Any) -> Any:
    """Return a source as a NumPy array with all its rows; anything else as it is."""
    if not is_source(x):
        return x
    found: Array = host.xp.empty(x.shape, x.dtype)
    step = part_rows(x)
    for at in range(0, x.shape[0], step):
        x.read(slice(at, min(at + step, x.shape[0])), found[at : at + step])
    return found


def part_rows(x: Any) -> int:
    """Return the number of rows to read at a time, where all are read: whole chunks, of `PART` bytes or more."""
    a_row = prod(x.shape[1:]) * int(host.xp.dtype(x.dtype).itemsize)
    rows, chunk = max(PART // max(a_row, 1), 1), chunk_rows_of(x) or 1
    found: int = max(rows // chunk, 1) * chunk
    return found
