"""One network of a group, for a backend that does the steps of a group network by network."""

from collections.abc import Callable, Sequence
from typing import Any

from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array


class OneOfMany:
    """The step of one network and its arguments, where the captured step is that of K.

    Parameters
    ----------
    architecture : Architecture
        Of all networks, without penalties where the data have those of each.
    step : callable
        Returns the step of one network, as `step.bind` captures it, from its architecture.
    shaped : callable
        Returns parameters (P,) as `Parameters`.
    """

    def __init__(
        self, architecture: Architecture, step: Callable[[Architecture], Any], shaped: Callable[[Array], Parameters]
    ) -> None:
        self.step, self.architecture, self._shaped = step, architecture, shaped

    def alike(self, penalties: Any, k: int) -> dict[Architecture, list[int]]:
        """Return which of K networks have which architecture, with the penalties of `StackedData`."""
        if penalties is None:
            return {self.architecture: list(range(k))}
        each = [[(0.0,) * k if one is None else one[:, 0, 0].tolist() for one in pair] for pair in penalties]
        found: dict[Architecture, list[int]] = {}
        for number in range(k):
            l2, l1 = (tuple(pair[kind][number] for pair in each) for kind in (0, 1))
            found.setdefault(self.architecture._replace(l2=l2, l1=l1), []).append(number)
        return found

    def arguments(
        self, parameters: Array, state: Sequence[Array], data: Any
    ) -> tuple[Parameters, tuple[Parameters, ...], Batch]:
        """Return parameters, state and data as the step takes them, of arrays (P,) of one network and `StackedData`."""
        return self._shaped(parameters), tuple(map(self._shaped, state)), Batch(data.x, data.y, data.weight)
