"""A folder in the user's cache, for what is found out or compiled once and is good for the next run as well."""

import os
import tempfile
from functools import lru_cache
from pathlib import Path


def folder(name: str) -> Path:
    """Return the folder of that name in the user's cache, else a temporary one.

    What lies there may be run, so nobody else may be able to write to it.
    """
    return _made(name, os.environ.get("XDG_CACHE_HOME") or "~/.cache")


@lru_cache(maxsize=16)
def _made(name: str, cache: str) -> Path:
    try:
        made = Path(cache).expanduser() / "retroprop" / name
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=made):
            pass
        found = made.stat()
        if not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022):
            return made
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        pass
    return Path(tempfile.mkdtemp(prefix="retroprop-"))


def replaced(path: Path, text: str) -> None:
    """Write a file so that whoever reads it meanwhile sees all of the old one, or all of the new one.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(written).replace(path)
    except OSError:
        Path(written).unlink(missing_ok=True)
        raise
