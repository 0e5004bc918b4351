"""A trained network and its history as plain values of the host, for the ranks that have not trained it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from retroprop.functions.types import Array
from retroprop.training.continuation import Continuation, StoredContinuation, Work
from retroprop.training.course import restored, state_of
from retroprop.training.history import DivergenceError, History
from retroprop.training.packing import Packing
from retroprop.training.preparation import Preparation


class Sent(NamedTuple):
    """The result of one training.

    Attributes
    ----------
    leaves : list of array
        The parameters, on the host.
    history : History
        Without its error and its point to go on from.
    error : tuple or None
        Message, epoch, batch and notes of a divergence.
    point : tuple or None
        The course to go on from as `Packing` has it, its arrays, and its work.
    generator : dict
        The state of the generator.
    """

    leaves: list[Array]
    history: History
    error: tuple[str, int, int, list[str]] | None
    point: tuple[Any, Mapping[str, Array], Work] | None
    generator: Any


def sent(training: Preparation, history: History) -> Sent:
    """Return the result of a training that this rank has run."""
    backend, error = training.net.backend, history.error
    with backend.active():
        leaves = [backend.to_numpy(leaf) for leaf in training.net.parameters.leaves]
    return Sent(
        leaves,
        replace(history, error=None, continuation=None),
        None if error is None else (str(error), error.epoch, error.batch, list(getattr(error, "__notes__", ()))),
        None if history.continuation is None else _point(history.continuation),
        state_of(training.rng),
    )


def _point(continuation: Continuation) -> tuple[Any, Mapping[str, Array], Work] | None:
    """Return a point as plain values; None where it cannot be, as with a custom optimizer's own kind of state."""
    backend, packing = continuation.backend, Packing(continuation.backend)
    try:
        with backend.active():
            course = continuation.course.compact(backend.xp, keeps_order=continuation.run.keeps_order)
            return packing.plain(course, "course"), packing.tensors, continuation.work
    except TypeError:
        return None


def received(training: Preparation, result: Sent) -> History:
    """Give the network of a training that another rank has run its parameters, and return its history."""
    net, history = training.net, result.history
    backend = net.backend
    with backend.active():
        net.parameters = net.parameters.like([backend.asarray(leaf, copy=True) for leaf in result.leaves])
    restored(training.rng, result.generator)
    if result.error is not None:
        message, epoch, batch, notes = result.error
        history.error = DivergenceError(message, epoch=epoch, batch=batch, history=history)
        for note in notes:
            history.error.add_note(note)
    if result.point is not None:
        course, tensors, work = result.point
        stored = StoredContinuation({"course": course}, tensors)
        history.continuation = Continuation(stored.course_on(backend), backend, training.call, work)
    return history
