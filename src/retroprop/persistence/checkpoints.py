"""A folder of checkpoints: the newest whole one, the next one, and no more of them than asked for."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from retroprop.persistence.checkpoint_file import CheckpointError, from_bytes, to_bytes
from retroprop.persistence.files import write_whole
from retroprop.persistence.folder_lock import FolderLock

_OWN = re.compile(r"epoch-(\d{6,12})-batch-(\d{8,12})\.safetensors")
_LEFT = re.compile(rf"\.{_OWN.pattern}\.[0-9a-f]+")


class CheckpointFolder:
    """The checkpoints in a folder, which is created and locked.

    Parameters
    ----------
    path : path
        The folder.
    keep : int
        The number of newest checkpoints that stay.

    Raises
    ------
    CheckpointError
        If another run writes to it.
    NotADirectoryError
        If it is a file.
    OSError
        If nothing can be written there.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int) -> None:
        self.path, self.keep = Path(path), keep
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"folder of Checkpoint is a file: {str(self.path)!r}.")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.path)
        # No writer lives, as the lock is ours: what a killed one left behind is removed.
        for entry in list(self.path.iterdir()):
            if _LEFT.fullmatch(entry.name):
                entry.unlink(missing_ok=True)
        self._whole: set[Path] = set()

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def files(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        found = {entry: _OWN.fullmatch(entry.name) for entry in self.path.iterdir()}
        placed = [((int(match[1]), int(match[2])), entry) for entry, match in found.items() if match]
        return [entry for _, entry in sorted(placed, reverse=True)]

    def newest(self) -> tuple[Path | None, dict[str, Any], dict[str, Any], list[str]]:
        """Return the newest whole checkpoint, its path first and None without any, and why each newer one is not."""
        faults = []
        for file in self.files():
            try:
                card, tensors = from_bytes(_content(file))
            except (CheckpointError, OSError) as error:
                faults.append(f"{str(file)!r} {error}")
                continue
            self._whole.add(file)
            return file, card, tensors, faults
        return None, {}, {}, faults

    def write(self, epoch: int, batch: int, card: dict[str, Any], tensors: dict[str, Any]) -> Path:
        """Write the checkpoint after so many epochs and so many batches of the next, then remove those to spare.

        Raises
        ------
        OSError
            If it cannot be written; those before it stay.
        """
        file = self.path / f"epoch-{epoch:06d}-batch-{batch:08d}.safetensors"
        if file.exists() and not file.is_file() and not file.is_dir():
            file.unlink()  # a pipe in its place would be written into, and wait for a reader
        write_whole(file, to_bytes(card, tensors))
        sync_folder(self.path)
        self._whole.add(file)
        # Those not known to be whole do not count among those that are kept.
        whole = [one for one in self.files() if one in self._whole]
        if len(whole) > self.keep:
            oldest_kept = self.files().index(whole[self.keep - 1])
            for spare in self.files()[oldest_kept + 1 :]:
                with suppress(OSError):  # one too many is no harm
                    spare.unlink(missing_ok=True)
        return file


def _content(file: Path) -> bytes:
    """Return the bytes of a regular file: a pipe or a device in its place would never end."""
    if not file.is_file():
        raise CheckpointError("is no regular file")
    return file.read_bytes()


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can say so."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
