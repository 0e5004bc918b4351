"""The members of an ensemble divided by ranks: each trains some of them, and all end with all."""

from collections.abc import Sequence
from typing import Any, cast

from retroprop.estimators.checkpointing import EstimatorCall
from retroprop.estimators.prepared_fit import PreparedFit
from retroprop.estimators.ranks import compare
from retroprop.estimators.together import Ending, train_together
from retroprop.training.job import Job
from retroprop.training.many.separate_signals import SeparateSignals
from retroprop.training.parallel import Separate


def agree(job: Job, ensemble: dict[str, Any], fits: Sequence[PreparedFit]) -> None:
    """Compare an ensemble, by its own parameters and its fits, with those of the other ranks.

    Raises
    ------
    ValueError
        If they differ, by the first field that does; for an engine without messages between ranks.
    """
    if not isinstance(job.ranks, Separate):
        raise ValueError("parallel of an ensemble must be rp.scale.MPI(), or have its tell, heard and meet.")
    job.compare(ensemble)
    for fit in fits:
        compare(job, EstimatorCall(fit.estimator, fit.architecture, fit.source, fit.validation), 0)


def train_divided(job: Job, fits: Sequence[PreparedFit]) -> list[Ending]:
    """Train the fits of this rank, one of so many after another, and give all their estimators the results.

    Returns
    -------
    list of BaseException or None
        The ends of the fits of this rank, None for the others.
    """
    ranks = cast(Separate, job.ranks)
    signals = SeparateSignals(ranks, job.signals.own)
    own = range(job.rank, len(fits), job.size)
    ends = train_together([fits[i] for i in own], stops=lambda: signals.reason)
    errors: list[Ending] = [None] * len(fits)
    errors[job.rank :: job.size] = ends
    signals.answered = bool(signals.reason)
    if not any(isinstance(error, Exception) for error in ends):  # such an error is raised, and ends all
        ranks.meet(signals.look)
        for i, fit in enumerate(fits):
            state = ranks.agree(_fitted(fit.estimator) if i in own else None)[i % job.size]
            if i not in own:
                vars(fit.estimator).update(state)
                fit.estimator._move_to(fit.source.backend, fit.source.dtype)
    return errors


def _fitted(estimator: Any) -> dict[str, Any]:
    """Return the attributes that a fit has set, with all arrays on the host."""
    given = estimator.get_params(deep=False)
    return {name: value for name, value in estimator.__getstate__().items() if name not in given}
