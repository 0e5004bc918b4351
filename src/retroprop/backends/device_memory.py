"""Work cut to fit into the memory of a device that has its own."""

from collections.abc import Callable

from retroprop.backends.backend import Backend
from retroprop.functions.types import Array

SMALL = 2**26  # bytes that are allocated without asking the device how many are free
FRACTION = 0.5  # of the free memory, as the library needs some for intermediate results


class OutOfDeviceMemoryError(MemoryError):
    """The device has too little memory; the message says how much is free and what would fit."""


def in_parts(backend: Backend, function: Callable[[Array], Array], x: Array, bytes_a_row: int) -> Array:
    """Return `function` of all rows of `x` (m, ...), of as many at once as the device has room for.

    The function goes row by row: it gives an array with the same rows, and needs `bytes_a_row` meanwhile.
    """
    m = x.shape[0]
    room = None if m * bytes_a_row <= SMALL or x.ndim != 2 else backend.memory()
    rows = m if room is None else max(int(FRACTION * room.free) // bytes_a_row, 1)
    if rows >= m:
        return function(x)
    return backend.xp.concat([function(x[at : at + rows, :]) for at in range(0, m, rows)], axis=0)
