"""A file mapped into memory as the rows of a data set: read when they are needed, never all at once."""

from typing import Any

import numpy

from retroprop.backends import host
from retroprop.backends.intake.arrays import take_host
from retroprop.functions.types import Array

# Dtypes that take less memory than real numbers: their rows are cast when a step has gathered them.
NARROW = ("bool", "uint8", "int8", "int16")
PART = 2**24  # bytes that are checked at a time


class Mapped:
    """The rows of a mapped file.

    `name` is the user's for the messages, and `dtype` the one its rows are cast to as they are read, unless their own
    is one of `NARROW`; the attributes `shape`, `ndim` and `dtype` are those of the rows as they are read.

    Raises TypeError for complex numbers or records.
    """

    def __init__(self, array: Any, *, name: str, dtype: str) -> None:
        self._array: Array = host.as_host(array, name)
        self._name, self._cast_to = name, dtype
        own: Any = self._array.dtype
        self.shape: tuple[int, ...] = self._array.shape
        self.ndim = len(self.shape)
        self.dtype: Any = own if own.name in NARROW and own.isnative else numpy.dtype(dtype)
        # `take` would first make a copy of a file that is not in C order.
        self._takes = own == self.dtype and self._array.flags.carray

    def check(self) -> None:
        """Read the whole file once, a part at a time.

        Raises ValueError for NaN, inf, or numbers too large for the dtype they are cast to.
        """
        if self._array.dtype.kind != "f":
            return
        rows = max(PART // max(self._array[:1].nbytes, 1), 1)
        for at in range(0, self.shape[0], rows):
            take_host(self._array[at : at + rows], name=self._name, dtype=self._cast_to, first=at)

    def read(self, rows: Any, into: Array) -> None:
        """Write the `rows`, a slice or valid indices, into an array of `dtype`."""
        if self._takes and not isinstance(rows, slice):
            self._array.take(rows, 0, into, "clip")
        else:
            into[...] = self._array[rows]
