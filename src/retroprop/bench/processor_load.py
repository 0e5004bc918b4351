"""The load of other programs on the processors: on a busy machine figures mean little, and ratios too.

A matrix product on two threads waits for the slower one. Where another program holds one of two processors, the product
waits for the system's scheduler, milliseconds at a time, and then every contestant takes the same time.
"""

import os

NOTICED = 0.05
"""The fraction of the processors' time from which on a report mentions other programs."""


class ProcessorLoad:
    """Measures the fraction of the processors' time that other programs have used since its creation."""

    def __init__(self) -> None:
        self._begun = _seconds()

    def share(self) -> float | None:
        """Return that fraction, None where psutil is not installed."""
        now, begun = _seconds(), self._begun
        if now is None or begun is None or now[0] <= begun[0]:
            return None
        total, busy, own = (after - before for after, before in zip(now, begun, strict=True))
        return min(1.0, max(0.0, (busy - own) / total))


def _seconds() -> tuple[float, float, float] | None:
    """Return seconds of processor time: of all processors together, at work, and of this process and its children."""
    try:
        import psutil
    except ImportError:
        return None
    times = psutil.cpu_times()._asdict()
    # Linux counts a guest's time within user and nice too. Time the hypervisor gave to another machine is others' work.
    total = sum(seconds for name, seconds in times.items() if not name.startswith("guest"))
    return total, total - times["idle"] - times.get("iowait", 0.0), sum(os.times()[:4])
