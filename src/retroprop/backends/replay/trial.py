"""The trial of other ways to do a step: each starts from the same state and must produce the planned results."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

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
            log.warning(NO_GRAPH, error)
        except self.full as error:
            log.warning(NO_GRAPH, f"there is no memory for a copy to try it on: {error}")
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
