"""The rows of a zarr array, read chunk by chunk."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy

from retroprop.functions.types import Array
from retroprop.scale.stored_rows import StoredRows, path_of


class Zarr(StoredRows):
    """The rows of a zarr array (format 2 or 3).

    Parameters
    ----------
    array : str, path or zarr.Array
        The folder of the array, such as "data.zarr/x" for the array x of a group; or an opened array of any store.

    Raises
    ------
    ImportError
        Without zarr: pip install "retroprop[zarr]".
    FileNotFoundError, TypeError, ValueError
        If there is no such array, or if it holds no numbers or no rows.
    """

    def __init__(self, array: Any) -> None:
        zarr = _zarr()
        self.path = None
        if isinstance(array, (str, Path)):
            self.path = path_of(array, "zarr array")
            try:
                array = zarr.open(store=str(self.path), mode="r")
            except Exception as error:
                raise ValueError(f'"{self.path}" is no zarr array: {type(error).__name__}: {error}') from error
            if isinstance(array, zarr.Group):
                names = ", ".join(f'"{self.path}/{name}"' for name in sorted(array.array_keys())) or "no array"
                raise ValueError(f'"{self.path}" is a group of arrays: name one of {names}.')
        if not isinstance(array, zarr.Array):
            raise TypeError(f"a zarr array is given by its folder or as zarr.Array, not {type(array).__name__}.")
        self._array = array
        if array.dtype.kind not in "buif":
            raise TypeError(f"{self!r} must hold real numbers; this is {array.dtype}.")
        if not array.shape:
            raise ValueError(f"{self!r} holds a single number, and no rows.")
        self.shape, self.dtype = tuple(map(int, array.shape)), numpy.dtype(array.dtype)
        self.chunk_rows = max(int(array.chunks[0]), 1)
        self._stored = array.nchunks_initialized
        for name in ("zarr.json", ".zarray"):
            if self.path is not None and (self.path / name).exists():
                self.watch(self.path / name)

    def read_range(self, start: int, stop: int, into: Array) -> None:
        """Write consecutive rows into an array."""
        into[...] = self._array[start:stop]
        # A chunk that is not stored is read as fill values, and so is one that has been lost since.
        if self._has_filled_chunk(start, into) and self._array.nchunks_initialized < self._stored:
            raise ValueError("a chunk has been removed")

    def _has_filled_chunk(self, start: int, rows: Array) -> bool:
        """Return whether rows from `start` on have a chunk that holds nothing but the fill value."""
        table, fill, tall = rows.reshape(len(rows), -1), self._array.fill_value, self.chunk_rows
        wide = max(int(self._array.chunks[1]), 1) if self.ndim == 2 else table.shape[1]
        ends = [0, *range(tall - start % tall, len(table), tall), len(table)]
        for top, bottom in pairwise(ends):
            for at in range(0, table.shape[1], wide):
                chunk = table[top:bottom, at : at + wide]
                # The first row tells nearly always.
                if not (chunk[:1] != fill).any() and not (chunk != fill).any():
                    return True
        return False

    def __repr__(self) -> str:
        return f'Zarr("{self.path or self._array.store_path}")'


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError('reading zarr arrays needs zarr >= 3: pip install "retroprop[zarr]"') from error
    return zarr
