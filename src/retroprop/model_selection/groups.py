"""The fits of a round of a search in one process: prepared, trained in groups, and scored."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from time import perf_counter
from typing import Any

from retroprop.estimators.together import train_together
from retroprop.model_selection.candidate import CandidateFit
from retroprop.model_selection.folds import Folds
from retroprop.model_selection.search_checkpoint import SearchCheckpoint
from retroprop.model_selection.search_report import SearchReport

Stops = Callable[[], object]
"""Returns whether the search is to end with what is finished."""


def evaluated_in_groups(
    fits: Sequence[CandidateFit],
    budget: int,
    stops: Stops,
    report: SearchReport,
    checkpoint: SearchCheckpoint | None = None,
) -> dict[int, Any]:
    """Return the results of the fits that were finished, by their places; `evaluation.evaluated` has the arguments."""
    results: dict[int, Any] = {}
    for group in _groups(fits, budget, stops):
        began = perf_counter()
        ends = _trained(group, stops, checkpoint)
        seconds = perf_counter() - began
        report.groups.append(len(group))
        report.own_steps += sum(fit.together == 1 for one in group for fit in one.fits)
        with written(checkpoint):
            _end(group, ends, seconds, results, checkpoint)
    return results


@contextmanager
def written(checkpoint: SearchCheckpoint | None) -> Iterator[None]:
    """Write the results finished meanwhile, also where an error ends it."""
    try:
        yield
    finally:
        if checkpoint is not None:
            checkpoint.group.write()


def _groups(fits: Sequence[CandidateFit], budget: int, stops: Stops) -> Iterator[list[CandidateFit]]:
    """Prepare fits, and yield them in groups of one backend that take at most the budget, or are a single one."""
    folds = Folds()
    group: list[CandidateFit] = []
    taken = 0
    for one in fits:
        if stops():
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
    if group and not stops():
        yield group


def _trained(group: Sequence[CandidateFit], stops: Stops, checkpoint: SearchCheckpoint | None) -> list[Any]:
    """Train the fits of a group; return how each ended."""
    fits = [fit for one in group for fit in one.fits]
    if checkpoint is None:
        return train_together(fits, stops=stops)
    names = [name for one in group for name in checkpoint.fits(one.place, len(one.fits))]
    return train_together(fits, stops=stops, checkpoint=checkpoint.group, names=names)


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
