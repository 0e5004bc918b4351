"""The parts of a training that are made again from its course: generator, order, schedule, masks."""

from collections.abc import Sequence
from typing import NamedTuple

from retroprop.backends import Backend
from retroprop.backends.masks import KEY_BYTES
from retroprop.functions.metrics import Metric
from retroprop.functions.schedules import Schedule
from retroprop.functions.types import RandomGenerator
from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.training.batches import BatchOrder
from retroprop.training.continuation import Continuation, StoredContinuation
from retroprop.training.course import Course, restored, state_of
from retroprop.training.course_check import Wanted
from retroprop.training.history import History
from retroprop.training.packing import KINDS, NOT_OURS, Kinds


class MaskKey:
    """A generator that draws the key that the masks of a training have."""

    def __init__(self, key: tuple[int, int]) -> None:
        self.key = key

    def bytes(self, n: int) -> bytes:
        """Return the bytes of the key."""
        return b"".join(word.to_bytes(KEY_BYTES // 2, "little") for word in self.key)


def key_at(course: Course) -> MaskKey | None:
    """Return the generator of the key of the masks, None before it is drawn."""
    return None if course.mask_key is None else MaskKey(course.mask_key)


class Restart(NamedTuple):
    """The parts of a training that goes on: its course, and its schedule."""

    course: Course
    schedule: Schedule


def restarted(
    point: Continuation | StoredContinuation,
    backend: Backend,
    wanted: Wanted,
    *,
    schedule: Schedule,
    order: BatchOrder,
    rng: RandomGenerator,
    kinds: Kinds = KINDS,
) -> Restart:
    """Return the course to go on from, and the schedule; the generator is given its state.

    Raises
    ------
    CheckpointError
        If the point was read from a file, whole by its checksum, that does not describe this training.
    """
    try:
        course = point.course_on(backend, kinds)
        # A cost that a schedule has observed may be a scalar of NumPy.
        figures = tuple(one.item() if hasattr(one, "item") else one for one in course.schedule)
        course = course._replace(schedule=figures)
        wanted.check(course)
        if course.order is not None and order.windows and len(course.order) != order.windows[-1].stop:
            raise ValueError("its order is not that of this training")
        restored(rng, course.generator)
        # A user's schedule may define `start()` without `state`.
        goes_on = schedule.start(*[course.schedule] if course.schedule else ())
        if course.n_batches and course.order is None:  # it was left out, and is drawn again
            drawn = order.draw(rng, None)
            course = course._replace(order=drawn, generator=state_of(rng), epoch_generator=course.generator)
    except NOT_OURS as error:
        raise CheckpointError(f"a training cannot go on from there: {error}") from error
    return Restart(course, goes_on)


def fits(course: Course, wanted: Wanted, history: History, *, stops: bool, metrics: Sequence[Metric]) -> None:
    """Raise CheckpointError unless early stopping and the history of `fit` are of that course."""
    try:
        wanted.stopping(course.stopping, stops=stops)
        lists = history.cost, history.learning_rate, history.seconds, *history.metrics.values()
        validated = len(history.validation_cost) in (0, course.epoch)
        same_names = list(history.metrics) == [metric.name for metric in metrics]
        if not validated or not same_names or any(len(one) != course.epoch for one in lists):
            raise ValueError("its history is not of its epochs")
    except NOT_OURS as error:
        raise CheckpointError(f"a training cannot go on from there: {error}") from error
