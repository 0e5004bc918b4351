"""The rows of the next steps of a group, in which each network goes through its own epochs."""

from collections.abc import Sequence
from typing import NamedTuple

from retroprop.backends import Backend, host
from retroprop.functions.types import Array
from retroprop.training.many.member import Member
from retroprop.training.runs import LONGEST

MOST = 2**22  # indices that are moved to the device at a time


class Portion(NamedTuple):
    """Consecutive steps.

    Attributes
    ----------
    steps : int
        Their number.
    sizes : list of int
        The number of rows of the batch of each network, the same in each step.
    rows : integer array (steps, K, m) or (steps, m), or None
        As `bind_stacked` describes the rows of a step.
    present : array (K, m) or None
        As `bind_stacked` describes it, where the sizes differ.
    """

    steps: int
    sizes: list[int]
    rows: Array | None
    present: Array | None = None


class Feed:
    """The batches of a group.

    Parameters
    ----------
    backend : Backend
        Where the rows are gathered.
    dtype : str
        Of the network.
    gathers : bool
        Whether rows are always gathered, as data sets lie one after another.
    """

    def __init__(self, backend: Backend, dtype: str, *, gathers: bool) -> None:
        self._backend, self._dtype, self._gathers = backend, dtype, gathers

    def next(self, members: Sequence[Member | None]) -> Portion:
        """Return the next steps: as many as have the same sizes; None among the members has ended."""
        active = [member for member in members if member is not None]
        sizes = [member.size(member.n_batches) for member in active]
        m = max(sizes)
        alike = min(sizes) == m
        if alike and not self._gathers and all(_sees_all(member) for member in active):
            return Portion(1, [m] * len(members), None)
        steps = 1 if not alike else _steps_alike(active, m, len(members))
        own = iter([member.rows(member.n_batches, steps) for member in active])
        # A network that has ended goes on with the first row; nobody reads it.
        idle = host.xp.zeros(steps * m, "int64")
        rows = [idle if member is None else next(own) for member in members]
        full = [len(one) for one in rows]
        if not alike:
            rows = [one if len(one) == m else host.xp.concat([one, one[:1].repeat(m - len(one))]) for one in rows]
        present = None
        if not alike:
            here = host.xp.arange(m) < host.xp.asarray(full)[:, None]
            present = self._backend.asarray(here.astype(self._dtype))
        elif not self._gathers and len(active) == len(members) and _are_equal(rows):
            return Portion(steps, [m] * len(members), self._backend.asarray(rows[0].reshape(steps, m)))
        stacked = host.xp.stack([one.reshape(steps, m) for one in rows], axis=1)
        return Portion(steps, full if steps == 1 else [m] * len(members), self._backend.asarray(stacked), present)


def _sees_all(member: Member) -> bool:
    """Return whether the batch of a member is its data as they are stored."""
    return member.order is None and len(member.windows) == 1


def _are_equal(rows: Sequence[Array]) -> bool:
    first = rows[0]
    return all(one is first or bool((one == first).all()) for one in rows)


def _steps_alike(active: Sequence[Member], m: int, k: int) -> int:
    """Return how many steps follow in which all members have m rows."""
    steps = min(LONGEST, max(MOST // (m * k), 1))
    # Those at the same batch of epochs of the same windows go on alike.
    for at, n, last in {(one.n_batches, len(one.windows), one.size(len(one.windows) - 1)) for one in active}:
        left = n - at if last == m else n - 1 - at
        steps = min(steps, left)
    if len({one.n_batches for one in active}) > 1:  # few different lengths, as some libraries compile each
        steps = 1 << (steps.bit_length() - 1)
    return steps
