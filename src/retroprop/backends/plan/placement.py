"""Places in one block of memory: two arrays may share one if they are never needed at the same time."""

from collections.abc import Sequence
from typing import NamedTuple

ALIGNMENT = 64  # a cache line, and the widest vector register


class Need(NamedTuple):
    """An array of `nbytes` that is needed from instruction `first` to `last`, both included."""

    nbytes: int
    first: int
    last: int


def place(needs: Sequence[Need]) -> tuple[list[int], int]:
    """Return an offset for each, and the size of the block: the largest first, each as low as it fits."""
    offsets = [0] * len(needs)
    placed: list[tuple[int, int, Need]] = []  # begin, end, whose
    for k in sorted(range(len(needs)), key=lambda k: -needs[k].nbytes):
        need, at = needs[k], 0
        size = -(-max(need.nbytes, 1) // ALIGNMENT) * ALIGNMENT
        for begin, end, other in sorted(placed, key=lambda p: p[0]):
            apart = other.last < need.first or need.last < other.first
            if not apart and begin < at + size and at < end:
                at = end
        offsets[k] = at
        placed.append((at, at + size, need))
    return offsets, max((end for _, end, _ in placed), default=0)
