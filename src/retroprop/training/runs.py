"""Steps that follow one another without a word in between: many as one, where the step can."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch
from retroprop.backends.masks import Masks, MaskStream
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array
from retroprop.training.step import Step

LONGEST = 256  # steps, so that Ctrl-C and the progress bar do not wait for a whole epoch


class Run(NamedTuple):
    """What a run of steps gives back.

    Attributes
    ----------
    parameters, state
        After the last update.
    costs : array (steps,)
        J of each batch before its update.
    weights : array (steps,) or None
        The sum of the weights of each batch.
    steps, rows : int
        How many batches, and observations in all of them.
    """

    parameters: Parameters
    state: tuple[Parameters, ...]
    costs: Array
    weights: Array | None
    steps: int
    rows: int


def runs(
    backend: Backend,
    step: Step,
    data: Batch,
    order: Array | None,
    windows: Sequence[slice],
    carried: Callable[[], tuple[Any, Any, int]],
    hyper: Callable[[int], tuple[float, ...]],
    stream: MaskStream | None = None,
) -> Iterator[Run]:
    """Do the batches at the front of an epoch that are of one size, as far as the step has a `run` and takes it.

    Parameters
    ----------
    backend, step, data
        Of the training.
    order : integer array or None
        The rows in the order of the epoch, None for the one they are in.
    windows : sequence of slice
        The batches.
    carried : callable
        Returns parameters, state, and how many updates were made.
    hyper : callable
        Returns the numbers of the update after so many.
    stream : MaskStream, optional
        The dropout masks.
    """
    run = getattr(step, "run", None)
    size = windows[0].stop - windows[0].start
    many = 0
    while many < len(windows) and windows[many] == slice(many * size, (many + 1) * size):
        many += 1
    if run is None or many < 2:
        return
    xp = backend.xp
    if order is None:
        order = xp.arange(many * size, device=backend.device)
    for at in range(0, many, LONGEST):
        steps = min(LONGEST, many - at)
        parameters, state, done = carried()
        rows = order[at * size : (at + steps) * size]
        hypers = [hyper(done + t) for t in range(steps)]
        masks = None if stream is None else Masks(stream, done, size)
        found = run(parameters, state, hypers, data, xp.reshape(rows, (steps, size)), masks)
        if found is None:
            return
        (parameters, state, costs), weights = found, None
        if data.weight is not None:
            weights = xp.sum(xp.reshape(xp.take(data.weight, rows, axis=0), (steps, size)), axis=-1)
        yield Run(parameters, state, costs, weights, steps, steps * size)
