"""The output of a network for any number of rows: in blocks for the caches, or in parts that a device has room for."""

from collections.abc import Callable

from retroprop.backends.backend import Backend
from retroprop.core.architecture import Architecture
from retroprop.core.forward import forward
from retroprop.core.operations import overridden
from retroprop.core.parameters import Parameters
from retroprop.core.prediction import predicted
from retroprop.functions.types import Array

SMALL = 2**26  # bytes that are allocated without asking the device how many are free
FRACTION = 0.5  # of the free memory, as the library needs some for intermediate results


def output_of(backend: Backend, architecture: Architecture, parameters: Parameters, x: Array) -> Array:
    """Return a^(L) of inputs that are checked and live on the backend; see `Network.predict`."""
    operations = backend.operations()
    if backend.cache and not overridden(operations):
        return predicted(backend.xp, backend.device, architecture, parameters, x, backend.cache)
    a_row = 2 * sum(architecture.layer_sizes) * backend.dtype_bytes(backend.dtype_name(x))
    return in_parts(backend, lambda rows: forward(operations, architecture, parameters, rows).a[-1], x, a_row)


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
