"""Several prepared fits trained as one: the steps of all of one form are one step, the rules are those of each."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from retroprop.estimators.checkpointing import EstimatorCall, Keeper
from retroprop.estimators.epoch_group import EpochGroup, form_of
from retroprop.estimators.group_checkpoint import FitSaver, GroupCheckpoint
from retroprop.estimators.moving import unchanged_before_an_update
from retroprop.estimators.prepared_fit import PreparedFit
from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.training.epoch import Epochs, Figures

Ending = BaseException | None
"""The end of a fit: an error of its own, a KeyboardInterrupt where it was stopped before its end, else None."""


def train_together(
    fits: Sequence[PreparedFit],
    *,
    stops: Callable[[], object],
    checkpoint: GroupCheckpoint | None = None,
    names: Sequence[str] = (),
) -> list[Ending]:
    """Train fits as each would be trained alone; one that fails, diverges or stops early changes nothing for others.

    Parameters
    ----------
    fits : sequence of PreparedFit
        Of one backend, without checkpoints.
    stops : callable
        Is called after each epoch; once it returns true, every fit ends as one that Ctrl-C ends.
    checkpoint : GroupCheckpoint or None
        Has the records of fits that go on, and takes those of all.
    names : sequence of str
        The name that each fit has there.

    Returns
    -------
    list of BaseException or None
        The end of each fit.

    Raises
    ------
    CheckpointError
        If a record is that of another fit.
    """
    if not fits:
        return []
    ends: list[Ending] = [None] * len(fits)
    waiting: dict[int, Epochs] = {}
    with fits[0].source.backend.active():
        keepers = [None if checkpoint is None else _keeper(fit, checkpoint, names[i]) for i, fit in enumerate(fits)]
        trainings = [_whole(fit, keeper) for fit, keeper in zip(fits, keepers, strict=True)]

        def go_on(i: int, answer: Figures | BaseException | None) -> bool:
            """Let a fit take the figures of an epoch into account; return whether it needs another."""
            training = trainings[i]
            try:
                waiting[i] = training.throw(answer) if isinstance(answer, BaseException) else training.send(answer)
                return True
            except StopIteration:
                pass
            except CheckpointError:
                raise
            except Exception as error:
                ends[i] = error
            waiting.pop(i, None)
            return False

        for i, fit in enumerate(fits):
            fit.together = int(go_on(i, None))
        begun = list(waiting.values())
        try:
            for several in _groups(fits, waiting):
                _train(fits, several, waiting, go_on, _stopping(stops, checkpoint, names, several, waiting))
            for i in list(waiting):
                ends[i] = KeyboardInterrupt()
                go_on(i, KeyboardInterrupt())
        finally:
            for epochs in begun:
                epochs.settle = bool  # it refers to the arrays of the group, which end here
            if checkpoint is not None:
                checkpoint.write()
    return ends


def _train(
    fits: Sequence[PreparedFit],
    several: Sequence[int],
    waiting: dict[int, Epochs],
    go_on: Callable[[int, Figures | BaseException | None], bool],
    stops: Callable[[], object],
) -> None:
    """Train the fits of one step to their ends, or until `stops` returns true."""
    for i in several:
        fits[i].together = len(several)
    if len(several) > 1:
        try:
            EpochGroup([(i, fits[i], waiting[i]) for i in several]).train(go_on, stops)
        except CheckpointError:
            raise
        except Exception as error:  # of the library, such as for lack of memory: it ends the fits of this group
            for i in filter(waiting.__contains__, several):
                go_on(i, error)
    else:
        (i,) = several
        while i in waiting and not stops():
            go_on(i, _run(waiting[i]))


def _stopping(
    stops: Callable[[], object],
    checkpoint: GroupCheckpoint | None,
    names: Sequence[str],
    several: Sequence[int],
    waiting: dict[int, Epochs],
) -> Callable[[], object]:
    """Return `stops`, before which a file is written where all fits in training have added a record."""
    if checkpoint is None:
        return stops

    def written() -> object:
        checkpoint.write_if_complete(names[i] for i in several if i in waiting)
        return stops()

    return written


def _keeper(fit: PreparedFit, checkpoint: GroupCheckpoint, name: str) -> Keeper:
    call = EstimatorCall(fit.estimator, fit.architecture, fit.source, fit.validation)
    return Keeper(FitSaver(checkpoint, name), call)


def _whole(fit: PreparedFit, keeper: Keeper | None) -> Generator[Epochs, Figures | None, None]:
    """Train one fit, in the frame that `fit` has when it trains alone."""
    with unchanged_before_an_update(fit.estimator):
        yield from fit.training(keeper)


def _groups(fits: Sequence[PreparedFit], waiting: dict[int, Epochs]) -> list[list[int]]:
    """Return the numbers of the fits that one step can train, together; of each other fit, its number alone."""
    forms: dict[Any, list[int]] = {}
    for i, epochs in waiting.items():
        form = form_of(fits[i], epochs)
        forms.setdefault((i,) if form is None else form, []).append(i)
    return list(forms.values())


def _run(epochs: Epochs) -> Figures | Exception:
    """Run an epoch of one fit; return its figures or its error."""
    try:
        return epochs.run()
    except Exception as error:
        return error
