"""Which rows make a batch, and in which order: an object, so that another order can be passed in."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch
from retroprop.backends.masks import Masks, MaskStream
from retroprop.core.architecture import Architecture
from retroprop.functions.names import flag
from retroprop.functions.types import Array, RandomGenerator


class Epoch(NamedTuple):
    """The batches of one epoch: windows over an order of the rows.

    Attributes
    ----------
    order : integer array (m,) or None
        The rows in the order of this epoch, on the host; None is the order they are in.
    windows : sequence of slice
        The batches, as parts of that order.
    """

    order: Array | None
    windows: Sequence[slice]


class BatchOrder(Protocol):
    """Gives the batches of an epoch, drawing from the generator what it has to draw."""

    def epoch(self, rng: RandomGenerator) -> Epoch:
        """Return the batches of the next epoch."""


class Minibatches:
    """All rows once an epoch, `batch_size` at a time, the last batch smaller where they do not divide.

    Parameters
    ----------
    m : int
        The number of rows.
    batch_size : int or None
        None, or more than m, is the full batch, whose order says nothing and is not drawn.
    shuffle : bool
        Whether each epoch has a new order, one permutation drawn at its start.
    """

    def __init__(self, m: int, batch_size: int | None, *, shuffle: bool) -> None:
        self.m = m
        self.batch_size = min(batch_size or m, m)
        self.shuffle = flag("shuffle", shuffle) and self.batch_size < m
        self.windows = [slice(at, min(at + self.batch_size, m)) for at in range(0, m, self.batch_size)]

    def epoch(self, rng: RandomGenerator) -> Epoch:
        return Epoch(rng.permutation(self.m) if self.shuffle else None, self.windows)


def in_order(data: Batch, window: slice) -> Batch:
    """Return the rows of a window of the data as views; the data themselves where it holds them all."""
    if window.start == 0 and window.stop >= data.x.shape[0]:
        return data
    return Batch(*(None if part is None else part[window, ...] for part in data))


def mask_stream(backend: Backend, architecture: Architecture, dtype: str, rng: RandomGenerator) -> MaskStream | None:
    """Return the dropout masks of a training, whose key is drawn here and now; None without dropout."""
    return MaskStream(backend, architecture, dtype, rng) if any(architecture.dropout) else None


def dropout_masks(stream: MaskStream | None, step: Any, t: int, m: int) -> tuple[Array | None, ...] | Masks | None:
    """Return the masks of m rows as `step` takes them, drawn or for it to draw, once t updates are made.

    They depend on the key, on t, on the layer and on the place in it: so a step in a run, a step by itself and a
    smaller last batch have the same ones on every backend.
    """
    if stream is None:
        return None
    masks = Masks(stream, t, m)
    return masks if getattr(step, "draws", False) else masks.drawn()
