"""Writing of a file: completely or not at all where it is a regular file, straight into anything else."""

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retroprop.persistence import leftovers

_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr)|(?:/dev/fd|/proc/self/fd)/(\d+)")


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to a file.

    A regular file is written to a temporary file beside it, which is then renamed, so that no reader ever sees an
    incomplete file and a crash or a loss of power at any moment leaves the old file or the new one. An existing file
    keeps its mode; through a symbolic link its target is written, and the link stays. What is no regular file, as
    /dev/stdout, a FIFO or a device, is written straight into and never replaced.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    OSError
        If it cannot be written; it names the file, and the temporary file is removed.
    """
    path = Path(path)
    with _named(path):
        if not path.parent.is_dir():
            raise FileNotFoundError(f"the folder {str(path.parent)!r} does not exist.")
        if path.is_dir():
            raise IsADirectoryError(f"{str(path)!r} is a folder, not a file.")
        descriptor = descriptor_of(path)
        if descriptor is not None:
            sys.stdout.flush()
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
        elif is_special(path):
            with path.open("wb") as file:
                file.write(content)
        else:
            _replace(Path(os.path.realpath(path)), content)


def replace_whole(path: Path, content: bytes) -> None:
    """Put a new file with `content` in the place of `path`, as `write_whole` does, whatever is there but a folder."""
    with _named(path):
        _replace(path, content)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error of the system name a file of the user."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            # A full disk is reported for a descriptor, which has no name, and a rename for the temporary file.
            error.filename, error.filename2 = str(path), None
        raise


def descriptor_of(path: str | os.PathLike[str]) -> int | None:
    """Return the open descriptor that a path such as /dev/stdout names, else None.

    To open such a path anew would truncate the file that standard output was directed to.
    """
    found = _DESCRIPTOR.fullmatch(os.fspath(path))
    if found is None:
        return None
    return {"stdout": 1, "stderr": 2}[found[1]] if found[1] else int(found[2])


def is_special(path: str | os.PathLike[str]) -> bool:
    """Return whether a path exists and is neither a regular file nor a folder, after links."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _replace(path: Path, content: bytes) -> None:
    before = path.stat() if path.exists() else None
    leftovers.remove(path)
    beside, descriptor = leftovers.create(path.parent)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if before is not None:
                if hasattr(os, "chown") and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    with suppress(PermissionError):  # only root may give a file away
                        os.chown(beside, before.st_uid, before.st_gid)
                beside.chmod(stat.S_IMODE(before.st_mode))
            os.fsync(descriptor)
            # The lock is held until the file has its name, except where an open file cannot be renamed.
            if os.name != "nt":
                beside.replace(path)
        finally:
            os.close(descriptor)
        if os.name == "nt":
            beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder last through a loss of power."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows has no descriptor of a folder
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
