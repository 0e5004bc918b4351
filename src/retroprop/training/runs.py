"""Consecutive steps in one call, where the captured step can do them so."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch
from retroprop.backends.masks import Masks, MaskStream
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array
from retroprop.training.course import Course

LONGEST = 256  # steps, so that Ctrl-C and the progress bar do not wait for a whole epoch


class Run(NamedTuple):
    """The results of consecutive steps.

    Attributes
    ----------
    parameters, state
        After the last update.
    costs : array (steps,)
        J of each batch before its update.
    weights : array (steps,) or None
        The sum of the weights of each batch.
    steps, rows : int
        The number of batches, and of observations in all of them.
    """

    parameters: Parameters
    state: tuple[Parameters, ...]
    costs: Array
    weights: Array | None
    steps: int
    rows: int


def runs(
    backend: Backend,
    step: CapturedStep,
    data: Batch,
    order: Array | None,
    windows: Sequence[slice],
    course: Course,
    hyper: Callable[[int], tuple[float, ...]],
    stream: MaskStream | None = None,
) -> Iterator[Run]:
    """Do the batches at the front of some windows that are of one size, as long as the step takes them in runs.

    Parameters
    ----------
    backend, step, data
        Of the training.
    order : integer array or None
        The rows in the order of the epoch, None for the order they are stored in.
    windows : sequence of slice
        The batches.
    course : Course
        Where the training stands before them.
    hyper : callable
        Returns the hyper-parameters of the update after t updates.
    stream : MaskStream, optional
        The dropout masks.
    """
    many = _of_one_size(windows) if step.runs else 0
    if many < 2:
        return
    xp = backend.xp
    start, size = windows[0].start, windows[0].stop - windows[0].start
    parameters, state, done = course.parameters, course.state, course.n_updates
    for at in range(0, many, LONGEST):
        steps = min(LONGEST, many - at)
        begin, end = start + at * size, start + (at + steps) * size
        rows = xp.arange(begin, end, device=backend.device) if order is None else order[begin:end]
        hypers = [hyper(done + t) for t in range(steps)]
        masks = None if stream is None else Masks(stream, done, size)
        found = step.run(parameters, state, hypers, data, xp.reshape(rows, (steps, size)), masks)
        if found is None:
            return
        (parameters, state, costs), weights = found, None
        done += steps
        if data.weight is not None:
            weights = xp.sum(xp.reshape(xp.take(data.weight, rows, axis=0), (steps, size)), axis=-1)
        yield Run(parameters, state, costs, weights, steps, steps * size)


def _of_one_size(windows: Sequence[slice]) -> int:
    """Return how many windows at the front have the size of the first and follow one another without gaps."""
    many = 0
    if windows:
        start, size = windows[0].start, windows[0].stop - windows[0].start
        while many < len(windows) and windows[many] == slice(start + many * size, start + (many + 1) * size):
            many += 1
    return many
