"""The division of batches between ranks: which rows of each batch a rank computes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from retroprop.backends import host
from retroprop.backends.masks import Masks, MaskStream
from retroprop.functions.types import Array
from retroprop.training.epoch import BatchSource
from retroprop.training.rows import Stretches


class Rows(NamedTuple):
    """The rows that this rank passed, where each passes its own: the first among those of all ranks, their number."""

    first: int
    own: int


class Division:
    """The part of this rank in each batch.

    Parameters
    ----------
    rank, size : int
        Of this process, and the number of processes.
    parts : int
        The number of parts that a batch is divided into, a multiple of `size`; consecutive ones belong to a rank.
    rows : Rows, optional
        The rows of this rank; None if every rank has all of them.
    """

    def __init__(self, rank: int, size: int, parts: int, rows: Rows | None = None) -> None:
        self.rank, self.size, self.parts, self.rows = rank, size, parts, rows

    def spans(self, m: int) -> list[slice]:
        """Return the parts of this rank of m rows that every rank has; a part may be empty."""
        each = self.parts // self.size
        ends = [part * m // self.parts for part in range(self.rank * each, (self.rank + 1) * each + 1)]
        return [slice(begin, end) for begin, end in pairwise(ends)]

    def local(self, order: Array | None, windows: Sequence[slice]) -> tuple[Array | None, list[slice]]:
        """Return the order and the windows of this rank, from those of all ranks."""
        if self.rows is None:
            return order, [_inner(window, self.spans(_length(window))) for window in windows]
        first, own = self.rows
        if order is None:
            inside = [(max(w.start, first) - first, min(w.stop, first + own) - first) for w in windows]
            return None, [slice(begin, max(begin, end)) for begin, end in inside]
        found = [order[window][self.places(order, window)] - first for window in windows]
        ends = [0, *host.xp.cumsum([len(part) for part in found]).tolist()]
        joined = host.xp.concat(found) if found else order[:0]
        return joined, [slice(begin, end) for begin, end in pairwise(ends)]

    def places(self, order: Array | None, window: slice) -> Array | slice:
        """Return the places within a batch of the rows that this rank computes."""
        if self.rows is None:
            return _inner(slice(0, 0), self.spans(_length(window)))
        first, own = self.rows
        if order is None:
            begin = max(window.start, first)
            return slice(begin - window.start, max(begin, min(window.stop, first + own)) - window.start)
        rows = order[window]
        found: Array = host.xp.flatnonzero((rows >= first) & (rows < first + own))
        return found

    def masks(
        self, stream: MaskStream | None, t: int, m: int, places: Array | slice
    ) -> tuple[Array | None, ...] | None:
        """Return the dropout masks after t updates of some places of a batch of m rows: those of the whole batch."""
        if stream is None:
            return None
        if isinstance(places, slice):
            return Masks(stream, t, places.stop - places.start, places.start).drawn()
        rows, backend = places, stream.backend
        whole = Masks(stream, t, m).drawn()
        return tuple(None if mask is None else backend.xp.take(mask, backend.asarray(rows), axis=0) for mask in whole)


class OwnRows:
    """The rows of this rank of a source."""

    def __init__(self, source: BatchSource, division: Division) -> None:
        self._source, self._division = source, division

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the batches of an epoch as this rank has them: with as many windows, some of them empty."""
        return self._source.stretches(*self._division.local(order, windows))


def _inner(window: slice, spans: list[slice]) -> slice:
    return slice(window.start + spans[0].start, window.start + spans[-1].stop)


def _length(window: slice) -> int:
    m: int = window.stop - window.start
    return m
