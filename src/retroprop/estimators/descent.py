"""Epochs of minibatch updates: retroprop's own step, and scikit-learn's rules of what an epoch is and when to stop."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import numpy
from sklearn.exceptions import ConvergenceWarning

from retroprop.backends.intake.arrays import holds, read
from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.estimators import stopping
from retroprop.estimators.samples import Batches
from retroprop.estimators.stopping import Solver
from retroprop.estimators.validation import Validation
from retroprop.estimators.watching import Watching, warn
from retroprop.functions.types import Array
from retroprop.training.batches import dropout_masks, mask_stream
from retroprop.training.runs import Run, runs
from retroprop.training.step import Step


class Descent:
    """One run of a stochastic solver over an estimator's own attributes.

    Parameters
    ----------
    estimator : BaseMLP
        Whose loss curve, counts and best figures are written.
    architecture : Architecture
        What is trained.
    step : Step
        Bound to it.
    solver : Solver
        Update rule and learning rate.
    parameters : Parameters
        Where it starts.
    batches : Batches
        The data of each epoch.
    rng : RandomState
        What their order is drawn from and, before it, with dropout only, the key of the masks. These are a function of
        the key and of the updates the solver has made, which `partial_fit` goes on counting.
    validation : Validation or None
        What is looked at after each epoch.
    """

    def __init__(
        self,
        estimator: Any,
        architecture: Architecture,
        step: Step,
        solver: Solver,
        parameters: Parameters,
        batches: Batches,
        rng: Any,
        validation: Validation | None,
    ) -> None:
        self.estimator, self.architecture, self.step, self.solver = estimator, architecture, step, solver
        self.batches, self.rng, self.validation = batches, rng, validation
        self.backend = batches.backend
        self.masks = mask_stream(batches.backend, architecture, batches.dtype, rng)
        # The parameters of the end of the last epoch, the last that a finite loss was seen of, and those the loss of
        # the last epoch belongs to.
        self.last = self.good = self.measured = parameters
        # A step may overwrite what it is given: the estimator keeps its own.
        self.parameters = copied(parameters, self.backend)
        if not solver.state:
            solver.state = solver.rule.start(parameters, self.backend.xp.zeros_like)

    def run(self, epochs: int, watching: Watching, *, once: bool = False) -> None:
        """Train for so many epochs, or until something ends it; once where the data give one epoch."""
        e = self.estimator
        e.n_iter_ = 0
        try:
            while e.n_iter_ < epochs:
                watching.epoch_begins()
                self._epoch()
                if not isfinite(e.loss_) and not e.early_stopping and not finite(self.parameters, self.backend):
                    break
                self._look()
                self.solver.epoch_ends(e.t_, e.loss_)
                stopped = watching.epoch_ends(self.last) or self._patience_is_out()
                if stopped or watching.incremental:
                    break
                if e.n_iter_ == epochs and not once:
                    warn(
                        f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                        "converged yet.",
                        ConvergenceWarning,
                    )
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
            self.last = copied(self.parameters, self.backend)

    def _epoch(self) -> None:
        """Run one epoch, and note its loss: Σ loss of the batch · its rows / all rows, each before its update."""
        e, step, solver = self.estimator, self.step, self.solver
        costs, sizes = [], []
        given = self.batches.epoch(self.rng)
        # The batches of one size as one, where the step can.
        for run in () if given.data is None else self._runs(given.data, given.order, given.windows):
            self.parameters, solver.state = run.parameters, run.state
            solver.n_updates += run.steps
            costs.append(run.costs)
            sizes += [run.rows // run.steps] * run.steps
        for m, batch, rows in given.batches(len(sizes)):
            masks = dropout_masks(self.masks, step, solver.n_updates, m)
            hyper = solver.hyper(solver.n_updates)
            self.parameters, solver.state, cost, _ = step(self.parameters, solver.state, hyper, batch, rows, masks)
            solver.n_updates += 1
            costs.append(cost)
            sizes.append(m)
        n, values = sum(sizes), read(self.backend, costs)  # here an epoch waits for the device
        e.loss_ = numpy.float64(sum(cost * size for cost, size in zip(values, sizes, strict=True)) / n)
        if isfinite(e.loss_):
            self.good = self.last
        before, self.last = self.last, copied(self.parameters, self.backend)
        # A loss is measured before its update: with one batch an epoch at its start; with many the end is as near.
        self.measured = before if len(sizes) == 1 else self.last
        e.n_iter_ += 1
        e.t_ += n
        e.loss_curve_.append(e.loss_)
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")

    def _runs(self, data: Batch, order: Array | None, windows: Sequence[slice]) -> Iterator[Run]:
        solver = self.solver

        def carried() -> tuple[Any, Any, int]:
            return self.parameters, solver.state, solver.n_updates

        return runs(self.backend, self.step, data, order, windows, carried, solver.hyper, self.masks)

    def _look(self) -> None:
        """Measure the epoch, and keep its parameters where they are the best."""
        e = self.estimator
        if self.validation is not None:
            loss, score = self.validation.measure(self.architecture, self.last)
            e.validation_loss_curve_.append(loss)
            e.validation_scores_.append(score)
            if e.verbose:
                print(f"Validation score: {score:f}")
            best = stopping.note_score(e, score)
        if not e.early_stopping:
            best_loss = stopping.note_loss(e, e.loss_)
            best = best_loss if self.validation is None else best
        if best:  # kept also where nobody asks: a further fit may, which goes on from these figures
            e._best = self.measured if self.validation is None else self.last
            e._best_by = stopping.decides(validates=self.validation is not None)

    def _patience_is_out(self) -> bool:
        e = self.estimator
        if not e._no_improvement_count > e.n_iter_no_change:
            return False
        what = "Validation score" if e.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        if self.solver.patience_is_out(message, verbose=bool(e.verbose)):
            return True
        e._no_improvement_count = 0
        return False


def copied(parameters: Parameters, backend: Any) -> Parameters:
    """Return a copy the next steps cannot overwrite."""
    astype = backend.xp.astype
    return parameters.like(astype(leaf, leaf.dtype, copy=True) for leaf in parameters.leaves)


def finite(parameters: Parameters, backend: Any) -> bool:
    """Return whether every parameter is finite."""
    xp = backend.xp
    return holds(backend, xp.stack([xp.all(xp.isfinite(leaf)) for leaf in parameters.leaves]))
