"""The parts of a training that are made again from its course: generator, order, schedule, masks."""

from retroprop.backends.masks import KEY_BYTES
from retroprop.functions.schedules import Schedule
from retroprop.functions.types import RandomGenerator
from retroprop.training.batches import BatchOrder
from retroprop.training.course import Course, restored, state_of


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


def schedule_at(schedule: Schedule, course: Course) -> Schedule:
    """Return the schedule of a training that begins with this course."""
    # A user's schedule may define `start()` without `state`.
    return schedule.start(*[course.schedule] if course.schedule else ())


def begun(course: Course, order: BatchOrder, rng: RandomGenerator) -> Course:
    """Return a course to go on from, and give the generator its state; an order that was left out is drawn again.

    Raises ValueError if the generator is of another kind.
    """
    try:
        restored(rng, course.generator)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("seed must be a generator of the kind that the training began with.") from error
    if not course.n_batches or course.order is not None:
        return course
    return course._replace(order=order.draw(rng, None), generator=state_of(rng), epoch_generator=course.generator)
