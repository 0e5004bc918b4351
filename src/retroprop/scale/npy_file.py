"""The rows of a .npy file, read part by part: no mapping takes the process's address space."""

from typing import Any

import numpy
from numpy.lib import format as npy

from retroprop.functions.types import Array
from retroprop.scale.stored_rows import StoredRows, path_of

BLOCK = 2**20  # bytes that are read together


class Npy(StoredRows):
    """The rows of a .npy file, as numpy.save writes it.

    A `numpy.memmap` is accepted by `rp.fit` too; its mapping counts as address space, which a limit such as
    `ulimit -v` may not allow.

    Parameters
    ----------
    path : str or path
        The file: an array of real numbers in C order.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        If there is no such file, if it is none or incomplete, or if it holds no numbers.
    """

    def __init__(self, path: Any) -> None:
        self.path = path_of(path, ".npy file")
        with self.path.open("rb") as file:
            try:
                version = npy.read_magic(file)
                header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                self.shape, column_major, self.dtype = header(file)
            except ValueError as error:
                raise ValueError(f'"{self.path}" is not a .npy file: {error}') from error
            self._offset = file.tell()
        if self.dtype.kind not in "buif":
            raise TypeError(f'"{self.path}" must hold real numbers; this is {self.dtype}.')
        if column_major and len(self.shape) > 1:
            raise ValueError(f'"{self.path}" is in Fortran order: save numpy.ascontiguousarray(x), row by row.')
        if not self.shape:
            raise ValueError(f'"{self.path}" holds a single number, and no rows.')
        self._a_row = int(numpy.prod(self.shape[1:], dtype="int64")) * self.dtype.itemsize
        expected = self._offset + self.shape[0] * self._a_row
        if self.path.stat().st_size < expected:
            raise ValueError(f'"{self.path}" is incomplete: {self.path.stat().st_size} bytes of {expected}.')
        self.chunk_rows = max(BLOCK // max(self._a_row, 1), 1)
        self.watch(self.path)

    def read_range(self, start: int, stop: int, into: Array) -> None:
        """Write consecutive rows into an array."""
        # Opened anew: threads and forked processes share no position.
        with self.path.open("rb", buffering=0) as file:
            file.seek(self._offset + start * self._a_row)
            room = memoryview(into).cast("B") if into.flags.c_contiguous else None
            part = bytearray((stop - start) * self._a_row) if room is None else room
            at = 0
            while at < len(part):
                n = file.readinto(memoryview(part)[at:])
                if not n:
                    raise ValueError("the file ends")
                at += n
        if room is None:
            into[...] = numpy.frombuffer(part, self.dtype).reshape(into.shape)

    def __repr__(self) -> str:
        return f'Npy("{self.path}")'
