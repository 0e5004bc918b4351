"""The trial of a compiled run of steps: one of its steps must leave the results of NumPy's own calls."""

from typing import ClassVar

import numpy

from retroprop.backends import host
from retroprop.backends.replay.trial import MeasuredTrial, NoWayError, Step
from retroprop.functions.types import Array


class NativeTrial(MeasuredTrial):
    """The trial of one step in the memory of a training, which it leaves as it found it."""

    failed: ClassVar[str] = "steps are not done in compiled runs: %s"

    def passes(self, way: Step) -> bool:
        """Return whether a step done that way leaves the planned results."""

        def found() -> bool:
            with host.quiet():
                if not self._does(way):
                    raise NoWayError("a step of one did not leave the results of the step as it is planned")
            return True

        passed = self.decided(found) is not None
        self._undo()
        return passed

    def _copied(self, array: Array) -> Array:
        return array.copy()

    def _copy(self, target: Array, source: Array) -> None:
        numpy.copyto(target, source)

    def _distance(self, array: Array, other: Array | None) -> float:
        if other is None:
            return float(numpy.abs(array).sum(dtype="float64"))
        same = (array == other) | (numpy.isnan(array) & numpy.isnan(other))
        return float(numpy.where(same, 0.0, numpy.abs(array - other)).sum(dtype="float64"))
