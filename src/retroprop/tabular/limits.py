"""The limit on the size of data in memory, compared with the size that a file announces before anything is unpacked."""

import os
from pathlib import Path

from retroprop.tabular.errors import DataError

_MOST = 4 * 2**30


def default_limit() -> int:
    """Return a quarter of the memory of the machine, at most 4 GiB: the table, its inputs and a copy must fit."""
    return min(_MOST, _memory() // 4)


def _memory() -> int:
    """Return the memory in bytes that this process may use."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        total = 4 * _MOST
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no such limit, or "max"
        return total


def check_size(source: str, announced: int, max_bytes: int | None, called: str, further: str = "") -> None:
    """Raise DataError where `called`, such as "the table", would take more than `max_bytes` bytes of memory.

    `further` is another remedy, for the end of the message.
    """
    limit = default_limit() if max_bytes is None else max_bytes
    if announced > limit:
        raise DataError(
            f"{source}: {called} would take {readable(announced)} of memory, and the limit is {readable(limit)}; "
            f"raise it with max_memory=... (in GiB), or read fewer rows{further}."
        )


def readable(n_bytes: int) -> str:
    """Return a number of bytes with a unit, for example "1.5 GiB"."""
    size, units = float(n_bytes), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.3g} {units[0]}"
