"""Atomic writing of a file."""

import os
from pathlib import Path
from secrets import token_hex


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, then rename it: no reader ever sees an incomplete file.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    OSError
        If it cannot be written; the temporary file is removed.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(path.parent)!r} does not exist.")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, not a file.")
    beside = path.with_name(f".{path.name}.{token_hex(8)}")
    # Created with the permissions of any new file: the system applies the umask.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(beside, flags, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
