"""The step of a fit: of one process, of a rank, and that of `partial_fit`, which is kept from call to call."""

from typing import Any

from retroprop.backends import Backend
from retroprop.backends.backend import Demands
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.architecture import Architecture
from retroprop.estimators.stopping import Solver
from retroprop.training.job import Job
from retroprop.training.split_step import SplitStep
from retroprop.training.step import bind


def step_of(
    estimator: Any,
    backend: Backend,
    architecture: Architecture,
    solver: Solver,
    demands: Demands,
    job: Job | None = None,
) -> CapturedStep:
    """Return the step of an estimator's fit; its penalties go with the sum over the rows."""
    clip = estimator.clip_norm
    if job is None:
        return bind(backend, architecture, solver.rule, clip_norm=clip, penalties_of_sum=True, demands=demands)
    step = SplitStep(
        backend, architecture, solver.rule, job.ranks, clip_norm=clip, penalties_of_sum=True, demands=demands
    )
    job.compare({"compiled loops": step.compiled})
    return step


def kept_step(estimator: Any, backend: Backend, dtype: str, architecture: Architecture, solver: Solver) -> CapturedStep:
    """Return the step of the last `partial_fit` if nothing has changed: it is bound and recorded once."""
    wanted = (backend, dtype, architecture, solver.rule, estimator.clip_norm)
    if getattr(estimator, "_bound", (None, None))[0] != wanted:
        step = step_of(estimator, backend, architecture, solver, Demands(work=0.0, varied=True))
        estimator._bound = wanted, step
    bound: CapturedStep = estimator._bound[1]
    return bound
