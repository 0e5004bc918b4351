"""The checkpoints of fits that are trained together: one file with the records and the finished results."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from time import monotonic
from typing import Any

import numpy

from retroprop.persistence import bounded_json
from retroprop.persistence.checkpoint_file import CheckpointError, from_bytes, to_bytes
from retroprop.persistence.checkpoints import CheckpointFolder
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.continuation import Continuation, StoredContinuation, packed
from retroprop.training.course import are_finite
from retroprop.training.packing import NOT_OURS
from retroprop.training.saver import Saver, newest_of
from retroprop.training.signals import Signals
from retroprop.training.user_warning import warn

# A file has two tensors of bytes, as thousands of fits have more arrays than a header has room for: the records, each
# the content of a checkpoint, one after another, and JSON with their lengths and with the finished results.
_INDEX, _RECORDS = "index", "records"
_MOST_ITEMS = 10_000_000


class GroupCheckpoint:
    """The checkpoints of several fits.

    A fit adds its record at the end of an epoch, where one is due; when all that are in training have, a file is
    written. The fits do not depend on one another, so their records need not be of the same epoch.

    Parameters
    ----------
    rule : Checkpoint
        The user's options.
    folder : CheckpointFolder
        Where the files are.
    description : dict
        All that the fits have in common, as plain values.

    Attributes
    ----------
    finished : dict
        Plain values of the finished results, by name.
    read : frozenset of str
        The names that `finished` had in the file.

    Raises
    ------
    CheckpointError
        As `Saver.found`.
    """

    def __init__(self, rule: Checkpoint, folder: CheckpointFolder, description: Mapping[str, Any]) -> None:
        self.rule, self.folder, self._description = rule, folder, dict(description)
        self.finished: dict[str, Any] = {}
        self._records: dict[str, bytes] = {}
        self._new: set[str] = set()
        self._number, self._changed, self._failed = 0, False, set[str]()
        self._read()
        self.read = frozenset(self.finished)
        self.written = monotonic()

    def record(self, name: str) -> StoredContinuation | None:
        """Return the record of a fit, None if it has none yet."""
        content = self._records.get(name)
        return None if content is None else StoredContinuation(*from_bytes(content))

    def add(self, name: str, card: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Take the record of a fit."""
        self._records[name] = to_bytes(card, tensors)
        self._new.add(name)
        self._changed = True

    def finish(self, name: str, plain: Any, fits: Iterable[str]) -> None:
        """Note plain values under a name, in the place of the records of some fits."""
        self.finished[name], self._changed = plain, True
        for fit in fits:
            self._records.pop(fit, None)

    def is_new(self, name: str) -> bool:
        """Return whether a fit has added a record that is in no file yet."""
        return name in self._new

    def write_if_complete(self, names: Iterable[str]) -> None:
        """Write a file if all those fits have added records."""
        if self._new and self._new.issuperset(names):
            self.write()

    def write(self) -> None:
        """Write a file, unless the newest has it all; if it cannot be written, warn."""
        if not self._changed:
            return
        lengths = {name: len(content) for name, content in self._records.items()}
        text = json.dumps({"finished": self.finished, "lengths": lengths}, allow_nan=False)
        tensors = {_INDEX: _as_tensor(text.encode()), _RECORDS: _as_tensor(b"".join(self._records.values()))}
        self._number, self.written = self._number + 1, monotonic()
        try:
            card = {"run": self._description, "number": self._number}
            self.folder.write(self._number, 0, card, tensors)
            self._new.clear()
            self._changed = False
        except OSError as error:
            file = str(error.filename or self.folder.path)
            if str(error.strerror) not in self._failed:  # each reason once
                self._failed.add(str(error.strerror))
                warn(f"a checkpoint cannot be written to {file!r}: {error.strerror}; the training goes on.")

    def _read(self) -> None:
        file, stored = newest_of(_DescribedOnce(self._description, keeps_order=False), self.rule, self.folder)
        if stored is None:
            return
        try:
            self._number = int(stored.card["number"])
            index = bounded_json.parse(stored.tensors[_INDEX].tobytes().decode(), most_items=_MOST_ITEMS)
            self.finished, content = dict(index["finished"]), BytesIO(stored.tensors[_RECORDS].tobytes())
            self._records = {name: content.read(length) for name, length in index["lengths"].items()}
        except NOT_OURS as error:
            raise CheckpointError(f"{str(file)!r} does not describe such a training.") from error


class FitSaver(Saver):
    """The records of one fit of several, in the place of checkpoints of its own.

    Parameters
    ----------
    group : GroupCheckpoint
        Of all fits.
    name : str
        The name of this one.
    """

    def __init__(self, group: GroupCheckpoint, name: str) -> None:
        # No signal ends a fit by itself: those who train the group do that, between its epochs.
        super().__init__(group.rule, group.folder, Signals())
        self.group, self.name = group, name
        self._run: _DescribedOnce | None = None

    def found(self, run: Any) -> StoredContinuation | None:
        """Return the record to go on from, None to begin anew; raise CheckpointError for that of another fit."""
        self._run = _DescribedOnce(run.description(), keeps_order=run.keeps_order)
        stored = self.group.record(self.name)
        if stored is None:
            return None
        try:
            differs = stored.difference(self._run)
        except NOT_OURS as error:
            raise CheckpointError(f"a checkpoint in {str(self.folder.path)!r} does not describe a fit.") from error
        if differs:
            raise CheckpointError(f"{str(self.folder.path)!r} has the checkpoint of another fit: {differs}.")
        return stored

    def after_step(self) -> None:
        """Do nothing: the records are of whole epochs."""

    def write(self, continuation: Continuation, further: Mapping[str, Any]) -> None:
        """Add a record; parameters of a divergence replace no good ones."""
        course, backend = continuation.course, continuation.backend
        if are_finite(course.parameters, backend):
            self._epoch = course.epoch
            point = Continuation(course, backend, self._run, continuation.work)
            self.group.add(self.name, *packed(point, further))

    def _is_late(self) -> bool:
        seconds = self.rule.every_seconds
        return seconds is not None and monotonic() - self.group.written >= seconds and not self.group.is_new(self.name)


class _DescribedOnce:
    """The arguments of a fit, described once: a hash of the data takes time."""

    def __init__(self, found: dict[str, Any], *, keeps_order: bool) -> None:
        self._found, self.keeps_order = found, keeps_order

    def description(self) -> dict[str, Any]:
        """Return them as plain values."""
        return self._found


@contextmanager
def opened_for_group(
    rule: Checkpoint | None, description: Callable[[], Mapping[str, Any]]
) -> Iterator[GroupCheckpoint | None]:
    """Open the folder of checkpoints of several fits for the time of their training; None without checkpoints.

    Raises
    ------
    CheckpointError, OSError
        As `opened`, and as `GroupCheckpoint`.
    """
    if rule is None:
        yield None
        return
    folder = CheckpointFolder(rule.folder, int(rule.keep))
    try:
        yield GroupCheckpoint(rule, folder, description())
    finally:
        folder.close()


def _as_tensor(content: bytes) -> Any:
    return numpy.frombuffer(content, "uint8")
