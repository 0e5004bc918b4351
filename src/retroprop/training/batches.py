"""The rows of each batch and their order, as an object, so that another order can be passed in."""

from collections.abc import Sequence
from typing import Protocol

from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch
from retroprop.backends.masks import Masks, MaskStream
from retroprop.core.architecture import Architecture
from retroprop.functions.names import flag
from retroprop.functions.types import Array, RandomGenerator


class BatchOrder(Protocol):
    """The rows of each batch, as windows over an order of the rows.

    Attributes
    ----------
    windows : sequence of slice
        The batches of an epoch, as slices of the order; empty where the data come in batches already.
    """

    windows: Sequence[slice]

    def draw(self, rng: RandomGenerator, last: Array | None) -> Array | None:
        """Return the order of the next epoch, which may depend on the `last`: row indices on the host.

        None is the order in which the rows are stored.
        """


class Minibatches:
    """All rows once an epoch, `batch_size` at a time, the last batch smaller where they do not divide.

    Parameters
    ----------
    m : int
        The number of rows.
    batch_size : int or None
        None, or more than m, is the full batch, whose order does not matter and is not drawn.
    shuffle : bool
        Whether each epoch has a new order, one permutation drawn at its start.
    """

    def __init__(self, m: int, batch_size: int | None, *, shuffle: bool) -> None:
        self.m = m
        self.batch_size = min(batch_size or m, m)
        self.shuffle = flag("shuffle", shuffle) and self.batch_size < m
        self.windows: Sequence[slice] = [slice(at, min(at + self.batch_size, m)) for at in range(0, m, self.batch_size)]

    def draw(self, rng: RandomGenerator, last: Array | None = None) -> Array | None:
        return rng.permutation(self.m) if self.shuffle else None


def in_order(data: Batch, window: slice) -> Batch:
    """Return the rows of a window of the data as views; the data themselves if the window holds all rows."""
    if window.start == 0 and window.stop >= data.x.shape[0]:
        return data
    return Batch(*(None if part is None else part[window, ...] for part in data))


def mask_stream(backend: Backend, architecture: Architecture, dtype: str, rng: RandomGenerator) -> MaskStream | None:
    """Return the dropout masks of a training, whose key is drawn by this call; None without dropout."""
    return MaskStream(backend, architecture, dtype, rng) if any(architecture.dropout) else None


def dropout_masks(
    stream: MaskStream | None, t: int, m: int, *, draws: bool = False
) -> tuple[Array | None, ...] | Masks | None:
    """Return the masks of m rows after t updates, as arrays or, for a step that `draws` them itself, as `Masks`.

    They depend on the key, on t, on the layer and on the place in it: so a step in a run, a single step and a smaller
    last batch have the same masks on every backend.
    """
    if stream is None:
        return None
    masks = Masks(stream, t, m)
    return masks if draws else masks.drawn()
