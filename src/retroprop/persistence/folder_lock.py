"""The lock of a folder that one run writes to."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none: there the lock locks nothing
    fcntl = None  # type: ignore[assignment]

from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.persistence.errors import printable

NAME = "lock"
# Opening a FIFO would wait for a reader, and a link might lead to a file of the user.
_FLAGS = os.O_RDWR | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_NOFOLLOW"))
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""The errors of a file system without locks: there the lock locks nothing."""


class FolderLock:
    """An exclusive lock on a folder, which the system releases when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        It exists. The lock is a file in it, which stays: without a process that holds it, it locks nothing.

    Raises
    ------
    CheckpointError
        If another run holds it, or it is no regular file.
    OSError
        If the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._descriptor = os.open(self._path, _FLAGS, 0o666)
        try:
            self._take()
        except BaseException as error:
            os.close(self._descriptor)
            if isinstance(error, OSError):
                error.filename = str(self._path)
            raise

    def _take(self) -> None:
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise CheckpointError(f"{str(self._path)!r}, which locks the folder, is no regular file: remove it.")
        try:
            if fcntl is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = printable(os.read(self._descriptor, 20).decode(errors="replace").strip())
            raise CheckpointError(
                f"another run, process {holder or 'unknown'}, writes its checkpoints to "
                f"{str(self._path.parent)!r}: each run has a folder of its own."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Release the lock, also where a child that was forked meanwhile has the file open."""
        try:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        finally:
            os.close(self._descriptor)
