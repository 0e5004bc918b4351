"""The rows of a zarr array, read chunk by chunk."""

from math import ceil
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
        # A chunk that is not there is read as fill values, so that those of a later loss are no numbers of the data.
        self._stored = array.nchunks_initialized
        self._whole = self._stored == int(
            numpy.prod([ceil(n / c) for n, c in zip(array.shape, array.chunks, strict=True)])
        )
        for name in ("zarr.json", ".zarray"):
            if self.path is not None and (self.path / name).exists():
                self.watch(self.path / name)

    def read_range(self, start: int, stop: int, into: Array) -> None:
        """Write consecutive rows into an array."""
        into[...] = self._array[start:stop]
        fill, width = self._array.fill_value, (self._array.chunks[1:] or (1,))[0]
        columns = into.reshape(len(into), -1)[:, ::width]
        if (columns[0] == fill).any() and self._array.nchunks_initialized < self._stored:
            raise ValueError("a chunk has been removed")

    def __repr__(self) -> str:
        return f'Zarr("{self.path or self._array.store_path}")'


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError('reading zarr arrays needs zarr >= 3: pip install "retroprop[zarr]"') from error
    return zarr
