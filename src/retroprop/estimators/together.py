"""Several prepared fits trained as one: an epoch of all of them, then the rules of each."""

from collections.abc import Callable, Generator, Iterator, Sequence

from retroprop.estimators.moving import unchanged_before_an_update
from retroprop.estimators.prepared_fit import PreparedFit
from retroprop.training.epoch import Epochs, Figures

Ending = BaseException | None
"""The end of a fit: an error of its own, a KeyboardInterrupt where it was stopped before its end, else None."""


def train_together(
    fits: Sequence[PreparedFit], *, stops: Callable[[], object] = bool, advance: Callable[[int], object] = bool
) -> list[Ending]:
    """Train fits as each would be trained alone; one that fails, diverges or stops early changes nothing for others.

    Parameters
    ----------
    fits : sequence of PreparedFit
        Of one backend, without checkpoints.
    stops : callable
        Is called after each epoch; once it returns true, every fit ends as one that Ctrl-C ends.
    advance : callable
        Is called after each epoch with the number of fits that have ended.

    Returns
    -------
    list of BaseException or None
        The end of each fit.
    """
    if not fits:
        return []
    ends: list[Ending] = [None] * len(fits)
    waiting: dict[int, Epochs] = {}
    with fits[0].source.backend.active():
        trainings = [_whole(fit) for fit in fits]

        def go_on(i: int, answer: Figures | BaseException | None) -> None:
            """Let a fit take the figures of its epoch into account, up to where it needs its next epoch."""
            training = trainings[i]
            try:
                waiting[i] = training.throw(answer) if isinstance(answer, BaseException) else training.send(answer)
                return
            except StopIteration:
                pass
            except Exception as error:
                ends[i] = error
            waiting.pop(i, None)

        for i in range(len(fits)):
            go_on(i, None)
        while waiting and not stops():
            for i, answer in zip(list(waiting), _epochs_of(list(waiting.values())), strict=True):
                go_on(i, answer)
            advance(len(fits) - len(waiting))
        for i in list(waiting):
            ends[i] = KeyboardInterrupt()
            go_on(i, KeyboardInterrupt())
    return ends


def _whole(fit: PreparedFit) -> Generator[Epochs, Figures | None, None]:
    """Train one fit, in the frame that `fit` has when it trains alone."""
    with unchanged_before_an_update(fit.estimator):
        yield from fit.training()


def _epochs_of(several: Sequence[Epochs]) -> Iterator[Figures | Exception]:
    """Run the current epoch of each, and return its figures or its error."""
    for epochs in several:
        try:
            yield epochs.run()
        except Exception as error:
            yield error
