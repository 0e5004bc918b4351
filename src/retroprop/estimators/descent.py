"""The stochastic solvers: epochs of retroprop's own, with scikit-learn's rules for their loss and for stopping."""

from collections.abc import Callable, Generator
from functools import partial
from math import isfinite
from typing import Any

import numpy
from sklearn.exceptions import ConvergenceWarning

from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters, joined
from retroprop.estimators.checkpointing import OWN_KINDS, Keeper
from retroprop.estimators.moving import CURVES
from retroprop.estimators.samples import Samples, Stream
from retroprop.estimators.stopping import Bests, Solver
from retroprop.estimators.validation import Validation
from retroprop.estimators.watching import INTERRUPTED, Watching, warn
from retroprop.functions.types import Array
from retroprop.training.batches import BatchOrder, mask_stream
from retroprop.training.course import Course, copied
from retroprop.training.course_check import Wanted
from retroprop.training.division import Division
from retroprop.training.epoch import Epochs, Figures
from retroprop.training.job import Job
from retroprop.training.restart import key_at, restarted
from retroprop.training.saver import PauseForCheckpoint
from retroprop.training.signals import INTERRUPTIONS
from retroprop.training.split_epoch import SplitEpochs

FIGURES = ("n_iter_", "t_", "loss_", "best_loss_", "best_validation_score_", "_no_improvement_count")
"""The attributes that an epoch changes, beside the curves."""
MAY_BE_NONE = ("best_loss_", "best_validation_score_")


class Descent:
    """One run of a stochastic solver, which updates the attributes of an estimator.

    Parameters
    ----------
    estimator : BaseMLP
        Its loss curve, counts and best figures are updated.
    architecture : Architecture
        The network to train.
    step : CapturedStep
        Bound to it.
    solver : Solver
        Update rule and learning rate.
    parameters : Parameters
        The initial parameters; they are copied.
    bests : Bests
        The figures to compare with.
    source : Samples or Stream
        The data.
    order : BatchOrder
        Which rows make a batch.
    rng : RandomState
        Draws the orders and, before them, the key of the masks if there is dropout. The masks are a function of the key
        and of the number of updates the solver has made, which goes on from one `partial_fit` to the next.
    validation : Validation or None
        Is measured after each epoch.
    keeper : Keeper or None
        Its checkpoints, and where it goes on from.
    job : Job or None
        The ranks that share it.
    """

    def __init__(
        self,
        estimator: Any,
        architecture: Architecture,
        step: CapturedStep,
        solver: Solver,
        parameters: Parameters,
        bests: Bests,
        source: Samples | Stream,
        order: BatchOrder,
        rng: Any,
        validation: Validation | None,
        keeper: Keeper | None = None,
        job: Job | None = None,
    ) -> None:
        self.job, self.prints = job, bool(estimator.verbose) and (job is None or job.rank == 0)
        self.estimator, self.architecture, self.solver, self.validation = estimator, architecture, solver, validation
        self.keeper, self._first_update = keeper, solver.n_updates
        self._accounted = True  # whether the attributes of the estimator are those of the course
        backend = source.backend
        xp = backend.xp
        # A copy: the step overwrites its parameters, and a first epoch that diverges goes back to these.
        begin = joined(parameters, xp)
        course = Course(
            copied(parameters, xp),
            solver.state or solver.rule.start(parameters, xp.zeros_like),
            solver.n_updates,
            stopping=bests,
            last=begin,
            good=begin,
        )
        if keeper is not None and keeper.point is not None:
            rows = source.n if isinstance(source, Samples) else 0
            masks, n = any(architecture.dropout), len(order.windows)
            wanted = Wanted(course.parameters, solver.rule, n_batches=n, masks=masks, rows=rows)
            course, solver.schedule = restarted(
                keeper.point, backend, wanted, schedule=solver.schedule, order=order, rng=rng, kinds=OWN_KINDS
            )
            course, self._first_update = keeper.take(course), -1
        make: Any = Epochs
        if job is not None:
            make = partial(SplitEpochs, job, Division(job.rank, job.size, job.parts))
        self.epochs: Epochs = make(
            backend,
            step,
            solver.rule,
            source=source,
            order=order,
            schedule=solver.schedule,
            rng=rng,
            masks=mask_stream(backend, architecture, source.dtype, key_at(course) or rng),
            course=course,
            weighs=False,  # as in scikit-learn, a batch counts by its rows
            advance=_stepped(job, keeper),
            resumable=keeper is not None,
        )

    @property
    def has_updated(self) -> bool:
        """Whether the parameters are others than at the beginning."""
        return self.epochs.course.n_updates > self._first_update

    def found(self, *, interrupted: bool = False) -> Parameters:
        """Return the parameters that the fit ends with, in arrays of their own.

        If it is `interrupted`, they are the present ones: the updates of the incomplete epoch count.
        """
        e, epochs_run = self.estimator, self.epochs
        if (e.early_stopping or e.restore_best) and not (interrupted and not e.n_iter_):
            own = epochs_run.course.stopping.parameters
            best: Parameters = e._best if own is None else self._own(own)
            return best
        if interrupted:
            return self._own(epochs_run.joined(epochs_run.course.parameters))
        return self.last()

    def last(self) -> Parameters:
        """Return the parameters at the end of the last epoch, in arrays of their own."""
        return self._own(self.epochs.course.last)

    def good(self) -> Parameters:
        """Return the last parameters that a finite loss was measured at, in arrays of their own."""
        return self._own(self.epochs.course.good)

    def _own(self, flat: Array) -> Parameters:
        return copied(self.epochs.separated(flat), self.epochs.backend.xp)

    def run(self, epochs: int, watching: Watching, *, once: bool = False) -> Generator[Epochs, Figures | None, None]:
        """Train for a number of epochs or until a rule ends it; `once` where the data are one epoch.

        It yields where an epoch is to be run, and takes its figures or its error: so several fits run theirs together.
        """
        e, epochs_run = self.estimator, self.epochs
        e.n_iter_ = epochs_run.course.epoch
        self._is_whole()
        if self.keeper is not None:
            self.keeper.saver.begin(epochs_run.course.epoch, epochs_run.course.n_batches)
        try:
            while e.n_iter_ < epochs and not self._has_ended():
                watching.epoch_begins()
                before = epochs_run.course
                figures = yield from self._epoch()
                self._accounted = False
                # Parameters that are NaN never recover; with early stopping the score ends the run.
                diverged = not isfinite(figures.cost) and not e.early_stopping and not figures.finite
                validated = None if diverged else self._validated(before)
                self._count(figures)
                if diverged:
                    break
                self._compare(before, figures, validated)
                # As in `rp.fit`, a schedule observes the cost of the validation data where there are any.
                self.solver.epoch_ends(e.t_, e.loss_ if validated is None else validated[0])
                self._is_whole()
                # A callback comes before the patience, which may lower the learning rate instead of stopping.
                stopped = watching.epoch_ends(self.last) or self._patience_is_out()
                if self.job is not None:
                    reason, backend = "stopped" if stopped else "", epochs_run.backend
                    stopped = bool(self.job.epoch_ends(reason, backend, epochs_run.course.last))
                if epochs_run.course.schedule != self.solver.schedule.run_state:
                    epochs_run.course = epochs_run.course._replace(schedule=self.solver.schedule.run_state)
                self._accounted = True
                if epochs_run.course.stopping is not self._whole[0]:  # the patience has begun again
                    self._is_whole()
                if stopped or watching.incremental:
                    break
                self._stop_if_asked()
                if self.keeper is not None and self.keeper.saver.is_due(e.n_iter_):
                    self._save()
                if e.n_iter_ == epochs and not once:
                    warn(
                        f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                        "converged yet.",
                        ConvergenceWarning,
                    )
            if e.early_stopping and e.n_iter_ and not isfinite(e.loss_):
                first = next(n for n, loss in enumerate(e.loss_curve_, 1) if not isfinite(loss))
                warn(f"the training diverged: at epoch {first} the loss is {e.loss_}. The best weights are kept.")
        except BaseException as error:
            self.epochs.settle()
            self._take_back()
            if not isinstance(error, INTERRUPTIONS[self.job is not None]):
                raise
            if self.keeper is not None and getattr(error, "reason", "interrupted") == "terminated":
                self.keeper.saver.signals.answered = False  # it is sent again when the estimator is fitted
            # As in scikit-learn, the updates of the incomplete epoch count.
            warn(INTERRUPTED)
            self._save()  # before the end of the incomplete epoch is taken for its last
            epochs_run.course = epochs_run.course._replace(last=epochs_run.joined(epochs_run.course.parameters))
            self._accounted = False
        finally:
            self._save()
            self._keep()

    def _is_whole(self) -> None:
        """Note that the figures are those of whole epochs."""
        get = vars(self.estimator).get
        # Without names: this comes twice an epoch, and an epoch of a small network takes little more.
        lengths = [None if curve is None else len(curve) for curve in map(get, CURVES)]
        self._whole = self.epochs.course.stopping, [*map(get, FIGURES)], lengths

    def _take_back(self) -> None:
        """Take back the figures of an incomplete epoch: Ctrl-C comes at any place."""
        own, (stopping, figures, lengths) = vars(self.estimator), self._whole
        self.epochs.course = self.epochs.course._replace(stopping=stopping)
        for name, figure in zip(FIGURES, figures, strict=True):
            if figure is None and name not in MAY_BE_NONE:
                own.pop(name, None)  # it did not exist
            else:
                own[name] = figure
        for name, n in zip(CURVES, lengths, strict=True):
            if n is not None:
                del own[name][n:]

    def _epoch(self) -> Generator[Epochs, Figures | None, Figures]:
        """Have the epoch run to its end, with the checkpoints that are due within it."""
        while True:
            try:
                figures = yield self.epochs
                assert figures is not None
                return figures
            except PauseForCheckpoint:
                self._save()

    def _stop_if_asked(self) -> None:
        """Raise StopRequested if a signal has come to any rank."""
        if self.job is not None:
            self.job.signals.stop_if_asked()

    def _save(self) -> None:
        """Write a checkpoint, if there are any and one can go on from there."""
        if self.keeper is None or not self._accounted:
            return
        self.epochs.settle()
        if not self.epochs.torn:
            self.keeper.write(self.epochs.course)

    def _has_ended(self) -> bool:
        """Return whether the patience was used up when a fit that goes on was interrupted."""
        bests: Bests = self.epochs.course.stopping
        return self.keeper is not None and bests.waited > self.estimator.n_iter_no_change

    def _count(self, figures: Figures) -> None:
        """Write an epoch into the attributes of the estimator."""
        e = self.estimator
        e.loss_ = numpy.float64(figures.cost)
        e.n_iter_ += 1
        e.t_ += figures.rows
        e.loss_curve_.append(e.loss_)
        if self.prints:
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")

    def _validated(self, before: Course) -> tuple[float, float] | None:
        """Return the loss and the score of the validation data, None without any.

        If the scorer, a function of the user, fails, the course is that of the epoch before, as the attributes are.
        """
        run = self.epochs
        if self.validation is None:
            return None
        try:
            return self.validation.measure(self.architecture, run.separated(run.course.last))
        except BaseException:
            parameters = self._own(before.last)
            run.course = run.course._replace(parameters=parameters, last=before.last, n_updates=before.n_updates)
            raise

    def _compare(self, before: Course, figures: Figures, validated: tuple[float, float] | None) -> None:
        """Compare the loss and the score of an epoch with the best, and keep its parameters where they are the best."""
        e, course = self.estimator, self.epochs.course
        bests: Bests = course.stopping
        # A loss is measured before its update: with one batch an epoch at its start; with many the end is as near.
        measured = before.last if len(figures.costs) == 1 else course.last
        is_best = False
        if validated is not None:
            # Validation figures belong to the end of the epoch, whatever its number of batches.
            measured, (loss, score) = course.last, validated
            e.validation_loss_curve_.append(loss)
            e.validation_scores_.append(score)
            if self.prints:
                print(f"Validation score: {score:f}")
            decides = loss if e.scoring is None and e._weighs_classes() else None
            bests, is_best = bests.with_score(score, e.tol, counts=e.early_stopping, loss=decides)
        if not e.early_stopping:
            bests, is_least = bests.with_loss(e.loss_, e.tol)
            is_best = is_least if validated is None else is_best
        if is_best:  # kept even if nothing is restored: a further fit, which goes on from these figures, may restore it
            bests = bests._replace(parameters=measured)
        self._note(bests)

    def _note(self, bests: Bests) -> None:
        """Write the best figures into the course and the attributes of the estimator."""
        self.epochs.course = self.epochs.course._replace(stopping=bests)
        bests.write_to(self.estimator)

    def _keep(self) -> None:
        """Store the state from which a further fit continues."""
        self.epochs.settle()
        course = self.epochs.course
        self.solver.state, self.solver.n_updates = course.state, course.n_updates
        if course.stopping.parameters is not None:
            self.estimator._best = self._own(course.stopping.parameters)

    def _patience_is_out(self) -> bool:
        e = self.estimator
        bests: Bests = self.epochs.course.stopping
        # More than n_iter_no_change epochs, not as many: scikit-learn's comparison.
        if not bests.waited > e.n_iter_no_change:
            return False
        figure = "Validation score" if e.early_stopping else "Training loss"
        message = f"{figure} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        if self.solver.patience_is_out(message, verbose=self.prints):
            return True
        # An adaptive learning rate was lowered instead: the count of epochs starts again.
        self._note(bests._replace(waited=0))
        return False


def _stepped(job: Job | None, keeper: Keeper | None) -> Callable[[int], None]:
    """Return a function that leaves the epoch after a step, for a signal or a checkpoint.

    It does not refer to the fit: a cycle of references would keep the data and the buffers of the step for some time.
    """

    def stepped(rows: int) -> None:
        if job is not None:
            job.signals.stop_if_asked()
        if keeper is not None:
            keeper.saver.after_step()

    return stepped
