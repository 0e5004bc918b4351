"""Checkpoints of a training in a folder, from the newest of which the training goes on."""

import os
from dataclasses import KW_ONLY, dataclass
from math import inf
from typing import Any

from retroprop.functions.names import flag, number


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoints of a training: where they are written, when, and whether it goes on from the newest of them.

    A checkpoint is one file with everything that the rest of the training follows from, bit for bit. It is written
    beside its place and renamed when it is on the disk, so that a crash at any moment leaves the one before whole.
    SIGTERM, SIGUSR1 and Ctrl-C end the training after the current step, with a checkpoint; a second one ends it at
    once.

    Parameters
    ----------
    folder : path
        The folder, of this training alone; it is made if it does not exist.
    every : int or None
        The number of epochs from one checkpoint to the next. None: only `every_seconds`.
    every_seconds : float, optional
        The seconds after which one is written after the current step, also within an epoch.
    keep : int
        The number of newest checkpoints that stay.
    resume : bool
        Whether the training goes on from the newest checkpoint. Without one it starts anew, with a warning.
    """

    folder: str | os.PathLike[str]
    _: KW_ONLY
    every: int | None = 1
    every_seconds: float | None = None
    keep: int = 2
    resume: bool = False

    def __post_init__(self) -> None:
        if not os.fspath(self.folder):
            raise ValueError("folder of Checkpoint must be a path, not an empty one.")
        for name in ("every", "keep"):
            value = getattr(self, name)
            if value is None and name == "every" and self.every_seconds is not None:
                continue
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
                raise ValueError(f"{name} of Checkpoint must be a whole number, 1 or more, not {value!r}.")
        if self.every_seconds is not None and not 0.0 < number("every_seconds of Checkpoint", self.every_seconds) < inf:
            raise ValueError(f"every_seconds of Checkpoint must be above 0 and finite, not {self.every_seconds!r}.")
        flag("resume of Checkpoint", self.resume)
        if os.path.exists(self.folder) and not os.path.isdir(self.folder):  # noqa: PTH110, PTH112
            raise NotADirectoryError(f"folder of Checkpoint is a file: {os.fspath(self.folder)!r}.")


def checked(given: Any) -> Checkpoint | None:
    """Return the checkpoints of a training, None for none; raise TypeError for anything else."""
    if given is None or isinstance(given, Checkpoint):
        return given
    raise TypeError(f"checkpoint must be a Checkpoint or None, not {given!r}: pass checkpoint=rp.Checkpoint('folder').")
