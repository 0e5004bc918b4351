"""The lock of a folder that one run writes to."""

import os
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has none: there the lock locks nothing
    fcntl = None  # type: ignore[assignment]

from retroprop.persistence.checkpoint_file import CheckpointError

NAME = "lock"


class FolderLock:
    """An exclusive lock on a folder, which the system releases when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        It exists. The lock is a file in it, which stays: without a process that holds it, it locks nothing.

    Raises
    ------
    CheckpointError
        If another run holds it.
    OSError
        If the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file: Any = (folder / NAME).open("a+", encoding="utf-8")
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read(20).strip()
            self._file.close()
            raise CheckpointError(
                f"another run, process {holder or 'unknown'}, writes its checkpoints to {str(folder)!r}: each run has "
                "a folder of its own."
            ) from None
        except OSError:
            self._file.close()
            raise
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Release the lock."""
        self._file.close()
