"""One epoch: its steps, and its figures. `fit` and the stochastic solvers of the estimators run this one."""

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from math import isfinite
from operator import mul
from typing import Any, NamedTuple, Protocol

from retroprop.backends import Backend
from retroprop.backends.intake.arrays import read
from retroprop.backends.intake.batch import Batch
from retroprop.backends.masks import MaskStream
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.parameters import Parameters, joined, separated
from retroprop.functions.schedules import Schedule
from retroprop.functions.types import Array, RandomGenerator
from retroprop.training.batches import BatchOrder, dropout_masks, in_order
from retroprop.training.course import Course, state_of
from retroprop.training.optimizers import Optimizer
from retroprop.training.rows import Stretches
from retroprop.training.runs import runs


class BatchSource(Protocol):
    """The data of a training, read batch by batch."""

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the batches of an epoch in groups; `order`, the rows in order, is on the host."""


class Figures(NamedTuple):
    """The figures of an epoch, on the host.

    Attributes
    ----------
    costs : list of float
        J of each batch before its update.
    cost : float
        Their mean Σ W_b J_b / Σ W_b, where W_b are the rows of a batch, or the sum of their weights.
    finite : bool
        Whether all parameters are finite after the last update.
    rows : int
        The number of rows of all batches.
    seen : tuple of Batch
        Outputs, targets and weights of the batches, if they were collected.
    """

    costs: list[float]
    cost: float
    finite: bool
    rows: int
    seen: tuple[Batch, ...]


class Epochs:
    """The epochs of one training: everything that is fixed, and the course.

    Parameters
    ----------
    backend : Backend
        Where it runs.
    step : CapturedStep
        Bound to the network, the optimizer and the backend.
    optimizer : Optimizer
        Gives the hyper-parameters of each update.
    source : BatchSource
        The data.
    order : BatchOrder
        Which rows make a batch.
    schedule : Schedule
        The learning rate of this run.
    rng : Generator or RandomState
        Draws the order of each epoch.
    masks : MaskStream or None
        The dropout masks.
    course : Course
        Where the training stands: its `parameters` and `state` may be overwritten.
    weighs : bool
        Whether a batch counts by the weights of its rows, where they have weights, not by their number.
    collects : bool
        Whether the outputs of the steps are collected.
    advance : callable
        Is called with the number of rows after each step.
    resumable : bool
        Whether the course has the state of the generator: of scikit-learn's it takes the time of a small epoch.
    remembers : bool
        Whether it also has the state before an order was drawn.

    Attributes
    ----------
    course : Course
        The course after the last complete step.
    shapes : Parameters
        The shapes of the parameters.
    torn : bool
        Whether an error or Ctrl-C came within a step, which may have updated some parameters and not others.
    settle : callable
        Brings parameters and state into the course where a group of trainings has them in its arrays.
    """

    def __init__(
        self,
        backend: Backend,
        step: CapturedStep,
        optimizer: Optimizer,
        *,
        source: BatchSource,
        order: BatchOrder,
        schedule: Schedule,
        rng: RandomGenerator,
        masks: MaskStream | None,
        course: Course,
        weighs: bool = True,
        collects: bool = False,
        advance: Callable[[int], object] = lambda rows: None,
        resumable: bool = True,
        remembers: bool = False,
    ) -> None:
        self.backend, self.step, self.optimizer = backend, step, optimizer
        self.source, self.order, self.schedule, self.rng, self.masks = source, order, schedule, rng, masks
        self.weighs, self.collects, self.advance = weighs, collects, advance
        self.resumable, self.remembers = resumable, remembers
        self.gather = backend.operations().gather
        self.shapes = course.parameters.shapes
        self.torn = False
        self.settle: Callable[[], object] = bool
        self.course = course._replace(
            schedule=schedule.run_state, generator=self._generator(), mask_key=None if masks is None else masks.key
        )

    def run(self) -> Figures:
        """Run the current epoch to its end, and return its figures; here it waits for the device, once.

        An error or Ctrl-C leaves the course after the last complete step.
        """
        course = self.course
        # An epoch that was interrupted goes on with the order drawn at its start.
        if course.n_batches == 0:
            before = state_of(self.rng) if self.remembers else None
            order = self.order.draw(self.rng, course.order)
            if order is not course.order:
                self.course = course._replace(order=order, generator=self._generator(), epoch_generator=before)
        windows = self.order.windows[course.n_batches :]
        if course.n_batches and self.order.windows and not windows:
            return self._end()  # interrupted after the last batch
        # Batches of an iterator, which have no windows, are read again up to where it was interrupted.
        again = 0 if self.order.windows else course.n_batches
        # Closed also after an error: the generator may have a thread that reads ahead.
        with closing(self.source.stretches(self.course.order, windows)) as stretches:
            for stretch in islice(stretches, again, None) if again else stretches:
                self._steps(*stretch)
        return self._end()

    def _generator(self) -> Any:
        return state_of(self.rng) if self.resumable else None

    def hyper(self, t: int) -> tuple[float, ...]:
        """Return the hyper-parameters of the update after t updates."""
        return self.optimizer.hyper(t + 1, float(self.schedule(t)))

    def separated(self, flat: Array) -> Parameters:
        """Return joined parameters in their shapes, in the memory order of the step's own, which its products need."""
        parameters = separated(flat, self.shapes, self.backend.xp)
        pairs = zip(parameters.leaves, self.course.parameters.leaves, strict=True)
        return parameters.like([self.backend.ordered_as(leaf, own) for leaf, own in pairs])

    def joined(self, parameters: Parameters) -> Array:
        """Return a copy of parameters as one 1-D array."""
        return joined(parameters, self.backend.xp)

    def _steps(self, data: Batch, order: Array | None, windows: Sequence[slice]) -> None:
        """Do the steps of a stretch."""
        course, xp, step, hyper, advance = self.course, self.backend.xp, self.step, self.hyper, self.advance
        parameters, state, t = course.parameters, course.state, course.n_updates
        costs, weights = list(course.costs), list(course.weights)
        batch_sizes, seen = list(course.batch_sizes), list(course.seen)
        weighs = self.weighs and data.weight is not None
        n_batches = 0
        self.torn = True
        try:
            # Consecutive batches of one size as one call, where the step can; the outputs of such steps are not kept.
            if not self.collects:
                for ran in runs(self.backend, step, data, order, windows, course, hyper, self.masks):
                    parameters, state, t = ran.parameters, ran.state, t + ran.steps
                    n_batches += ran.steps
                    costs.append(ran.costs)
                    batch_sizes.extend([ran.rows // ran.steps] * ran.steps)
                    if weighs:
                        weights.append(ran.weights)
                    self.torn = False
                    advance(ran.rows)
                    self.torn = True
            # The remaining batches one by one: all of them, or those of another size at the end.
            for window in windows[n_batches:]:
                # Without an order a window is a view; with one the step gathers the rows itself, into its own buffer.
                batch, indices = (in_order(data, window), None) if order is None else (data, order[window])
                m = window.stop - window.start
                masks = dropout_masks(self.masks, t, m, draws=step.draws)
                self.torn = True
                parameters, state, cost, a = step(parameters, state, hyper(t), batch, indices, masks)
                t += 1
                n_batches += 1
                costs.append(cost)
                batch_sizes.append(m)
                if weighs or self.collects:
                    y, weight = batch[1:] if indices is None else (self.gather(part, indices) for part in batch[1:])
                    if weighs:
                        weights.append(xp.sum(weight))
                    if self.collects:
                        # A copy, as the next step may overwrite the output.
                        seen.append(Batch(xp.astype(a, a.dtype, copy=True), y, weight))
                self.torn = False
                advance(m)
            self.torn = False
        finally:
            # Also after Ctrl-C or an error: the course is that of the last complete step, from which a run can go on.
            self.course = course._replace(
                parameters=parameters,
                state=state,
                n_updates=t,
                n_batches=course.n_batches + n_batches,
                costs=tuple(costs),
                weights=tuple(weights),
                batch_sizes=tuple(batch_sizes),
                seen=tuple(seen),
            )

    def _end(self) -> Figures:
        """Close the epoch in the course, and return its figures."""
        course, xp = self.course, self.backend.xp
        # One copy and one check of all parameters, whose answer is read with the costs: the number of calls does not
        # depend on the number of layers.
        last = self.joined(course.parameters)
        finite = xp.astype(xp.all(xp.isfinite(last)), last.dtype)
        *values, is_finite = read(self.backend, [*course.costs, *course.weights, finite])
        # The costs come first; the weights of the batches follow where they have weights.
        n = len(course.batch_sizes)
        costs, shares = values[:n], values[n:] or course.batch_sizes
        cost = sum(map(mul, shares, costs)) / sum(shares)
        # The costs were measured before the updates, so finite ones vouch for the parameters at the start, not the end.
        self.course = course._replace(
            epoch=course.epoch + 1,
            last=last,
            good=course.last if isfinite(cost) else course.good,
            n_batches=0,
            costs=(),
            weights=(),
            batch_sizes=(),
            seen=(),
        )
        return Figures(costs, cost, is_finite == 1.0, sum(course.batch_sizes), course.seen)
