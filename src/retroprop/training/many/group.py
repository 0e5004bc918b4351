"""The training of a group of networks of one form: one step trains them all."""

from collections.abc import Sequence
from typing import ClassVar

from retroprop.backends import host
from retroprop.core.parameters import joined
from retroprop.functions.schedules import Constant
from retroprop.functions.types import Array
from retroprop.training.many.evaluated import evaluated_members
from retroprop.training.many.feed import Feed, Portion
from retroprop.training.many.leaving import leave
from retroprop.training.many.member import Member, Outcome
from retroprop.training.many.stacked_course import Seen, StackedCourse
from retroprop.training.many.stacked_data import masks_of, penalties_of, stacked_data
from retroprop.training.many.stacked_step import bind_stacked
from retroprop.training.optimizers import UpdateRule
from retroprop.training.preparation import Preparation
from retroprop.training.progress import display
from retroprop.training.signals import INTERRUPTIONS, StopSignals

# The fraction of the networks still in training at which those that have ended are taken out of the arrays: some
# libraries compile the step again for each number of networks.
SHRINK = 0.5


class Group:
    """Trainings whose steps are one step with a model axis.

    Parameters
    ----------
    numbered : sequence of (int, Preparation)
        The trainings, with the places of their networks in the list.
    rule : UpdateRule
        Their optimizer, but for the learning rate.
    work : int, optional
        The estimated elements by which a backend decides whether to compile, by default those of the trainings: of all
        trainings of the group, where this process runs some of them.
    signals : StopSignals, optional
        Those of the ranks, which end the training as Ctrl-C does.

    Attributes
    ----------
    steady : tuple of type
        The schedules whose rates are computed once for many steps.
    """

    steady: ClassVar[tuple[type, ...]] = (Constant,)

    def __init__(
        self,
        numbered: Sequence[tuple[int, Preparation]],
        rule: UpdateRule,
        *,
        work: int | None = None,
        signals: StopSignals | None = None,
    ) -> None:
        preparations = [preparation for _, preparation in numbered]
        first = preparations[0]
        backend, dtype = first.net.backend, first.net.dtype
        self.backend, self.rule, self.signals = backend, rule, signals
        with backend.active():
            weights = {id(one.stored.weight): one.stored.weight for one in preparations}
            on_host = {key: None if array is None else backend.to_numpy(array) for key, array in weights.items()}
            members: list[Member | None] = [
                Member(number, one, on_host[id(one.stored.weight)]) for number, one in numbered
            ]
            architecture, penalties = penalties_of(backend, [one.net.architecture for one in preparations], dtype)
            data = stacked_data(backend, [one.stored for one in preparations])._replace(penalties=penalties)
            xp = backend.xp
            parameters = xp.stack([joined(one.net.parameters, xp) for one in preparations])
            state = tuple(xp.zeros_like(parameters) for _ in range(rule.slots))
            last = xp.astype(parameters, parameters.dtype, copy=True)
        kept = {"last": last, "good": last, "best": last}
        self.course = StackedCourse(backend, dtype, architecture, members, data, parameters, state, kept)
        self.feed = Feed(backend, dtype, gathers=any(offset is not None for offset in data.offsets))
        work = sum(one.elements for one in preparations) if work is None else work
        self.step = bind_stacked(backend, architecture, rule, **first.clips, demands=first.demands._replace(work=work))
        active = self.course.active
        self.collects = any(member.collects for member in active)
        self.drops = any(member.masks is not None for member in active)
        self.progress = display(any(one.progress for one in preparations))
        self._rates: Array | None = None
        self._torn = False

    def run(self) -> str:
        """Train until all have ended; return the reason for which a signal has ended those that had not, or nothing."""
        orders = [(member.preparation.epochs, member.preparation.order.m) for member in self.course.active]
        epochs = max(epochs for epochs, _ in orders)
        with self.backend.active():
            self.progress.start(epochs, sum(n * m for n, m in orders) // epochs)
            try:
                while self.course.active:
                    if self.signals is not None:
                        self.signals.stop_if_asked()
                    self._advance()
            except INTERRUPTIONS[False] as request:
                reason = getattr(request, "reason", "interrupted")
                self._interrupted(reason)
                return reason
            except Exception:  # of a function of the user, or of the library
                self._failed()
                raise
            finally:
                self.progress.stop()
        return ""

    def _advance(self) -> None:
        """Do the next steps, and close the epochs that end with them."""
        course = self.course
        for member in course.active:
            if member.n_batches == 0:
                member.begin_epoch()
        portion = self.feed.next(course.members)
        self._torn = True
        if not self._run(portion):
            for t in range(portion.steps):
                self._step(portion, t)
        for member in course.active:
            member.n_batches += portion.steps
            member.n_updates += portion.steps
        self._torn = False
        self.progress.advance(portion.steps * sum(portion.sizes))
        ended = [row for row, one in enumerate(course.members) if one is not None and one.n_batches == len(one.windows)]
        if ended:
            self._close(ended)

    def _run(self, portion: Portion) -> bool:
        """Do all steps of a portion in one call; return whether the captured step can."""
        course = self.course
        if not self.step.runs or portion.steps < self.step.fewest or self.collects or self.drops:
            return False
        hypers = [self.hyper(t) for t in range(portion.steps)]
        found = self.step.run(course.parameters, course.state, hypers, course.data, portion.rows, sizes=portion.sizes)
        if found is None:
            return False
        course.parameters, course.state, costs = found
        course.pending.append(costs)
        return True

    def _step(self, portion: Portion, t: int) -> None:
        course = self.course
        masks = masks_of(self.backend, course.members, portion.sizes, t, course.dtype) if self.drops else None
        hyper = tuple(self.backend.asarray(one) for one in self.hyper(t))
        rows = None if portion.rows is None else portion.rows[t, ...]
        stepped = self.step(course.parameters, course.state, hyper, course.data, rows, masks, portion.present)
        course.parameters, course.state = stepped.parameters, stepped.state
        course.pending.append(stepped.cost)
        if self.collects:
            # A copy, as the next step may overwrite the outputs.
            a = self.backend.xp.astype(stepped.a, stepped.a.dtype, copy=True)
            course.seen.append(Seen(a, portion.sizes))

    def hyper(self, at: int) -> tuple[Array, ...]:
        """Return the hyper-parameters of the update `at` updates from now: arrays (K, 1) of the host."""
        active = self.course.active
        rates = self._rates
        if rates is None:
            # One that has ended goes on at the rate of another; nobody reads it.
            each = [active[0] if member is None else member for member in self.course.members]
            rates = host.xp.asarray([[one.schedule(one.n_updates + at)] for one in each])
            if all(isinstance(one.schedule, self.steady) for one in each):
                self._rates = rates
        # All have made the same number of updates.
        numbers = self.rule.hyper(active[0].n_updates + at + 1, rates)  # type: ignore[arg-type]
        return tuple(one.astype(self.course.dtype) for one in numbers)  # type: ignore[attr-defined]

    # The end of epochs -------------------------------------------------------------------------------------------

    def _close(self, ended: list[int]) -> None:
        """Close the epochs of some networks, by their rows, and let those leave that end with it."""
        course, xp = self.course, self.backend.xp
        finite = course.read()
        figures = evaluated_members(course, ended)
        outcomes: dict[int, Outcome] = {
            row: course.at(row).close_epoch(*found, finite=finite[row])
            for row, found in zip(ended, figures, strict=True)
        }
        current = xp.astype(course.parameters, course.parameters.dtype, copy=True)
        sources = {"current": current, **course.kept}
        for name in ("last", "current"):
            best = [row for row, outcome in outcomes.items() if outcome.best == name]
            sources["best"] = course.chosen(best, sources[name], sources["best"])
        course.kept = {
            "last": course.chosen(ended, current, sources["last"]),
            "good": course.chosen(ended, sources["last"], sources["good"]),
            "best": sources["best"],
        }
        course.forget_seen()
        self.progress.epoch(course.at(ended[0]).state)
        leaving = {row: outcome.final for row, outcome in outcomes.items() if outcome.final}
        if leaving:
            leave(course, leaving, sources, resumable=True)
            if course.active and len(course.active) <= SHRINK * len(course.members):
                course.shrink()
                self._rates = None

    def _interrupted(self, reason: str) -> None:
        """End all that have not ended, with the parameters of the last complete step if those are finite."""
        course = self.course
        finite = course.read()
        leaving = {}
        for row, member in enumerate(course.members):
            if member is not None:
                member.history.stop_reason = reason
                leaving[row] = member.best_or("current" if finite[row] else "last")
        leave(course, leaving, {"current": course.parameters, **course.kept}, resumable=not self._torn)

    def _failed(self) -> None:
        """End all that have not ended, with the parameters of the end of their last epoch: no epoch is lost."""
        course = self.course
        leaving = {row: "last" for row, member in enumerate(course.members) if member is not None}
        for row in leaving:
            course.at(row).history.stop_reason = "error"
        leave(course, leaving, course.kept, resumable=False)
