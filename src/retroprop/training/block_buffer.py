"""Blocks of a file in memory: whole blocks are read ahead by a thread, and rows are taken from them in any order."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any

from retroprop.backends import host
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.functions.types import Array

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


class BlockBuffer:
    """Rows that are read in blocks, into a fixed number of places in memory.

    Parameters
    ----------
    rows : Mapped
        The source that is read.
    block_rows : int
        The rows of a block; the last may have fewer.
    places : int
        The number of blocks held.
    """

    def __init__(self, rows: Mapped, block_rows: int, places: int) -> None:
        self.rows, self.block_rows, self.m = rows, block_rows, rows.shape[0]
        n_blocks = ceil(self.m / block_rows)
        self.places = min(places, n_blocks)
        self._memory: Array = host.xp.empty((self.places * block_rows, *rows.shape[1:]), rows.dtype)
        self._place_of: Array = host.xp.full(n_blocks, -1, "int64")
        self._block_at = [-1] * self.places
        self._used = [0] * self.places  # the number of the last reading that needed it
        self._reading = 0
        self._loads: dict[int, Future[None]] = {}

    @contextmanager
    def open(self, loader: "ThreadPoolExecutor") -> Iterator[None]:
        """Return a context in which rows can be read, with a thread that reads blocks; it ends when that is idle."""
        self._loader = loader
        try:
            yield
        finally:
            for block, load in list(self._loads.items()):
                if load.cancel() or load.exception() is not None:
                    self._forget(block)
            self._loads.clear()

    def read(self, rows: Any, into: Array, ahead: Any) -> None:
        """Write the `rows`, a slice or valid indices, into an array; read the blocks of the rows `ahead` after that."""
        rows = host.xp.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        blocks = rows // self.block_rows
        needed, coming = self._distinct(blocks), self._distinct(self._blocks_of(ahead))
        self._reading += 1
        if len(needed) <= self.places:
            self._bring(needed, coming)
            self._take(rows, blocks, into)
        else:
            # Those that are here first, so that none is read twice.
            here = self._place_of[needed] >= 0
            needed = host.xp.concat([needed[here], needed[~here]])
            for at in range(0, len(needed), self.places):
                some = needed[at : at + self.places]
                self._bring(some, some)
                which = host.xp.flatnonzero(host.xp.isin(blocks, some))
                part = host.xp.empty((len(which), *into.shape[1:]), into.dtype)
                self._take(rows[which], blocks[which], part)
                into[which] = part
        self._load(coming, needed)

    def _blocks_of(self, rows: Any) -> Array:
        if isinstance(rows, slice):
            return host.xp.arange(rows.start // self.block_rows, ceil(rows.stop / self.block_rows))
        # Of an order, some: 64 for each block on average, as a block that is missed is read when its rows are needed.
        return rows[:: max(self.block_rows // 64, 1)] // self.block_rows

    def _distinct(self, blocks: Array) -> Array:
        marks = host.xp.zeros(len(self._place_of), bool)
        marks[blocks] = True
        return host.xp.flatnonzero(marks)

    def _take(self, rows: Array, blocks: Array, into: Array) -> None:
        places = self._place_of[blocks] * self.block_rows + (rows - blocks * self.block_rows)
        self._memory.take(places, 0, into, "clip")

    def _bring(self, needed: Array, kept: Array) -> None:
        """Wait until blocks are in memory."""
        self._load(needed, kept, must=True)
        for block in needed.tolist():
            load = self._loads.pop(block, None)
            if load is not None:
                try:
                    load.result()
                except BaseException:
                    self._forget(block)
                    raise

    def _load(self, wanted: Array, kept: Array, *, must: bool = False) -> None:
        """Let the thread read blocks that are not here in the place of others, of `kept` ones only if they `must`."""
        for block in wanted.tolist():
            place = int(self._place_of[block])
            if place >= 0:
                self._used[place] = self._reading
        stay, firm = set(wanted.tolist()) | set(kept.tolist()), set(wanted.tolist())
        for block in wanted[self._place_of[wanted] < 0].tolist():
            found = self._free_place(stay)
            if found is None and must:
                found = self._free_place(firm)
            if found is None:
                return
            self._forget(self._block_at[found])
            self._block_at[found], self._place_of[block] = block, found
            self._used[found] = self._reading
            self._loads[block] = self._loader.submit(self._fill, block, found)

    def _free_place(self, stay: set[int]) -> int | None:
        """Return the place of the block that was used longest ago and is not to stay; None if there is none."""
        free = [place for place, block in enumerate(self._block_at) if block not in stay]
        return min(free, key=self._used.__getitem__, default=None)

    def _forget(self, block: int) -> None:
        if block >= 0:
            load = self._loads.pop(block, None)
            if load is not None and not load.cancel():
                load.exception()  # it writes into the place until then
            self._block_at[int(self._place_of[block])] = -1
            self._place_of[block] = -1

    def _fill(self, block: int, place: int) -> None:
        begin = block * self.block_rows
        stop = min(begin + self.block_rows, self.m)
        at = place * self.block_rows
        self.rows.read(slice(begin, stop), self._memory[at : at + stop - begin])
