"""Writing of a file: completely or not at all where it is a regular file, straight into anything else."""

import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr)|(?:/dev/fd|/proc/self/fd)/(\d+)")


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to a file.

    A regular file is written to a temporary file beside it, which is then renamed, so that no reader ever sees an
    incomplete file. An existing file keeps its mode; through a symbolic link its target is written, and the link stays.
    What is no regular file, as /dev/stdout, a FIFO or a device, is written straight into and never replaced.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    OSError
        If it cannot be written; it names the file, and the temporary file is removed.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(path.parent)!r} does not exist.")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, not a file.")
    try:
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
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk is reported for a descriptor, which has no name
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
    # A name of its own length: that of `path` may be the longest that the system allows.
    beside = path.with_name(f".retroprop-{token_hex(8)}")
    # Created with the permissions of any new file: the system applies the umask.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(beside, flags, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            if hasattr(os, "chown") and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):  # only root may give a file away
                    os.chown(beside, before.st_uid, before.st_gid)
            beside.chmod(stat.S_IMODE(before.st_mode))
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
