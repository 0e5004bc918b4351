"""The data of a fit, read batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy
from scipy import sparse

from retroprop.backends import Backend, host
from retroprop.backends.intake.batch import Batch
from retroprop.estimators.arrays import rows_of
from retroprop.functions.types import Array
from retroprop.training.batches import in_order
from retroprop.training.rows import Stretch, Stretches

Given = tuple[Batch, Array | None]
"""The data of a step, and which rows of them it takes (None: all)."""

CHUNK = 2**23
"""The number of elements of a chunk's activations where all rows are propagated at once: 64 MiB of float64."""


class Samples:
    """Rows, targets and weights: dense rows on the backend, sparse rows on the host.

    Parameters
    ----------
    backend : Backend
        Where the network lives.
    dtype : str
        Its dtype.
    x : array or sparse matrix (n, n_1)
        One observation per row. A sparse matrix is made dense batch by batch.
    y : array (n, n_L) or integer array (n,)
        Targets, on the host.
    weight : array (n,) or None
        Weights, on the host.
    """

    def __init__(self, backend: Backend, dtype: str, x: Any, y: Array, weight: Array | None) -> None:
        self.backend, self.dtype = backend, dtype
        self.n: int = x.shape[0]
        _check_weights(weight, dtype)
        self.sparse = sparse.issparse(x)
        if self.sparse:
            self.data = Batch(x.tocsr(), y, weight)
        else:
            # Each step gathers its rows from these arrays, which is fast in C order only.
            self.data = Batch(backend.asarray(in_rows(x), dtype), *self._moved(in_rows(y), weight))

    def _moved(self, y: Array, weight: Array | None) -> tuple[Array, Array | None]:
        y = self.backend.asarray(y, "int32" if y.ndim == 1 else self.dtype)
        return y, None if weight is None else self.backend.asarray(weight, self.dtype)

    def ordered(self, order: Array | None) -> Callable[[slice], Given]:
        """Return a function from a window over an order of the rows (None: as stored) to its batch."""
        data = self.data
        if not self.sparse:
            if order is None:
                return lambda window: (in_order(data, window), None)
            there = self.backend.asarray(order)
            return lambda window: (data, there[window])

        def batch(window: slice) -> Given:
            rows = window if order is None else order[window]
            x = rows_of(data.x, rows, self.backend, self.dtype)
            return Batch(x, *self._moved(data.y[rows], None if data.weight is None else data.weight[rows])), None

        return batch

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the batches of an epoch: dense ones together, sparse ones as they are made dense."""
        if not self.sparse:
            yield Stretch(self.data, None if order is None else self.backend.asarray(order), windows)
            return
        batch_of = self.ordered(order)
        for window in windows:
            yield Stretch(batch_of(window)[0], None, [slice(0, window.stop - window.start)])

    def whole(self) -> Batch:
        """Return all rows as one batch."""
        return self.ordered(None)(slice(0, self.n))[0]


class Stream:
    """Batches that arrive one after the other from an iterator of the user, in its order.

    Parameters
    ----------
    backend, dtype
        The network's.
    passes : callable
        Returns the samples of an epoch, batch by batch.
    """

    windows: Sequence[slice] = ()  # the batches are known only when they arrive

    def __init__(self, backend: Backend, dtype: str, passes: Callable[[], Iterator[Samples]]) -> None:
        self.backend, self.dtype, self.passes = backend, dtype, passes

    def draw(self, rng: Any, last: Array | None) -> None:
        """Draw nothing: the order is that of the batches."""

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the batches of the next epoch."""
        for samples in self.passes():
            yield Stretch(samples.whole(), None, [slice(0, samples.n)])


def _check_weights(weight: Array | None, dtype: str) -> None:
    """Raise ValueError if the dtype of the network cannot hold the sum of the weights, or holds none above 0."""
    if weight is None or not weight.any():
        return
    with numpy.errstate(over="ignore"):
        there = weight.astype(dtype)
        total = there.sum(dtype=dtype)
    if not numpy.isfinite(total) or not there.any():
        raise ValueError(
            f"the sum of the weights, {weight.sum(dtype='float64'):g}, is no {dtype}: divide sample_weight by its mean."
        )


def in_rows(array: Array) -> Array:
    """Return an array of the host in C order, one of a device unchanged."""
    return host.in_rows(array) if host.is_host(array) else array


def windows(n: int, size: int) -> Iterator[slice]:
    """Yield the chunks of n rows."""
    return (slice(at, min(at + size, n)) for at in range(0, n, size))


def chunk_rows(layer_sizes: tuple[int, ...]) -> int:
    """Return the number of rows whose activations fit into a `CHUNK`."""
    return max(1, CHUNK // sum(layer_sizes))
