"""The point from which a training goes on: its course, and the description of the training that it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from retroprop.backends import Backend, host_backend
from retroprop.core.parameters import Parameters, joined
from retroprop.functions.types import Array
from retroprop.training.course import Course
from retroprop.training.description import difference
from retroprop.training.packing import KINDS, Kinds, Packing, Unpacking


class Work(NamedTuple):
    """The choice of the compiled loops: estimated elements of the first call, and whether they came to be compiled."""

    elements: float
    compiled: bool


@dataclass(frozen=True, eq=False)
class Continuation:
    """The end of a training in memory; it takes the memory of parameters and optimizer state, and holds on to the data.

    It is a value: the arrays are not written to again, so copies share them. A pickle has them on the host.

    Attributes
    ----------
    course : Course
        After the last complete step.
    backend : Backend
        Where its arrays live.
    run : FitCall
        The training.
    work : Work
        Its estimated elements.
    """

    course: Course
    backend: Backend
    run: Any
    work: Work

    def course_on(self, backend: Backend, kinds: Kinds = KINDS) -> Course:
        """Return the course for a training on a backend, the one it is of: a step may overwrite its arrays."""
        xp, course = backend.xp, self.course
        with backend.active():
            return course._replace(parameters=_own(course.parameters, xp), state=_own(course.state, xp))

    def difference(self, run: Any) -> str:
        """Return the first argument in which a training differs, with both values; an empty text for none."""
        same_data = run.data_in_common(self.run)
        return difference(self.run.description(but=same_data), run.description(but=same_data))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Continuation":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredContinuation, packed(self, {})


@dataclass(frozen=True, eq=False)
class StoredContinuation:
    """A continuation read from a file or a pickle: plain values, and arrays of the host."""

    card: Mapping[str, Any]
    tensors: Mapping[str, Array] = field(repr=False)

    @property
    def work(self) -> Work:
        """The estimated elements of the training."""
        return Work(float(self.card["work"][0]), bool(self.card["work"][1]))

    def course_on(self, backend: Backend, kinds: Kinds = KINDS) -> Course:
        """Return the course for a training on a backend."""
        with backend.active():
            course: Course = Unpacking(backend, self.tensors, kinds).value(self.card["course"])
            last = joined(course.parameters, backend.xp) if course.last is None else course.last
        return course._replace(last=last, good=last if course.good is None else course.good)

    def difference(self, run: Any) -> str:
        """Return the first argument in which a training differs, with both values; an empty text for none."""
        return difference(self.card["run"], run.description())

    def __deepcopy__(self, memo: dict[int, Any]) -> "StoredContinuation":
        return self


def packed(one: Continuation, further: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a continuation as the card and the tensors of a `StoredContinuation`, with `further` entries of values."""
    packing = Packing(one.backend)
    with one.backend.active():
        course = one.course.compact(one.backend.xp, keeps_order=one.run.keeps_order)
        card = {
            "run": one.run.description(),
            "work": list(one.work),
            "course": packing.plain(course, "course"),
            **{name: packing.plain(value, name) for name, value in further.items()},
        }
    return card, packing.tensors


def unpacked(stored: StoredContinuation, name: str, kinds: Kinds = KINDS) -> Any:
    """Return a further entry of a stored continuation, whose arrays are on the host."""
    return Unpacking(host_backend(), stored.tensors, kinds).value(stored.card[name])


def _own(value: Any, xp: Any) -> Any:
    """Return nested tuples whose arrays are copies."""
    if isinstance(value, Parameters):
        return value.like(_own(leaf, xp) for leaf in value.leaves)
    if hasattr(value, "dtype"):
        return xp.astype(value, value.dtype, copy=True) if hasattr(value, "ndim") and value.ndim else value
    if isinstance(value, tuple):
        parts = [_own(part, xp) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
