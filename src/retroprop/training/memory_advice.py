"""Advice for a training that does not fit into the memory of its device."""

from collections.abc import Iterator
from contextlib import contextmanager

from retroprop.network import Network
from retroprop.training.optimizers import Optimizer, UpdateRule


class OutOfDeviceMemoryError(MemoryError):
    """The device has too little memory; the message has the free memory and the batch size that would fit."""


@contextmanager
def explained(net: Network, optimizer: Optimizer, batch_size: int) -> Iterator[None]:
    """Turn an error of the library's allocator into one that names a batch size that would fit.

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
            f"{net.backend} has no memory to train with {batch_size} rows a step: {error}. {_in_units(before.free)} of "
            f"{_in_units(before.total)} were free; {advice}."
        ) from error


def rows_that_fit(net: Network, optimizer: Optimizer, free: int) -> int:
    """Return the number of rows per step that fit into `free` bytes, 0 if the parameters alone need more."""
    itemsize = net.backend.dtype_bytes(net.dtype)
    slots = optimizer.slots if isinstance(optimizer, UpdateRule) else 0
    # parameters, those of the network, of the end of the last epoch and of the one before, gradients; state, copies
    fixed = net.n_parameters * itemsize * (5 + 2 * slots)
    # per row: the input, of each layer activation, pre-activation and δ, and of a layer with dropout the mask
    masks = sum(n for n, p in zip(net.layer_sizes[1:-1], net.architecture.dropout, strict=True) if p)
    a_row = itemsize * (net.layer_sizes[0] + 3 * sum(net.layer_sizes[1:]) + masks)
    return max(int(0.8 * free - fixed) // a_row, 0)


def _in_units(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MiB"
