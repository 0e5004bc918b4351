"""The evaluation of the candidates of one round of a search: in groups that are trained together, the others alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from time import perf_counter
from typing import Any, NamedTuple

from retroprop.estimators.together import train_together
from retroprop.model_selection.candidate import CandidateFit, as_it_is
from retroprop.model_selection.folds import Folds
from retroprop.model_selection.search_checkpoint import SearchCheckpoint
from retroprop.model_selection.search_report import SearchReport
from retroprop.training.signals import Signals


class UnfinishedError(Exception):
    """Ctrl-C came before a fit was finished."""


class Alone(NamedTuple):
    """The way in which scikit-learn does some calls.

    Attributes
    ----------
    results : callable
        Returns the results of some calls, in their order.
    at_once : int
        The number of them that it does at a time.
    """

    results: Callable[[list[Any]], list[Any]]
    at_once: int


def evaluated(
    calls: Sequence[Any],
    alone: Alone,
    report: SearchReport,
    budget: int,
    checkpoint: SearchCheckpoint | None = None,
) -> list[Any]:
    """Return the results of the calls that scikit-learn's search makes in one round, in their order.

    Parameters
    ----------
    calls : sequence of tuple
        Each a function, its arguments and its keyword arguments.
    alone : Alone
        Does some calls one by one, as scikit-learn does them.
    report : SearchReport
        Is written.
    budget : int
        The most bytes of a group.
    checkpoint : SearchCheckpoint or None
        Has the results of calls that are finished, and takes those of the others.

    Raises
    ------
    UnfinishedError
        If Ctrl-C came before any of them was finished.
    CheckpointError
        If the checkpoint is that of another search.
    """
    if report.interrupted:
        raise UnfinishedError("Ctrl-C has ended the search.")
    results: dict[int, Any] = {} if checkpoint is None else checkpoint.begin(calls)
    report.resumed += len(results)
    batched: list[CandidateFit] = []
    for i, call in enumerate(calls):
        if i in results:
            continue
        reason = CandidateFit.reason_against(call)
        if reason is None:
            batched.append(CandidateFit(i, call))
        elif reason != as_it_is:
            report.alone[reason] += 1
    with Signals() as signals:
        for group in _groups(batched, budget, signals):
            began = perf_counter()
            ends = _trained(group, signals, checkpoint)
            seconds = perf_counter() - began
            report.groups.append(len(group))
            report.own_steps += sum(fit.together == 1 for one in group for fit in one.fits)
            with _written(checkpoint):
                _end(group, ends, seconds, results, checkpoint)
        signals.answered = signals.reason == "interrupted"
        report.interrupted = bool(signals.reason)
    if report.interrupted:
        if not results:
            raise UnfinishedError("Ctrl-C came before a fit of the round was finished.")
        results |= {i: as_unfinished(call) for i, call in enumerate(calls) if i not in results}
    else:
        rest = [i for i in range(len(calls)) if i not in results]
        # With a checkpoint some at a time, as none of them is kept before all of those are done.
        at_once = len(rest) if checkpoint is None else alone.at_once
        for at in range(0, len(rest), max(at_once, 1)):
            some = rest[at : at + at_once]
            own = dict(zip(some, alone.results([calls[i] for i in some]), strict=True))
            results |= own
            if checkpoint is not None:
                with _written(checkpoint):
                    for i, result in own.items():
                        checkpoint.finish(i, result)
    return [results[i] for i in range(len(calls))]


def _trained(group: Sequence[CandidateFit], signals: Signals, checkpoint: SearchCheckpoint | None) -> list[Any]:
    """Train the fits of a group; return how each ended."""
    fits = [fit for one in group for fit in one.fits]

    def stops() -> str:
        return signals.reason

    if checkpoint is None:
        return train_together(fits, stops=stops)
    names = [name for one in group for name in checkpoint.fits(one.place, len(one.fits))]
    return train_together(fits, stops=stops, checkpoint=checkpoint.group, names=names)


@contextmanager
def _written(checkpoint: SearchCheckpoint | None) -> Iterator[None]:
    """Write the results finished meanwhile, also where an error ends it."""
    try:
        yield
    finally:
        if checkpoint is not None:
            checkpoint.group.write()


def as_unfinished(call: Any) -> Any:
    """Return the result of a call whose fit was not finished: as of one that failed, with NaN for its scores."""
    function, args, keywords = call
    candidate = CandidateFit(0, (function, args, {**keywords, "error_score": float("nan")}))
    return candidate.result(UnfinishedError("Ctrl-C came before the fit was finished."))


def _groups(fits: Sequence[CandidateFit], budget: int, signals: Signals) -> Iterator[list[CandidateFit]]:
    """Prepare fits, and yield them in groups of one backend that take at most the budget, or are a single one."""
    folds = Folds()
    group: list[CandidateFit] = []
    taken = 0
    for one in fits:
        if signals.reason:
            return
        one.prepare(folds)
        size = one.n_bytes
        others = chain.from_iterable(other.fits for other in group)
        elsewhere = any(fit.source.backend != other.source.backend for fit in one.fits for other in others)
        if group and (taken + size > budget or elsewhere):
            yield group
            group, taken = [], 0
        group.append(one)
        taken += size
    if group and not signals.reason:
        yield group


def _end(
    group: Sequence[CandidateFit],
    ends: Sequence[Any],
    seconds: float,
    results: dict[int, Any],
    checkpoint: SearchCheckpoint | None,
) -> None:
    """Score the fits of a group that were trained to their ends."""
    epochs = sum(getattr(fit.estimator, "n_iter_", 0) for one in group for fit in one.fits) or 1
    ready = iter(ends)
    for one in group:
        own = [next(ready) for _ in one.fits]
        error = one.error or next((end for end in own if end is not None), None)
        if isinstance(error, KeyboardInterrupt):
            continue
        # Each has the part of the time that its epochs are of all.
        one.seconds += seconds * sum(getattr(fit.estimator, "n_iter_", 0) for fit in one.fits) / epochs
        results[one.place] = one.result(error)
        if checkpoint is not None:
            checkpoint.finish(one.place, results[one.place], len(one.fits))
        one.release()
