"""The end of trainings of a group: the networks get their parameters, the histories the point to go on from."""

import logging
from collections.abc import Mapping

from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array
from retroprop.training.continuation import Continuation, Work
from retroprop.training.course import Course, copied, state_of
from retroprop.training.many.member import Member
from retroprop.training.many.stacked_course import StackedCourse
from retroprop.training.many.stacked_step import by_layer
from retroprop.training.optimizers import UpdateRule
from retroprop.training.step import bind

log = logging.getLogger("retroprop")


def leave(course: StackedCourse, leaving: Mapping[int, str], sources: Mapping[str, Array], *, resumable: bool) -> None:
    """End the trainings of some networks, by their rows.

    Parameters
    ----------
    course : StackedCourse
        After the last step.
    leaving : dict
        The name of the parameters that each network ends with.
    sources : dict
        "current", "last", "good" and "best": arrays (K, P).
    resumable : bool
        Whether the last step is complete.
    """
    backend = course.backend
    memory = backend.memory()
    for row, name in leaving.items():
        member = course.at(row)
        history, net = member.history, member.net
        if history.error is not None:
            log.warning("%s: %s", member.preparation.name, history.error)
        elif resumable and member.n_batches == 0:
            history.continuation = _continuation(course, row, sources)
        net.parameters = _own(course, sources[name], row)
        history.peak_memory = None if memory is None else memory.peak
        course.members[row] = None


def _own(course: StackedCourse, source: Array, row: int) -> Parameters:
    """Return the parameters of a network as arrays of its own."""
    xp = course.backend.xp
    return copied(by_layer(source[row, ...], course.architecture, xp), xp)


def _continuation(course: StackedCourse, row: int, sources: Mapping[str, Array]) -> Continuation:
    """Return the point after the last epoch of a network, as its own training would leave it."""
    member, backend, xp = course.at(row), course.backend, course.backend.xp
    preparation, stopping = member.preparation, member.stopping
    if stopping.parameters is not None:
        stopping = stopping._replace(parameters=_row(xp, sources["best"], row))
    now = Course(
        _own(course, sources["current"], row),
        tuple(_own(course, slot, row) for slot in course.state),
        n_updates=member.n_updates,
        schedule=member.schedule.run_state,
        generator=state_of(preparation.rng),
        mask_key=None if member.masks is None else member.masks.key,
        stopping=None if preparation.monitor is None else stopping,
        epoch=member.epoch,
        last=_row(xp, sources["current"], row),
        good=_row(xp, sources["last"], row),
        order=member.drawn,
    )
    return Continuation(now, backend, preparation.call, _work(member))


def _row(xp: object, source: Array, row: int) -> Array:
    return xp.astype(source[row, ...], source.dtype, copy=True)  # type: ignore[attr-defined]


def _work(member: Member) -> Work:
    """Return the choice of compiled loops that the training of one network makes."""
    preparation, net = member.preparation, member.net
    assert isinstance(preparation.rule, UpdateRule)
    step = bind(
        net.backend, net.architecture, preparation.rule, demands=preparation.demands._replace(work=preparation.elements)
    )
    return Work(preparation.elements, step.compiled)
