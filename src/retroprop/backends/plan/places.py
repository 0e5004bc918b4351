"""Places in memory: two arrays may share one if they are never needed at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

ALIGNMENT = 64  # a cache line, and the widest vector register


@dataclass(eq=False)
class Cell:
    """A contiguous piece of memory: in the block, or `kept` from step to step.

    Attributes
    ----------
    first, last : int
        The instructions between which it is needed, both included.
    kept : int or None
        Its number among those that keep parameters and state, None in the block.
    offset : int
        Its byte offset in the block.
    """

    nbytes: int
    first: int = 1 << 30
    last: int = -1
    kept: int | None = None
    offset: int = 0

    def touch(self, at: int) -> None:
        """Record that instruction `at` writes or reads it."""
        self.first, self.last = min(self.first, at), max(self.last, at)


class Place(NamedTuple):
    """Where the elements of a node are: a cell, an offset in elements, and whether a matrix is in Fortran order."""

    cell: Cell
    offset: int = 0
    fortran: bool = False


def settle(cells: Sequence[Cell]) -> int:
    """Give each cell an offset in one block, and return the size of the block.

    The largest is placed first, each as low as it fits beside those that are needed at the same time.
    """
    placed: list[Cell] = []
    size = 0
    for cell in sorted(cells, key=lambda cell: -cell.nbytes):
        nbytes = _rounded(cell.nbytes)
        at = 0
        beside = [other for other in placed if other.first <= cell.last and cell.first <= other.last]
        for other in sorted(beside, key=attrgetter("offset")):
            if at + nbytes <= other.offset:
                break
            at = max(at, other.offset + _rounded(other.nbytes))
        cell.offset = at
        placed.append(cell)
        size = max(size, at + nbytes)
    return size


def _rounded(nbytes: int) -> int:
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
