"""The data of a fit, given to the step batch by batch."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from scipy import sparse

from retroprop.backends import Backend
from retroprop.backends.batch import Batch
from retroprop.estimators.arrays import rows_of
from retroprop.functions.types import Array
from retroprop.training.batches import BatchOrder, in_order

Given = tuple[Batch, Array | None]
"""What a step takes: data, and which rows of them (None: all)."""

CHUNK = 2**23
"""How many numbers the activations of a chunk hold where all rows are propagated at once: 64 MiB of float64."""


class Samples:
    """Rows, targets and weights; dense ones lie on the backend, sparse rows stay on the host.

    Parameters
    ----------
    backend : Backend
        Where the network lives.
    dtype : str
        Its dtype.
    x : array or sparse matrix (n, n_1)
        One observation a row. A sparse matrix is made dense batch by batch.
    y : array (n, n_L) or integer array (n,)
        Targets, on the host.
    weight : array (n,) or None
        Weights, on the host.
    """

    def __init__(self, backend: Backend, dtype: str, x: Any, y: Array, weight: Array | None) -> None:
        self.backend, self.dtype = backend, dtype
        self.n: int = x.shape[0]
        self.sparse = sparse.issparse(x)
        if self.sparse:
            self.data = Batch(x.tocsr(), y, weight)
        else:
            self.data = Batch(backend.asarray(x, dtype), *self._moved(y, weight))

    def _moved(self, y: Array, weight: Array | None) -> tuple[Array, Array | None]:
        y = self.backend.asarray(y, "int32" if y.ndim == 1 else self.dtype)
        return y, None if weight is None else self.backend.asarray(weight, self.dtype)

    def ordered(self, order: Array | None) -> Callable[[slice], Given]:
        """Return the function that gives a batch, a window over an order of the rows (None: as they are)."""
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

    def whole(self, rows: Array | None = None) -> Batch:
        """Return all rows, or some in their order, as one batch."""
        n = self.n if rows is None else len(rows)
        batch, there = self.ordered(rows)(slice(0, n))
        if there is None:
            return batch
        gather = self.backend.operations().gather
        return Batch(*(gather(part, there) for part in batch))


class Batches(Protocol):
    """What gives the batches of an epoch."""

    backend: Backend
    dtype: str

    def epoch(self, rng: Any) -> Iterator[tuple[int, Batch, Array | None]]:
        """Yield for each batch how many rows it has, data, and which rows of them it is (None: all)."""


class Minibatches:
    """Batches of samples, in the order that `Shuffled` draws."""

    def __init__(self, samples: Samples, order: BatchOrder) -> None:
        self.samples, self.order = samples, order
        self.backend, self.dtype = samples.backend, samples.dtype

    def epoch(self, rng: Any) -> Iterator[tuple[int, Batch, Array | None]]:
        """Yield the batches of the next epoch."""
        order, parts = self.order.epoch(rng)
        batch_of = self.samples.ordered(order)
        for window in parts:
            yield window.stop - window.start, *batch_of(window)


class Stream:
    """Batches that come one after the other from outside.

    Parameters
    ----------
    backend, dtype
        The network's.
    batches : callable
        Returns the samples of an epoch, batch by batch.
    """

    def __init__(self, backend: Backend, dtype: str, batches: Callable[[], Iterator[Samples]]) -> None:
        self.backend, self.dtype, self.batches = backend, dtype, batches

    def epoch(self, rng: Any) -> Iterator[tuple[int, Batch, Array | None]]:
        """Yield the batches of the next epoch."""
        for samples in self.batches():
            yield samples.n, samples.whole(), None


def windows(n: int, size: int) -> Iterator[slice]:
    """Yield the chunks of n rows."""
    return (slice(at, min(at + size, n)) for at in range(0, n, size))


def chunk_rows(layer_sizes: tuple[int, ...]) -> int:
    """Return how many rows are propagated at once within the memory of a `CHUNK`."""
    return max(1, CHUNK // sum(layer_sizes))
