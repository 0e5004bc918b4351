"""The epochs of several fits of one form, whose steps are one step with a model axis."""

from collections.abc import Callable, Sequence
from math import isfinite
from operator import mul
from typing import Any

from retroprop.backends.backend import Demands
from retroprop.core.parameters import joined
from retroprop.estimators.prepared_fit import PreparedFit
from retroprop.estimators.samples import Samples
from retroprop.estimators.stopping import NamedRate
from retroprop.functions.schedules import Constant
from retroprop.functions.types import Array
from retroprop.training.course import copied, state_of
from retroprop.training.epoch import Epochs, Figures
from retroprop.training.many.feed import Feed
from retroprop.training.many.group import SHRINK, Group
from retroprop.training.many.member import Member
from retroprop.training.many.stacked_course import StackedCourse
from retroprop.training.many.stacked_data import penalties_of, stacked_data
from retroprop.training.many.stacked_step import bind_stacked, by_layer
from retroprop.training.optimizers import OPTIMIZERS
from retroprop.training.progress import Silence
from retroprop.training.step import estimated_elements, has_custom_parts, without_rate

Answer = Callable[[int, Figures], bool]
"""Takes the figures of an epoch of a fit, by its number; returns whether the fit goes on."""


class EpochsMember(Member):
    """One fit of a group: its `Epochs` has everything but the rows of the group's arrays."""

    collects = False

    def __init__(self, number: int, epochs: Epochs) -> None:
        self.number, self.epochs = number, epochs
        self.schedule, self.masks, self.windows = epochs.schedule, epochs.masks, epochs.order.windows
        self.n_updates, self.n_batches = epochs.course.n_updates, 0
        self.sizes = [window.stop - window.start for window in self.windows]
        self.n_rows = sum(self.sizes)
        self.costs: list[float] = []
        self.order: Array | None = epochs.course.order

    def begin_epoch(self) -> None:
        """Draw the order of the next epoch."""
        self.order = self.epochs.order.draw(self.epochs.rng, self.order)
        self.costs = []

    def end_epoch(self, last: Array, *, finite: bool) -> Figures:
        """Write the end of the epoch into the course; return its figures."""
        epochs, costs = self.epochs, self.costs
        cost = sum(map(mul, self.sizes, costs)) / self.n_rows
        course = epochs.course
        epochs.course = course._replace(
            epoch=course.epoch + 1,
            last=last,
            good=course.last if isfinite(cost) else course.good,
            order=self.order,
            n_updates=self.n_updates,
        )
        self.n_batches = 0
        return Figures(costs, cost, finite, self.n_rows, ())


class EpochGroup(Group):
    """Fits whose epochs run together.

    Parameters
    ----------
    fits : sequence of (int, PreparedFit, Epochs)
        With their numbers, of one `form_of`.
    """

    steady = (Constant, NamedRate)  # all rates are read again after an epoch

    def __init__(self, fits: Sequence[tuple[int, PreparedFit, Epochs]]) -> None:
        _, first, epochs = fits[0]
        backend, dtype = epochs.backend, first.source.dtype
        xp, rule = backend.xp, without_rate(epochs.optimizer)  # type: ignore[arg-type]
        members: list[Member | None] = [EpochsMember(number, one) for number, _, one in fits]
        architecture, penalties = penalties_of(backend, [fit.architecture for _, fit, _ in fits], dtype)
        data = stacked_data(backend, [one.source.data for _, one, _ in fits])._replace(penalties=penalties)  # type: ignore[union-attr]
        courses = [one.course for _, _, one in fits]
        parameters = xp.stack([joined(course.parameters, xp) for course in courses])
        slots = zip(*(course.state for course in courses), strict=True)
        state = tuple(xp.stack([joined(slot, xp) for slot in column]) for column in slots)
        self.backend, self.rule, self.progress = backend, rule, Silence()
        self.course = StackedCourse(backend, dtype, architecture, members, data, parameters, state)
        self.feed = Feed(backend, dtype, gathers=any(offset is not None for offset in data.offsets))
        work = sum(
            estimated_elements(fit.architecture, fit.estimator.max_iter * n, fit.estimator.max_iter * steps)
            for _, fit, one in fits
            for n, steps in [(fit.n, len(one.order.windows))]
        )
        self.step = bind_stacked(
            backend,
            architecture,
            rule,
            clip_norm=first.estimator.clip_norm,
            penalties_of_sum=True,
            demands=Demands(work=work),
        )
        self.collects, self.drops = False, any(one.masks is not None for _, _, one in fits)
        self._rates: Array | None = None
        for member in members:
            self._hold(member)

    def train(self, answer: Answer, stops: Callable[[], object]) -> None:
        """Run epochs until no fit needs another, or `stops` returns true."""
        self._answer = answer
        while self.course.active and not stops():
            self._advance()

    def _hold(self, member: Any) -> None:
        """Let the epochs of a member find their parameters here."""

        def settle() -> None:
            course, xp = self.course, self.backend.xp
            row = course.members.index(member)

            def own(source: Array) -> Any:
                return copied(by_layer(source[row, ...], course.architecture, xp), xp)

            epochs = member.epochs
            epochs.torn = member.n_batches != 0  # within an epoch, of which the course has nothing
            epochs.course = epochs.course._replace(
                parameters=own(course.parameters),
                state=tuple(own(slot) for slot in course.state),
                n_updates=member.n_updates,
                generator=state_of(epochs.rng),
            )

        member.epochs.settle = settle

    def _close(self, ended: list[int]) -> None:
        """End the epochs of some fits, by their rows, and let each decide whether it goes on."""
        course, xp = self.course, self.backend.xp
        finite = course.read()
        self._rates = None  # a rate may change at the end of an epoch
        for row in ended:
            member: Any = course.at(row)
            last = xp.astype(course.parameters[row, ...], course.parameters.dtype, copy=True)
            if not self._answer(member.number, member.end_epoch(last, finite=finite[row])):
                course.members[row] = None
        if course.active and len(course.active) <= SHRINK * len(course.members):
            course.shrink()


def form_of(fit: PreparedFit, epochs: Epochs) -> tuple[Any, ...] | None:
    """Return all that the fits of one step have in common; None for one that is trained alone."""
    source, rule, a = fit.source, epochs.optimizer, fit.architecture
    if not isinstance(source, Samples) or source.sparse or type(rule) not in OPTIMIZERS.values() or has_custom_parts(a):
        return None
    if max(window.stop - window.start for window in fit.order.windows) * sum(a.layer_sizes) > source.backend.stacked:
        return None  # its own step is faster
    x, y, weight = source.data
    return (
        source.backend,
        source.dtype,
        a._replace(l2=0.0, l1=0.0, dropout=tuple(bool(p) for p in a.dropout)),
        without_rate(rule),  # type: ignore[arg-type]
        len(fit.order.windows) > 1 and fit.order.batch_size,  # type: ignore[attr-defined]
        fit.estimator.clip_norm,
        epochs.course.n_updates,
        x.dtype,
        y.dtype,
        y.ndim,
        weight is None,
    )
