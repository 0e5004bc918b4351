"""Double-buffered upload of rows from the host to the device of a backend."""

from collections.abc import Callable
from typing import Any

import numpy

from retroprop.functions.types import Array


class Staging:
    """Two buffers of the host: while one is filled, the steps work on what came out of the other.

    Turns are numbered from 0 on, and follow one another. In each `room` is asked for and filled, on whatever thread,
    then `moved` is called once, where the steps are; room for the next turn may be asked for from then on.

    `asarray` moves a host array to the device; `shape` is the most rows of a turn, and how many numbers each has.
    """

    def __init__(self, asarray: Callable[[Array], Array], shape: tuple[int, int], dtype: Any) -> None:
        self._asarray = asarray
        self._rooms: list[Array] = [numpy.empty(shape, dtype) for _ in range(2)]

    def room(self, turn: int, rows: int) -> Array:
        """Return the host's array to be filled for a turn, once what it held before has been moved."""
        return self._rooms[turn % 2][:rows]

    def moved(self, turn: int, rows: int) -> Array:
        """Return the rows where the backend computes; they hold until the turn after the next is moved."""
        return self._asarray(self._rooms[turn % 2][:rows])
