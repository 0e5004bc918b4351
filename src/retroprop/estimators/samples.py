"""The data of a fit, given to the step batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import islice
from typing import Any, NamedTuple, Protocol

from scipy import sparse

from retroprop.backends import Backend, host
from retroprop.backends.intake.batch import Batch
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
            # Rows are gathered of all of them at each step.
            self.data = Batch(backend.asarray(in_rows(x), dtype), *self._moved(in_rows(y), weight))

    def _moved(self, y: Array, weight: Array | None) -> tuple[Array, Array | None]:
        y = self.backend.asarray(y, "int32" if y.ndim == 1 else self.dtype)
        return y, None if weight is None else self.backend.asarray(weight, self.dtype)

    def weighted(self, weight: Array | None) -> "Samples":
        """Return the same rows with other weights."""
        found = copy(self)
        given = weight if self.sparse or weight is None else self.backend.asarray(weight, self.dtype)
        found.data = self.data._replace(weight=given)
        return found

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

    def whole(self) -> Batch:
        """Return all rows as one batch."""
        return self.ordered(None)(slice(0, self.n))[0]


class Epoch(NamedTuple):
    """The batches of an epoch.

    Attributes
    ----------
    batches : callable
        Yields, after so many left out, how many rows a batch has, data, and which rows of them it is (None: all).
    data : Batch or None
        The data all batches are rows of, where they lie on the backend.
    order, windows
        Which rows of them, as `training.batches` has it.
    """

    batches: Callable[[int], Iterator[tuple[int, Batch, Array | None]]]
    data: Batch | None = None
    order: Array | None = None
    windows: Sequence[slice] = ()


class Batches(Protocol):
    """What gives the batches of each epoch."""

    backend: Backend
    dtype: str

    def epoch(self, rng: Any) -> Epoch:
        """Return the batches of the next epoch."""


class OrderedBatches:
    """Batches of samples, in the order that `Shuffled` draws."""

    def __init__(self, samples: Samples, order: BatchOrder) -> None:
        self.samples, self.order = samples, order
        self.backend, self.dtype = samples.backend, samples.dtype

    def epoch(self, rng: Any) -> Epoch:
        """Return the batches of the next epoch."""
        samples, (order, parts) = self.samples, self.order.epoch(rng)
        if order is not None and not samples.sparse:
            order = self.backend.asarray(order)
        batch_of = samples.ordered(order)

        def batches(skip: int) -> Iterator[tuple[int, Batch, Array | None]]:
            for window in parts[skip:]:
                yield window.stop - window.start, *batch_of(window)

        return Epoch(batches) if samples.sparse else Epoch(batches, samples.data, order, parts)


class Stream:
    """Batches that come one after the other from outside.

    Parameters
    ----------
    backend, dtype
        The network's.
    passes : callable
        Returns the samples of an epoch, batch by batch.
    """

    def __init__(self, backend: Backend, dtype: str, passes: Callable[[], Iterator[Samples]]) -> None:
        self.backend, self.dtype, self.passes = backend, dtype, passes

    def epoch(self, rng: Any) -> Epoch:
        """Return the batches of the next epoch."""

        def batches(skip: int) -> Iterator[tuple[int, Batch, Array | None]]:
            for samples in islice(self.passes(), skip, None):
                yield samples.n, samples.whole(), None

        return Epoch(batches)


def in_rows(array: Array) -> Array:
    """Return an array of the host lying row by row, one of a device as it is."""
    return host.in_rows(array) if host.is_host(array) else array


def windows(n: int, size: int) -> Iterator[slice]:
    """Yield the chunks of n rows."""
    return (slice(at, min(at + size, n)) for at in range(0, n, size))


def chunk_rows(layer_sizes: tuple[int, ...]) -> int:
    """Return how many rows are propagated at once within the memory of a `CHUNK`."""
    return max(1, CHUNK // sum(layer_sizes))
