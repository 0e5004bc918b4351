"""The trial of other ways to do a step: each starts from the same state and must produce the planned results."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import numpy

from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
T = TypeVar("T")
Step = Callable[[], Sequence[Array]]  # does a step, and returns its results besides the state
NO_GRAPH = "steps are launched one by one, not as a graph: %s"
DIFFERS = "a graph did not leave the results of its launches"


class NoWayError(RuntimeError):
    """No other way is available, or none produced the same results; the message has the reason."""


class StepTrial(ABC):
    """One step, done in several ways from the same `state`, the arrays that a step changes for good.

    `step` does it as planned; every other way must produce its results.
    """

    full: ClassVar[tuple[type[Exception], ...]] = (MemoryError,)  # the errors of a library without memory
    failed: ClassVar[str] = NO_GRAPH  # the message where no way is found

    def __init__(self, state: Sequence[Array], step: Step) -> None:
        self._state, self._step = list(state), step
        self._left: list[Array] = []
        self._before: list[Array] = []
        self._after: list[Array] = []
        self._ran = False

    @abstractmethod
    def _copied(self, array: Array) -> Array:
        """Return a copy of an array."""

    @abstractmethod
    def _copy(self, target: Array, source: Array) -> None:
        """Copy an array."""

    @abstractmethod
    def _same(self, arrays: Sequence[Array]) -> bool:
        """Return whether arrays, state first, are those of `_after`, to the precision of the step."""

    def decided(self, find: Callable[[], T]) -> T | None:
        """Do one step; return the result of `find`, whose way has then done that step.

        Where it raises `NoWayError`, or there is no memory for copies, the reason is logged, and the planned results
        are restored. Any other exception restores the state before the step: an interrupted training has the
        parameters of its last step, not those of a candidate.
        """
        try:
            self._before = [self._copied(array) for array in self._state]
            self._plain()
            self._after = [self._copied(array) for array in (*self._state, *self._left)]
            return find()
        except NoWayError as error:
            log.warning(self.failed, error)
        except self.full as error:
            log.warning(self.failed, f"there is no memory for a copy to try it on: {error}")
        except BaseException:
            self._undo()
            raise
        if not self._ran:
            self._undo()
            self._plain()
        self._restore([*self._state, *self._left], self._after)
        return None

    def _plain(self) -> None:
        self._left = list(self._step())
        self._ran = True

    def _does(self, way: Step) -> bool:
        """Do the step from the state before in another way, and return whether its results are the same."""
        self._undo()
        return self._same([*self._state, *way()])

    def _undo(self) -> None:
        """Restore the state before the step."""
        self._restore(self._state, self._before)

    def _restore(self, arrays: Sequence[Array], values: Sequence[Array]) -> None:
        for array, value in zip(arrays, values, strict=False):  # there may be no values yet
            self._copy(array, value)


class MeasuredTrial(StepTrial):
    """A trial in which results are the same if they are near, measured by how far the step changes them."""

    def __init__(self, state: Sequence[Array], step: Step) -> None:
        super().__init__(state, step)
        self._scales: list[tuple[float, float]] = []  # of each array: its change in the step, its size

    @abstractmethod
    def _distance(self, array: Array, other: Array | None) -> float:
        """Return Σ|x − y| over two arrays, Σ|x| without the other; infinite where only one is NaN."""

    def _same(self, arrays: Sequence[Array]) -> bool:
        """Return whether arrays, state first, are those of `_after`, to the precision of the step."""
        return self._near(list(map(self._distance, arrays, self._after)))

    def _near(self, apart: Sequence[float]) -> bool:
        if not self._scales:
            # Σ|x_after − x_before| of the state, as parameters are much larger than that; else Σ|x_after|
            changes = map(self._distance, self._after, [*self._before, *[None] * len(self._left)])
            sizes = [self._distance(after, None) for after in self._after]
            self._scales = list(zip(changes, sizes, strict=True))
        limits = map(self._limit, self._after, self._scales)
        return all(not far or far <= limit for far, limit in zip(apart, limits, strict=True))

    def _limit(self, array: Array, scale: tuple[float, float]) -> float:
        """Return how far an array may be from the one the planned step left, as a sum over its elements.

        The largest difference would not do: Adam's first update is ±η whatever the size of the gradient, so that where
        the gradient is nearly 0 either sign is right.
        """
        if array.dtype.kind != "f":
            return 0.0
        change, size = scale
        eps = float(numpy.finfo(numpy.dtype(str(array.dtype))).eps)
        return float(max(4.0 * eps**0.5, self._tolerated(array)) * change + 4.0 * eps * size)

    def _tolerated(self, array: Array) -> float:
        """Return the fraction of its change that an array may be apart besides."""
        return 0.0
