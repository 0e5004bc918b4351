"""Double-buffered upload of rows from the host to the device of a backend."""

from collections.abc import Callable
from typing import Any

import numpy

from retroprop.functions.types import Array


class Staging:
    """Two buffers on the host: one is filled while the steps use the rows uploaded from the other.

    Uploads (turns) are numbered from 0. For each, call `room`, fill it on any thread, then call `moved` on the thread
    of the training; `room` of the next may be called from then on. `asarray` moves a host array to the device; `shape`
    is the largest number of rows of an upload, and the length of a row.
    """

    def __init__(self, asarray: Callable[[Array], Array], shape: tuple[int, int], dtype: Any) -> None:
        self._asarray = asarray
        self._rooms: list[Array] = [numpy.empty(shape, dtype) for _ in range(2)]

    def room(self, turn: int, rows: int) -> Array:
        """Return the host array to fill for an upload, once its former content has been moved."""
        return self._rooms[turn % 2][:rows]

    def moved(self, turn: int, rows: int) -> Array:
        """Return the rows on the device; they are valid until the upload after the next is moved."""
        return self._asarray(self._rooms[turn % 2][:rows])
