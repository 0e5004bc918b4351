"""A minimisation by our own L-BFGS as the course of a training, which a checkpoint holds, and back."""

from retroprop.backends import Backend
from retroprop.core.parameters import Parameters
from retroprop.estimators.checkpointing import OWN_KINDS, Keeper
from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.training.course import Course
from retroprop.training.course_check import Wanted
from retroprop.training.lbfgs import Minimum, State
from retroprop.training.optimizers import LBFGS
from retroprop.training.packing import NOT_OURS


def course_of(so_far: Minimum) -> Course:
    """Return a minimisation as a course: an epoch is an iteration, and an update an evaluation."""
    return Course(so_far.parameters, so_far.state, so_far.n_evaluations, generator={}, epoch=so_far.n_iterations)


def minimum_at(keeper: Keeper, backend: Backend, like: Parameters, rule: LBFGS) -> Minimum | None:
    """Return the minimisation that the newest checkpoint holds, of such parameters; None if there is none.

    Raises
    ------
    CheckpointError
        If it does not describe one.
    """
    if keeper.point is None:
        return None
    try:
        course = keeper.point.course_on(backend, OWN_KINDS)
        Wanted(like, rule, n_batches=0, masks=False, rows=0).check(course)
        if not isinstance(course.state, State):
            raise ValueError("its state is not that of L-BFGS")
    except NOT_OURS as error:
        raise CheckpointError(f"a fit cannot go on from there: {error}") from error
    point = course.state.point
    return Minimum(point.parameters, point.value, course.epoch, course.n_updates, "", course.state)
