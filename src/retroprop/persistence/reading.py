"""Reading of a regular file that others may change at the same time."""

import os
import stat
from collections.abc import Callable
from io import FileIO
from typing import TypeVar

from retroprop.persistence.errors import ModelFileError, printable

T = TypeVar("T")
# Opening a FIFO would wait for a writer.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
_KINDS = {
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_regular(path: str | os.PathLike[str], parse: Callable[[FileIO, int], T]) -> T:
    """Return `parse(file, size)` of a regular file.

    The file is read and never mapped into memory: a mapped file that is cut would end the process. A file that changes
    while it is read is read once more.

    Parameters
    ----------
    path : path
        The file.
    parse : function
        Reads the open file, of `size` bytes, and raises ValueError with the reason where it does not like it.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or it is a folder.
    ModelFileError
        If it is a FIFO, a device or a socket, changes while it is read, or `parse` raises ValueError.
    OSError
        If it cannot be read; it names the file.
    """
    name = os.fspath(path)
    _check_kind(name, _mode(name))
    for attempt in (1, 2):
        try:
            with os.fdopen(os.open(name, _FLAGS), "rb", buffering=0) as file:
                # What was a file a moment ago may be another thing now.
                _check_kind(name, os.fstat(file.fileno()).st_mode)
                before = _stamp(file)
                wrong = None
                try:
                    value = parse(file, before[0])
                except ValueError as error:
                    wrong = error
                if _stamp(file) == before:
                    break
                if attempt == 2:
                    raise ModelFileError(f"{name} changed while it was read. Load it again when it is written.")
        except OSError as error:
            if error.errno is not None:
                error.filename = name  # of a read that fails, the system knows the descriptor only
            raise
    if wrong is not None:
        raise ModelFileError(f"{name} {printable(wrong)}") from wrong
    return value


def _mode(name: str) -> int:
    try:
        return os.stat(name).st_mode  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no model file {name!r}.") from None


def _check_kind(name: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise FileNotFoundError(f"there is no model file {name!r}: it is a folder.")
    if not stat.S_ISREG(mode):
        raise ModelFileError(f"{name} is {_KINDS.get(stat.S_IFMT(mode), 'no regular file')}, not a model file.")


def _stamp(file: FileIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns
