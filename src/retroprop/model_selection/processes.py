"""The fits of a round of a search shared by several processes: each trains its part together."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
from sklearn.utils.parallel import delayed

from retroprop.backends import host_backend
from retroprop.estimators.arrays import backend_holding, working_backend
from retroprop.model_selection.candidate import CandidateFit, network_of
from retroprop.model_selection.groups import evaluated_in_groups
from retroprop.model_selection.search_report import SearchReport
from retroprop.training.signals import Signals

Results = Callable[[list[Any]], list[Any]]
"""Returns the results of some calls, which `n_jobs` processes do."""


def may_share(fit: CandidateFit) -> bool:
    """Return whether a fit computes with NumPy: others have a device to themselves, or threads of their own."""
    host, X = host_backend(), fit.call[1][1]
    try:
        return backend_holding(X, "X") is None and working_backend(network_of(fit.estimator).device, host) == host
    except Exception:  # the error of this fit, which its preparation meets again
        return False


def evaluated_by_processes(
    fits: Sequence[CandidateFit], n: int, budget: int, signals: Signals, report: SearchReport, results: Results
) -> dict[int, Any]:
    """Return the results of the fits that were finished, by their places.

    Parameters
    ----------
    fits : sequence of CandidateFit
        All of those that are trained together.
    n : int
        The number of processes; each has a part of the fits, and of the budget.
    budget : int
        The most bytes of the groups that are trained at a time.
    signals : Signals
        Are passed on to the processes.
    report : SearchReport
        Is written.
    results : callable
        Has the processes do some calls.
    """
    with TemporaryDirectory(prefix="retroprop-search-") as folder:
        stop = Path(folder) / "stop"
        signals.tell = stop.touch
        if signals.reason:  # it came before
            stop.touch()
        parts = [[(fits[i].place, fits[i].call) for i in part] for part in _parts(len(fits), n)]
        calls = [delayed(_part)(part, budget // n, str(stop), os.getpid()) for part in parts]
        try:
            done = results(calls)
        except Exception:
            if not signals.reason:
                raise
            done = []  # Ctrl-C reaches a process before it has begun, and ends it
        finally:
            signals.tell = bool
    found: dict[int, Any] = {}
    for some, own in done:
        found |= some
        report.groups += own.groups
        report.own_steps += own.own_steps
    report.n_processes = max(report.n_processes, len(parts))
    return found


def _parts(k: int, n: int) -> list[list[int]]:
    """Return the places of k fits in n parts of equal size, drawn at random, and always the same.

    The fits come in the order of a grid, with the folds of a candidate next to each other: any regular choice would
    give one process the slow candidates.
    """
    order = numpy.random.default_rng(0).permutation(k).tolist()
    return [sorted(order[at::n]) for at in range(min(n, k))]


def _part(calls: Sequence[tuple[int, Any]], budget: int, stop: str, caller: int) -> tuple[dict[int, Any], SearchReport]:
    """Do a part of the calls in a process; end early with those that are finished once the file `stop` exists."""
    if os.getpid() != caller:
        # Ctrl-C in a terminal reaches every process: here it would end those of a pool, and lose what they finished.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    report = SearchReport()
    fits = [CandidateFit(place, call) for place, call in calls]
    return evaluated_in_groups(fits, budget, Path(stop).exists, report), report
