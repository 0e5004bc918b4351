"""The beginning of a training: anew, or where another ended."""

from typing import Any, NamedTuple

from retroprop.backends import host
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.training.continuation import Continuation, StoredContinuation, Work, unpacked
from retroprop.training.fit_call import FitCall
from retroprop.training.history import History
from retroprop.training.packing import NOT_OURS
from retroprop.training.saver import Saver


class Beginning(NamedTuple):
    """The point from which a training goes on, and the history up to there; without any it begins anew.

    Attributes
    ----------
    continuation : Continuation or StoredContinuation or None
        The point.
    history : History or None
        The figures of the epochs before it.
    further_from : int
        The epochs that the caller does not count, as they are those of an earlier call.
    work : Work or None
        Of the first call.
    """

    continuation: Continuation | StoredContinuation | None = None
    history: History | None = None
    further_from: int = 0
    work: Work | None = None

    def elements(self, own: float) -> float:
        """Return the estimated elements by which a backend decides whether to compile: those of the first call."""
        return own if self.work is None else self.work.elements

    def check(self, step: CapturedStep) -> None:
        """Raise CheckpointError if loops of the step are compiled and were not before, or the other way round."""
        if self.work is not None and step.compiled != self.work.compiled:
            was, now = ("plain", "compiled") if step.compiled else ("compiled", "plain")
            raise CheckpointError(
                f"the training began with {was} loops, and would go on with {now} ones, which round differently: set "
                "RETROPROP_NUMBA as it was, and install Numba if it was installed."
            )


ANEW = Beginning()


def beginning(run: FitCall, saver: Saver | None, resume_from: Any) -> Beginning:
    """Return where a training begins.

    Raises
    ------
    TypeError, ValueError, CheckpointError
        If the history or the checkpoint is of another training, by the argument that differs; if the history is of one
        that cannot go on.
    """
    if resume_from is not None:
        return _after(run, saver, resume_from)
    stored = None if saver is None else saver.found(run)
    if stored is None:
        return ANEW
    try:
        return Beginning(stored, _history(stored), work=stored.work)
    except NOT_OURS as error:
        raise CheckpointError(f"a checkpoint does not describe a training: {error}") from error


def _after(run: FitCall, saver: Saver | None, given: Any) -> Beginning:
    """Return the beginning after the training of a history."""
    if not isinstance(given, History):
        raise TypeError(f"resume_from must be the History that fit returned, or None, not {given!r}.")
    if saver is not None and saver.rule.resume:
        raise ValueError(
            "a training goes on from resume_from or from its checkpoint: pass resume=False, or no history."
        )
    if saver is not None:
        saver.found(run)  # which refuses a folder that has checkpoints
    run.check()
    point: Continuation | StoredContinuation | None = given.continuation
    if point is None:
        raise ValueError(
            "resume_from is a history that a training cannot go on from: of one that diverged, that an error or Ctrl-C "
            "ended in the middle of an update, or that rp.fit did not run. A Checkpoint lets Ctrl-C wait for it."
        )
    if difference := point.difference(run):
        raise ValueError(f"resume_from is the history of another training: {difference}.")
    return Beginning(point, given, len(given), point.work)


FIGURES = ("cost", "validation_cost", "learning_rate", "seconds")
"""The lists of a history that have an element for each epoch."""


def _history(stored: StoredContinuation) -> History:
    figures = unpacked(stored, "history")
    return History(
        **{name: figures[name].tolist() for name in FIGURES},
        metrics={name: values.tolist() for name, values in figures["metrics"].items()},
    )


def figures_of(history: History) -> dict[str, Any]:
    """Return the lists of a history as arrays."""

    def array(values: list[float]) -> Any:
        return host.xp.asarray(values, dtype="float64")

    figures: dict[str, Any] = {name: array(getattr(history, name)) for name in FIGURES}
    return figures | {"metrics": {name: array(values) for name, values in history.metrics.items()}}


def copy_of(history: History) -> History:
    """Return a history to which epochs can be added."""
    return History(
        cost=list(history.cost),
        validation_cost=list(history.validation_cost),
        learning_rate=list(history.learning_rate),
        seconds=list(history.seconds),
        metrics={name: list(values) for name, values in history.metrics.items()},
    )
