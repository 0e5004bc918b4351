"""Temporary files of writers: created, and removed where their writer was killed.

A writer holds a lock on its temporary file, which the system releases when it ends, however it ends: a file that
another process can lock has no writer. Locks are not always seen by other machines that share a folder, so the name
tells the machine, and a file of another machine, or of a system without locks, is a leftover when it has not changed
for a day.
"""

import os
import re
import stat
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from secrets import token_hex
from zlib import crc32

if sys.platform != "win32":
    import fcntl

_PREFIX = ".retroprop-"
_DAY = 86400.0  # seconds


def create(folder: Path) -> tuple[Path, int]:
    """Create an empty temporary file and return its path and its descriptor, locked while it is open.

    It has the permissions of any new file: the system applies the umask.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    while True:
        # A name of its own length: that of the file may be the longest that the system allows.
        path = folder / f"{_PREFIX}{_machine()}-{token_hex(8)}"
        descriptor = os.open(path, flags, 0o666)
        # Before it is locked, another process may take it for a leftover: then that has the lock, or removed the file.
        if _lock(descriptor, otherwise=True) and (os.name == "nt" or os.fstat(descriptor).st_nlink > 0):
            return path, descriptor
        os.close(descriptor)
        path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove the temporary files that killed writers left in the folder of `path`; no error if one cannot be removed.

    Those of earlier versions, `.<name>.<16 hexadecimal digits>`, are removed for the name of `path` after a day.
    """
    ours = re.compile(rf"{re.escape(_PREFIX)}([0-9a-f]{{8}})-[0-9a-f]{{16}}|\.{re.escape(path.name)}\.[0-9a-f]{{16}}")
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(".") and (found := ours.fullmatch(entry.name)):
                with suppress(OSError):
                    _remove_one(Path(entry.path), by_lock=found[1] == _machine())


def _remove_one(path: Path, *, by_lock: bool) -> None:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
        return
    old = time.time() - found.st_mtime > _DAY
    if not old and not by_lock:
        return
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if _lock(descriptor, otherwise=old):
            path.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, otherwise: bool = False) -> bool:
    """Return whether an open file was locked; `otherwise` where the system has no locks."""
    if sys.platform == "win32":
        return otherwise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return otherwise
    return True


@cache
def _machine() -> str:
    from platform import node

    return f"{crc32(node().encode()):08x}"
