"""The memory of a device that has its own: what is free, what was needed at most, and work that is cut to fit."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from retroprop.functions.types import Array

if TYPE_CHECKING:
    from retroprop.backends.backend import Backend

SMALL = 2**26  # bytes nobody has to ask the device for
SHARE = 0.5  # of what is free, as the library needs some between


class DeviceMemory(NamedTuple):
    """Bytes on a device.

    Attributes
    ----------
    free, total : int
        What could still be had, what it holds already and does not use included; and all there is.
    peak : int
        The most that this process had of it at once.
    """

    free: int
    total: int
    peak: int


class OutOfDeviceMemoryError(MemoryError):
    """The device has no memory for what was asked; the message says what is free and what would fit."""


def in_parts(backend: "Backend", function: Callable[[Array], Array], x: Array, bytes_a_row: int) -> Array:
    """Return `function` of all rows of `x`, of as many at once as the device has room for.

    Parameters
    ----------
    backend : Backend
        Where it is computed.
    function : callable
        Of an array (rows, ...), row by row: it gives an array with the same rows.
    x : array (m, ...)
        The rows.
    bytes_a_row : int
        What a row needs while it is computed.
    """
    m = x.shape[0]
    room = None if m * bytes_a_row <= SMALL or x.ndim != 2 else backend.memory()
    rows = m if room is None else max(int(SHARE * room.free) // bytes_a_row, 1)
    if rows >= m:
        return function(x)
    return backend.xp.concat([function(x[at : at + rows, :]) for at in range(0, m, rows)], axis=0)
