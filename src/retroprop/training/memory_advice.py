"""Saying what would fit, when a training does not."""

from collections.abc import Iterator
from contextlib import contextmanager

from retroprop.backends.device_memory import OutOfDeviceMemoryError
from retroprop.network import Network
from retroprop.training.optimizers import Optimizer, UpdateRule


@contextmanager
def explained(net: Network, optimizer: Optimizer, batch_size: int) -> Iterator[None]:
    """Make an error of the library's allocator one that names the batch size that would fit.

    Raises
    ------
    OutOfDeviceMemoryError
        If the device has no memory for the training.
    """
    before = net.backend.memory()
    try:
        yield
    except Exception as error:
        if before is None or not net.backend.out_of_memory(error):
            raise
        fitting = min(rows_that_fit(net, optimizer, before.free), max(batch_size // 2, 1))
        advice = f"batch_size={fitting} should fit" if fitting else "the network itself is too large for it"
        if optimizer.full_batch:
            advice = f"{optimizer.name!r} needs all rows at once, the other optimizers do not"
        raise OutOfDeviceMemoryError(
            f"{net.backend} has no memory to train with {batch_size} rows a step: {error}. {_told(before.free)} of "
            f"{_told(before.total)} were free; {advice}."
        ) from error


def rows_that_fit(net: Network, optimizer: Optimizer, free: int) -> int:
    """Return how many rows a step may have in so many bytes, 0 if the parameters alone need more."""
    itemsize = net.backend.dtype_bytes(net.dtype)
    slots = optimizer.slots if isinstance(optimizer, UpdateRule) else 0
    # parameters, their copies at the begin of an epoch, the last good ones, gradients; state and its copies
    fixed = net.n_parameters * itemsize * (5 + 2 * slots)
    # of a row its input, of each layer activation, pre-activation and δ, and of one with dropout the mask
    masks = sum(n for n, p in zip(net.layer_sizes[1:-1], net.architecture.dropout, strict=True) if p)
    a_row = itemsize * (net.layer_sizes[0] + 3 * sum(net.layer_sizes[1:]) + masks)
    return max(int(0.8 * free - fixed) // a_row, 0)


def _told(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MiB"
