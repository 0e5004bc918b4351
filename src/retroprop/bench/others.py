"""Who else computes: a figure of a busy machine is worth little, and a ratio too.

A matrix product on two threads waits for the slower one. If another program has one of two processors, it waits for the
system's scheduler, milliseconds at a time, and then every contestant takes the same time.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_STAT = Path("/proc/stat")
NOTICED = 0.05
"""The share of the processors' time from which on a report says that others computed."""


class _Spent(NamedTuple):
    """Seconds of processor time: of all processors together, of those at work, and of this process."""

    total: float
    busy: float
    own: float


class Others:
    """Watches, from when it is made, how much of the processors' time went to other programs."""

    def __init__(self) -> None:
        self._begun = _spent()

    def share(self) -> float | None:
        """Return their share of the processors' time since then, None where the system does not tell."""
        now, begun = _spent(), self._begun
        if now is None or begun is None or now.total <= begun.total:
            return None
        others = (now.busy - begun.busy) - (now.own - begun.own)
        return min(1.0, max(0.0, others / (now.total - begun.total)))


def _spent() -> _Spent | None:
    """Return what Linux counts; time the hypervisor gave to another machine is work of others, too."""
    with suppress(OSError, ValueError, IndexError):
        first = _STAT.read_text(encoding="ascii").splitlines()[0].split()
        user, nice, system, idle, waiting, *interrupts_and_stolen = (int(ticks) for ticks in first[1:9])
        a_second = os.sysconf("SC_CLK_TCK")
        busy = user + nice + system + sum(interrupts_and_stolen)
        children = os.times()
        own = time.process_time() + children.children_user + children.children_system
        return _Spent((busy + idle + waiting) / a_second, busy / a_second, own)
    return None
