"""The rows of a source as a training reads them: cast to its dtype, and checked to be what the source announced."""

from typing import Any

from retroprop.backends import host
from retroprop.backends.intake.arrays import take_host
from retroprop.backends.intake.mapped_file import NARROW, Mapped
from retroprop.functions.types import Array
from retroprop.training.row_source import RowSource, chunk_rows_of, part_rows


class SourceRows(Mapped):
    """The rows of a user's source.

    Parameters
    ----------
    source : RowSource
        The source that is read.
    name : str
        The user's name for it, for the messages.
    dtype : str
        The dtype that rows are cast to as they are read, unless their own is one of `NARROW`.

    Attributes
    ----------
    chunk_rows : int or None
        The rows that the source can only read together.

    Raises
    ------
    TypeError
        If its numbers are not real.
    ValueError
        If the shape is none.
    """

    def __init__(self, source: RowSource, *, name: str, dtype: str) -> None:
        self._source, self._name, self._cast_to = source, name, dtype
        self._own: Any = host.xp.dtype(source.dtype)
        if self._own.kind not in "buif":
            raise TypeError(f"{name} must hold real numbers; this source has {self._own}: {source!r}.")
        given: Any = source.shape
        self.shape = self._announced = tuple(given)
        self.ndim = len(self.shape)
        if not given or any(not isinstance(n, int) or n < 0 for n in given):
            raise ValueError(
                f"{name} must have a shape of whole numbers, rows first, not {source.shape!r}: {source!r}."
            )
        self.dtype = self._own if self._own.name in NARROW and self._own.isnative else host.xp.dtype(dtype)
        self.chunk_rows = chunk_rows_of(source)

    def check(self) -> None:
        """Read all rows once, a part at a time, if they may hold NaN or inf.

        Raises
        ------
        ValueError
            For NaN, inf, or numbers too large for the dtype they are cast to.
        """
        if self._own.kind == "f":
            step = part_rows(self._source)
            for at in range(0, self.shape[0], step):
                part = self.own(slice(at, min(at + step, self.shape[0])))
                take_host(part, name=self._name, dtype=self._cast_to, first=at)

    def read(self, rows: Any, into: Array) -> None:
        """Write the `rows`, a slice or valid indices, into an array of `dtype`.

        Raises
        ------
        ValueError
            If the source has another shape than at the beginning of the training.
        """
        if self._own == self.dtype and into.flags.carray:
            self._check_shape()
            self._source.read(rows, into)
            return
        with host.quiet():
            into[...] = self.own(rows)

    def own(self, rows: Any) -> Array:
        """Return rows in the dtype of the source."""
        self._check_shape()
        n = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        found: Array = host.xp.empty((n, *self._announced[1:]), self._own)
        self._source.read(rows, found)
        return found

    def _check_shape(self) -> None:
        if tuple(self._source.shape) != self._announced:
            raise ValueError(
                f"{self._name} has changed during the training: its shape was {self._announced} and is "
                f"{tuple(self._source.shape)} now. Train on data that nothing writes to."
            )
