"""The arguments of one call of `fit`, from which its description is made when it is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from retroprop.backends import Backend
from retroprop.core.architecture import Architecture
from retroprop.functions import schedules
from retroprop.functions.types import Array
from retroprop.training import description
from retroprop.training.intake import Intake


@dataclass(frozen=True)
class FitCall:
    """The arguments of one call of `fit`, as they were given.

    Attributes
    ----------
    architecture, backend, dtype
        Of the network.
    data : tuple
        x, y, sample_weight and validation_data, as the user gave them: no copies.
    options : dict
        The others that matter.
    rows : integer array or None
        The rows of the data that are trained on, on the host; None for all of them.
    keeps_order : bool
        Whether the order of an epoch depends on that of the epoch before.
    """

    architecture: Architecture
    backend: Backend
    dtype: str
    data: tuple[Any, Any, Any, Any]
    options: dict[str, Any]
    rows: Array | None = None
    keeps_order: bool = False

    def check(self) -> None:
        """Raise TypeError if the state of the schedule could not be stored."""
        description.check_schedule(schedules.get(self.options["optimizer"].learning_rate))

    def data_in_common(self, other: "FitCall") -> bool:
        """Return whether another call was given the very same objects as data."""
        pairs = zip((*self.data[:3], *self._validation()), (*other.data[:3], *other._validation()), strict=False)
        same_number = len(self._validation()) == len(other._validation())
        return same_number and self.rows is other.rows and all(one is another for one, another in pairs)

    def description(self, *, but: bool = False) -> dict[str, Any]:
        """Return the description; `but` the fingerprints of the data."""
        options = {
            name: description.of_seed(value) if name == "seed" else description.described(value)
            for name, value in self.options.items()
        }
        network = description.of_network(self.architecture, self.backend, self.dtype)
        return network | options | ({} if but else self._fingerprints)

    def _validation(self) -> Sequence[Any]:
        given = self.data[3]
        return [] if given is None else [*given, *[None] * (3 - len(given))]

    @cached_property
    def _fingerprints(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.data[0] is None:
            return found  # the batches of an iterator
        stored = self.options.get("batch_size") is not None
        for before, given, as_stored in (("", self.data[:3], stored), ("validation ", self._validation(), False)):
            if len(given):
                batch = Intake().taken(self, *given, as_stored=as_stored)
                rows = None if before else self.rows
                found |= {
                    f"{before}{name}": description.fingerprint(self.backend, array, rows)
                    for name, array in zip(("x", "y", "sample_weight"), batch, strict=True)
                }
        return found
