"""The evaluation of the candidates of one round of a search: in groups that are trained together, the others alone."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from retroprop.model_selection.candidate import CandidateFit, as_it_is
from retroprop.model_selection.groups import evaluated_in_groups, written
from retroprop.model_selection.processes import evaluated_by_processes, may_share
from retroprop.model_selection.search_checkpoint import SearchCheckpoint
from retroprop.model_selection.search_report import SearchReport
from retroprop.training.signals import Signals


class UnfinishedError(Exception):
    """Ctrl-C came before a fit was finished."""


class Alone(NamedTuple):
    """The way in which scikit-learn does some calls, by `n_jobs` processes.

    Attributes
    ----------
    results : callable
        Returns the results of some calls, in their order.
    at_once : int
        The number of processes.
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
    # The checkpoint is written by one process.
    shares = checkpoint is None and alone.at_once > 1 and len(batched) > 1 and all(map(may_share, batched))
    with Signals() as signals:
        if shares:
            results |= evaluated_by_processes(batched, alone.at_once, budget, signals, report, alone.results)
        else:
            results |= evaluated_in_groups(batched, budget, lambda: signals.reason, report, checkpoint)
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
                with written(checkpoint):
                    for i, result in own.items():
                        checkpoint.finish(i, result)
    return [results[i] for i in range(len(calls))]


def as_unfinished(call: Any) -> Any:
    """Return the result of a call whose fit was not finished: as of one that failed, with NaN for its scores."""
    function, args, keywords = call
    candidate = CandidateFit(0, (function, args, {**keywords, "error_score": float("nan")}))
    return candidate.result(UnfinishedError("Ctrl-C came before the fit was finished."))
