"""The checkpoints of one training: read at its start, written as it goes on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.continuation import Continuation, StoredContinuation, packed
from retroprop.training.course import are_finite
from retroprop.training.packing import NOT_OURS
from retroprop.training.signals import Signals, StopSignals
from retroprop.training.user_warning import warn

if TYPE_CHECKING:
    from pathlib import Path

    from retroprop.persistence.checkpoints import CheckpointFolder


class Described(Protocol):
    """The arguments of a training."""

    def description(self) -> dict[str, Any]:
        """Return them as plain values."""


def newest_of(
    run: Described, rule: Checkpoint, folder: "CheckpointFolder"
) -> "tuple[Path, StoredContinuation] | tuple[None, None]":
    """Return the newest checkpoint in a folder, and its path; None twice if the training starts anew.

    Raises
    ------
    CheckpointError
        If it is of another training, the message names the argument; if no file can be used; or if there are
        checkpoints and it was not asked to go on from them.
    """
    where = str(folder.path)
    if not rule.resume:
        if folder.files():
            raise CheckpointError(
                f"{where!r} holds the checkpoints of a training: pass resume=True to go on with it, or another folder."
            )
        return None, None
    file, card, tensors, faults = folder.newest()
    if file is None:
        if faults:
            raise CheckpointError(f"no checkpoint can be used: {'; '.join(faults)}. Remove them to start anew.")
        warn(f"there is no checkpoint in {where!r}: the training starts anew.")
        return None, None
    for fault in faults:
        warn(f"the checkpoint {fault}; the training goes on from the one before it, {str(file)!r}.")
    stored = StoredContinuation(card, tensors)
    try:
        difference = stored.difference(run)
    except NOT_OURS as error:
        raise CheckpointError(f"{str(file)!r} does not describe a training.") from error
    if difference:
        raise CheckpointError(f"{str(file)!r} is a checkpoint of another training: {difference}.")
    return file, stored


class PauseForCheckpoint(BaseException):
    """Leaves an epoch after a step, so that a checkpoint is written; the epoch then goes on."""


class Saver:
    """The checkpoints of a training.

    Parameters
    ----------
    rule : Checkpoint
        The user's options.
    folder : CheckpointFolder
        Where they are.
    signals : StopSignals
        Those that ask to end the training.

    Attributes
    ----------
    last : Path or None
        The newest checkpoint.
    """

    def __init__(self, rule: Checkpoint, folder: "CheckpointFolder", signals: StopSignals) -> None:
        self.rule, self.folder, self.signals = rule, folder, signals
        self.last: Path | None = None
        self._at: tuple[int, int] | None = None
        self._written, self._epoch = monotonic(), 0
        self._failed: set[str] = set()

    def found(self, run: Described) -> StoredContinuation | None:
        """Return the newest checkpoint, None if the training starts anew; raise CheckpointError as `newest_of`."""
        self.last, stored = newest_of(run, self.rule, self.folder)
        return stored

    def begin(self, epoch: int, n_batches: int) -> None:
        """Begin where the training begins: at a checkpoint, or at nothing."""
        self._epoch = epoch
        self._at = (epoch, n_batches) if self.last is not None else None
        self._written = monotonic()

    def after_step(self) -> None:
        """Leave the epoch if a signal has come or a checkpoint is due; to be called after a complete step."""
        self.stop_if_asked()
        if self._is_late():
            raise PauseForCheckpoint

    def is_due(self, epoch: int) -> bool:
        """Return whether a checkpoint is due after so many epochs; raise StopRequested if a signal has come."""
        self.stop_if_asked()
        return (self.rule.every is not None and epoch - self._epoch >= self.rule.every) or self._is_late()

    def stop_if_asked(self) -> None:
        """Raise StopRequested if a signal has come."""
        self.signals.stop_if_asked()

    def write(self, continuation: Continuation, further: Mapping[str, Any]) -> None:
        """Write a checkpoint, unless the newest is of that point; if it cannot be written, warn.

        Parameters
        ----------
        continuation : Continuation
            The point where the training stands.
        further : mapping
            More of its state, as `packed` takes it.
        """
        course = continuation.course
        at = course.epoch, course.n_batches
        # Within an epoch the parameters are not checked yet: those of a divergence replace no good ones.
        if at == self._at or not are_finite(course.parameters, continuation.backend):
            return
        self._written = monotonic()
        self._epoch = course.epoch
        try:
            self.last = self.folder.write(*at, *packed(continuation, further))
            self._at = at
        except OSError as error:
            file = error.filename or str(self.folder.path)
            reason = f"the checkpoint after epoch {course.epoch} cannot be written to {str(file)!r}: {error.strerror}"
            kept = f"the newest is {str(self.last)!r}" if self.last else "there is none yet"
            if str(error.strerror) not in self._failed:  # each reason once, not at each epoch
                self._failed.add(str(error.strerror))
                warn(f"{reason}; the training goes on, and {kept}.")

    def _is_late(self) -> bool:
        seconds = self.rule.every_seconds
        return seconds is not None and monotonic() - self._written >= seconds


class Follower(Saver):
    """The checkpoints of a training on a rank that does not write them."""

    def __init__(self, signals: StopSignals) -> None:
        self.signals, self.last = signals, None

    def found(self, run: Described) -> None:
        """Return None: rank 0 reads the checkpoint."""

    def begin(self, epoch: int, n_batches: int) -> None:
        """Begin where the training begins."""

    def after_step(self) -> None:
        self.stop_if_asked()

    def is_due(self, epoch: int) -> bool:
        self.stop_if_asked()
        return False

    def write(self, continuation: Continuation, further: Mapping[str, Any]) -> None:
        """Write nothing."""


@contextmanager
def opened(
    rule: Checkpoint | None, signals: StopSignals | None = None, *, writes: bool = True
) -> Iterator[Saver | None]:
    """Open the folder of checkpoints for the time of a training; None without checkpoints.

    The `signals` are those that ranks have in common, by default this process's own; of ranks, one `writes`.

    Raises
    ------
    CheckpointError, OSError
        If another run writes there, or nothing can be written.
    Exception
        An error of the training, with a note of the newest checkpoint.
    """
    if rule is None:
        yield None
        return
    if not writes:
        assert signals is not None
        yield Follower(signals)
        return
    from retroprop.persistence.checkpoints import CheckpointFolder

    folder = CheckpointFolder(rule.folder, int(rule.keep))
    saver = None
    try:
        with Signals() if signals is None else nullcontext(signals) as asked:
            saver = Saver(rule, folder, asked)
            yield saver
    except Exception as error:
        if saver is not None and saver.last is not None:
            error.add_note(f"The checkpoint before is {str(saver.last)!r}.")
        raise
    finally:
        folder.close()
