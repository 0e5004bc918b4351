"""Double-buffered upload of rows to the GPU: from pinned host memory, on a copy stream concurrent to the steps."""

import logging
from typing import Any

import cupy
import cupyx

from retroprop.backends.cuda import switches
from retroprop.backends.host import Staging
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")


class PinnedStaging(Staging):
    """Two pinned buffers, and two on the current device; see `Staging`.

    The processor launches steps ahead of the device, so that a copy is enqueued while the steps of the previous turn
    still run. It waits for those of the turn before that, whose buffer it overwrites; the steps of its own turn wait
    for it.
    """

    def __init__(self, shape: tuple[int, int], dtype: Any) -> None:
        self._rooms: list[Array] = [cupyx.empty_pinned(shape, dtype) for _ in range(2)]
        self._there = [cupy.empty(shape, dtype) for _ in range(2)]
        self._stream = cupy.cuda.Stream(non_blocking=True)
        # A thread that waits for a copy blocks, and does not spin: the processor has other work.
        self._came = [cupy.cuda.Event(block=True, disable_timing=True) for _ in range(2)]
        self._used = [cupy.cuda.Event(disable_timing=True) for _ in range(2)]
        # The device may still use the previous contents of this memory.
        self._stream.wait_event(cupy.cuda.get_current_stream().record())

    def room(self, turn: int, rows: int) -> Array:
        self._came[turn % 2].synchronize()  # returns at once where nothing was ever copied out of it
        return super().room(turn, rows)

    def moved(self, turn: int, rows: int) -> Array:
        here, now = cupy.cuda.get_current_stream(), turn % 2
        self._used[1 - now].record(here)  # the steps of the turn before are all launched
        self._stream.wait_event(self._used[now])  # recorded in that turn: after the steps of the one before it
        there = self._there[now][:rows]
        there.set(self._rooms[now][:rows], stream=self._stream)
        self._came[now].record(self._stream)
        here.wait_event(self._came[now])
        return there


def pinned(shape: tuple[int, int], dtype: Any) -> Staging | None:
    """Return pinned buffers, None where they are switched off or not available."""
    if not switches.enabled("pinned"):
        return None
    try:
        return PinnedStaging(shape, dtype)
    except Exception as error:
        # A host may allow little pinned memory, or none; pageable memory is slower and as good.
        log.warning("rows are copied from pageable memory, not pinned: %s: %s", type(error).__name__, error)
        return None
