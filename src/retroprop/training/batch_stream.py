"""The data of `fit` as batches that arrive one after the other: larger than memory, or generated on demand."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from retroprop.backends.intake.batch import Batch
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.training.arguments import shortened
from retroprop.training.intake import Intake
from retroprop.training.rows import Stretch, Stretches

_FORM = "(x, y) or (x, y, sample_weight)"


def is_stream(x: Any, y: Any) -> bool:
    """Return whether x gives batches: an iterator of them, which is one epoch, or a function that returns one."""
    return y is None and (callable(x) or hasattr(x, "__next__"))


def check_unshared(sources: Sequence[Any]) -> None:
    """Raise ValueError for an iterator that several networks would read, each a part of its batches."""
    iterators = [id(x) for x in sources if hasattr(x, "__next__")]
    if len(set(iterators)) < len(iterators):
        raise ValueError(
            "x is one iterator of batches for several networks, and can be read once: pass a function "
            "that returns the batches of an epoch, as in lambda: iter(batches)."
        )


class BatchStream:
    """Batches from an iterator of the user, in its order; both the source of the data and the order of a training.

    Parameters
    ----------
    net : Network
        The network, which the batches must fit.
    source : iterator or callable
        Batches (x, y) or (x, y, sample_weight): one epoch, or a function that returns an iterator for each epoch.

    Attributes
    ----------
    first : Batch
        The first batch of the first epoch, checked.
    once : bool
        Whether there is one epoch.
    m : int
        0: the number of rows is known only when they have come.
    batch_size : int
        The rows of the first batch.
    """

    m = 0

    windows: Sequence[slice] = ()  # the batches are known only when they arrive

    def __init__(self, net: Network, source: Any) -> None:
        self._net = net
        self.once = hasattr(source, "__next__")
        self._opened: Callable[[], Iterator[Any]] = (lambda: source) if self.once else (lambda: iter(source()))
        opened = self._opened()
        self.first = self._taken(self._next(opened), 1)
        self.batch_size: int = self.first.x.shape[0]
        self._begun: Iterator[Any] | None = opened  # the first epoch has begun

    def draw(self, rng: Any, last: Array | None = None) -> None:
        """Draw nothing: the order is that of the batches."""

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the batches of the next epoch; ValueError if there is none."""
        if self._begun is not None:
            first, rest = self.first, self._begun
            self._begun = None
        else:
            rest = self._opened()
            first = self._taken(self._next(rest), 1)
        later = (self._taken(given, number) for number, given in enumerate(rest, start=2))
        for batch in chain([first], later):
            yield Stretch(batch, None, [slice(0, batch.x.shape[0])])

    def _next(self, opened: Iterator[Any]) -> Any:
        given = next(opened, None)
        if given is None:
            raise ValueError(f"x gives no batch: each epoch needs one at least, {_FORM}.")
        return given

    def _taken(self, given: Any, number: int) -> Batch:
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise ValueError(f"batch {number} must be {_FORM}, not {type(given).__name__}.")
        try:
            batch = Intake().taken(self._net, *(*given, None)[:3], as_stored=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"batch {number}: {error}") from error
        if batch.x.ndim != 2:
            raise ValueError(f"batch {number}: x must have two axes, not the shape {tuple(batch.x.shape)}.")
        return batch


def check_alone(stream: BatchStream, *, epochs: int, full_batch: str | None, checkpoint: Any, **unread: Any) -> None:
    """Raise ValueError for arguments that do not go with batches.

    Parameters
    ----------
    stream : BatchStream
        The batches.
    epochs : int
        More than one needs a function.
    full_batch : str or None
        The name of an optimizer that needs all rows in each step.
    checkpoint : Checkpoint or None
        It needs batches that can be read again.
    **unread
        Arguments that would not be read, which must be None.
    """
    for name, value in unread.items():
        if value is not None:
            where = (
                "each batch is (x, y, sample_weight)" if name == "sample_weight" else "the batches have their own sizes"
            )
            raise ValueError(f"{name}={shortened(value)} would not be read where x gives batches: {where}.")
    if full_batch is not None:
        raise ValueError(
            f"the optimizer {full_batch!r} needs all rows in each step: pass x and y, or another optimizer."
        )
    if stream.once and epochs > 1:
        raise ValueError(
            f"x is an iterator of batches, which is one epoch, and epochs is {epochs}: pass epochs=1, or a function "
            "that returns the batches of an epoch, as in rp.fit(net, lambda: iter(batches))."
        )
    if stream.once and checkpoint is not None:
        raise ValueError(
            "checkpoint needs batches that can be read again, and x is an iterator: pass a function that returns one, "
            "as in rp.fit(net, lambda: iter(batches))."
        )
