"""The course of a group of trainings: `Course` with a model axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from retroprop.backends import Backend, host
from retroprop.core.architecture import Architecture
from retroprop.functions.types import Array
from retroprop.training.many.member import Member
from retroprop.training.many.stacked_data import of_some
from retroprop.training.many.stacked_step import StackedData


class Seen(NamedTuple):
    """The outputs of a step, (K, m, n_L), and how many rows of them belong to each network."""

    a: Array
    sizes: list[int]


@dataclass
class StackedCourse:
    """All that the trainings of a group change, and the data they see.

    Attributes
    ----------
    backend, dtype, architecture
        Those of the networks; without penalties, where the data have those of each.
    members : list of Member or None
        One for each row of the arrays; None has ended.
    data : StackedData
        Held once.
    parameters : array (K, P)
        The current parameters.
    state : tuple of array (K, P)
        The optimizer's.
    kept : dict of array (K, P)
        Earlier parameters that a training may end with, where the group keeps them: "last", of the end of the last
        epoch of each network, "good", of the one before, and "best", of its best epoch.
    pending : list of array
        J of the steps since an epoch of any network ended, (K,) or of several steps (steps, K).
    seen : list of Seen
        The outputs of the steps of unfinished epochs, if metrics are computed of them.
    """

    backend: Backend
    dtype: str
    architecture: Architecture
    members: list[Member | None]
    data: StackedData
    parameters: Array
    state: tuple[Array, ...]
    kept: dict[str, Array] = field(default_factory=dict)
    pending: list[Array] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    @property
    def active(self) -> list[Member]:
        """The members that have not ended."""
        return [member for member in self.members if member is not None]

    def at(self, row: int) -> Member:
        """Return a member that has not ended, by its row."""
        member = self.members[row]
        assert member is not None
        return member

    def taker(self, rows: Sequence[int]) -> Callable[[Array], Array]:
        """Return a function that takes those rows of an array; of all rows, the array itself."""
        if list(rows) == list(range(len(self.members))):
            return lambda array: array
        indices, xp = self.backend.asarray(host.xp.asarray(rows)), self.backend.xp
        return lambda array: xp.take(array, indices, axis=0)

    def chosen(self, rows: Sequence[int], new: Array, old: Array) -> Array:
        """Return `old` with some rows of `new`."""
        if not rows:
            return old
        if len(rows) == len(self.members):
            return new
        mask = host.xp.zeros((len(self.members), 1), bool)
        mask[list(rows)] = True
        return self.backend.xp.where(self.backend.asarray(mask), new, old)

    def read(self) -> list[bool]:
        """Give each member the costs of its steps; return which networks have finite parameters.

        Here it waits for the device, once.
        """
        xp, k = self.backend.xp, len(self.members)
        finite = xp.astype(xp.all(xp.isfinite(self.parameters), axis=1), self.parameters.dtype)
        numbers = self.backend.to_numpy(xp.concat([*self.pending, finite], axis=None)).reshape(-1, k)
        self.pending = []
        for member, costs in zip(self.members, numbers[:-1].T.tolist(), strict=True):
            if member is not None:
                member.costs += costs
        return [value == 1.0 for value in numbers[-1].tolist()]

    def forget_seen(self) -> None:
        """Keep the outputs of unfinished epochs only."""
        longest = max((member.n_batches for member in self.active), default=0)
        self.seen = self.seen[len(self.seen) - longest :]

    def shrink(self) -> None:
        """Take the rows of those that have ended out of all arrays."""
        rows = [row for row, member in enumerate(self.members) if member is not None]
        take = self.taker(rows)
        self.members = [self.members[row] for row in rows]
        self.parameters = take(self.parameters)
        self.kept = {name: take(array) for name, array in self.kept.items()}
        self.state = tuple(map(take, self.state))
        self.data = of_some(self.data, take)
        self.pending = [
            self.backend.xp.take(one, self.backend.asarray(host.xp.asarray(rows)), axis=-1) for one in self.pending
        ]
        self.seen = [Seen(take(one.a), [one.sizes[row] for row in rows]) for one in self.seen]
