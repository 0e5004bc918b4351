"""The loop of a training over its epochs, and everything around them."""

from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from retroprop.backends.intake.batch import Batch
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.functions import schedules
from retroprop.functions.metrics import Metric
from retroprop.functions.types import Array, RandomGenerator
from retroprop.network import Network
from retroprop.training import callbacks as hooks
from retroprop.training.batch_stream import BatchStream
from retroprop.training.batches import BatchOrder, mask_stream
from retroprop.training.beginning import ANEW, Beginning, copy_of, figures_of
from retroprop.training.callbacks import StoppingMonitor, StoppingState, TrainingState
from retroprop.training.continuation import Continuation, Work
from retroprop.training.course import Course, are_finite, copied, state_of
from retroprop.training.course_check import Wanted
from retroprop.training.divergence import Fault, error_of, fault_of, fault_of_validation
from retroprop.training.epoch import Epochs, Figures
from retroprop.training.evaluation import evaluated
from retroprop.training.fit_call import FitCall
from retroprop.training.history import DivergenceError, History
from retroprop.training.optimizers import Optimizer
from retroprop.training.parallel import common
from retroprop.training.progress import Silence
from retroprop.training.restart import fits, key_at, restarted
from retroprop.training.rows import source_of
from retroprop.training.saver import PauseForCheckpoint, Saver
from retroprop.training.signals import INTERRUPTIONS, StopSignals

if TYPE_CHECKING:
    from retroprop.training.share import Share


class Training:
    """One call of `fit`: its epochs, and everything around them."""

    def __init__(
        self,
        net: Network,
        data: Batch | BatchStream,
        optimizer: Optimizer,
        step: CapturedStep,
        *,
        order: BatchOrder,
        rng: RandomGenerator,
        validation: Batch | None,
        metrics: list[Metric],
        callbacks: list[Any],
        monitor: StoppingMonitor | None,
        progress: Silence,
        begins_at: Beginning = ANEW,
        arguments: FitCall | None = None,
        elements: float = inf,
        saver: Saver | None = None,
        rows: Array | None = None,
        share: "Share | None" = None,
        signals: StopSignals | None = None,
    ) -> None:
        self.net, self.optimizer, self.backend, self.share = net, optimizer, net.backend, share
        self.signals: StopSignals | None = signals if share is None else share.job.signals
        stored = data.x.shape[0] if isinstance(data, Batch) else data.m
        stored = stored if share is None else share.m
        self.m = stored if rows is None else len(rows)
        self.validation, self.metrics, self.callbacks, self.progress = validation, metrics, callbacks, progress
        self.arguments, self.work, self.saver = arguments, Work(elements, step.compiled), saver
        names: dict[str, list[float]] = {metric.name: [] for metric in metrics}
        self.history = History(metrics=names) if begins_at.history is None else copy_of(begins_at.history)
        self.monitor = monitor
        point = begins_at.continuation
        self.resumes = point is not None
        course = Course(net.parameters, stopping=None if self.monitor is None else StoppingState())
        schedule = schedules.get(optimizer.learning_rate)
        if point is None:
            schedule = schedule.start()
        else:
            masks = any(net.architecture.dropout)
            wanted = Wanted(net.parameters, optimizer, n_batches=len(order.windows), masks=masks, rows=self.m)
            course, schedule = restarted(point, net.backend, wanted, schedule=schedule, order=order, rng=rng)
            fits(course, wanted, self.history, stops=self.monitor is not None, metrics=metrics)
        make = Epochs if share is None else share.epochs
        self.epochs = make(
            net.backend,
            step,
            optimizer,
            source=source_of(net.backend, data, rows, order) if isinstance(data, Batch) else data,
            order=order,
            schedule=schedule,
            rng=rng,
            masks=mask_stream(net.backend, net.architecture, net.dtype, key_at(course) or rng),
            course=course,
            collects=bool(metrics) and validation is None,
            advance=progress.advance if saver is None and self.signals is None else self._advance,
            remembers=saver is not None,
        )
        self.accounted = self.resumes  # whether the history has the figures of all finished epochs

    def run(self, epochs: int) -> History:
        """Train until so many epochs are finished, or until early stopping, a callback or the optimizer ends it."""
        net, history, epochs_run = self.net, self.history, self.epochs
        callback_state = TrainingState(net, history, epochs)
        with self.backend.active():
            stands_at = None
            try:
                self._begin(callback_state)
                self._reach(epochs, callback_state)
            except INTERRUPTIONS[self.share is not None] as request:
                history.stop_reason = getattr(request, "reason", "interrupted")
                parameters = epochs_run.course.parameters
                # Interrupted after an update that diverged: the end of the epoch before stays.
                if are_finite(parameters, self.backend):
                    stands_at = epochs_run.joined(parameters)
            finally:
                self.progress.stop()
                callback_state.n_updates = epochs_run.course.n_updates
                history.continuation = self.point()
                self._save()
                if stands_at is not None or not self.callbacks:
                    self._show(epochs_run.course.last if stands_at is None else stands_at)
            self._restore_best()
            # The network ends with arrays of its own, not with views of the joined copy.
            net.parameters = copied(net.parameters, self.backend.xp)
            memory = self.backend.memory()
            history.peak_memory = None if memory is None else memory.peak
            hooks.call(self.callbacks, "on_fit_end", callback_state)
        return history

    def point(self) -> Continuation | None:
        """Return the point where the training stands, None where none can go on from it."""
        if self.arguments is None or self.epochs.torn or not self.accounted:
            return None
        course = self.epochs.course
        if course.n_batches == 0:  # a callback may have drawn from the generator too
            course = course._replace(generator=state_of(self.epochs.rng))
        return Continuation(course, self.backend, self.arguments, self.work)

    def _save(self) -> None:
        """Write a checkpoint, if there are any."""
        point = self.point()
        if self.saver is not None and point is not None:
            self.saver.write(point, {"history": figures_of(self.history)})

    def _begin(self, callback_state: TrainingState) -> None:
        """Take the parameters to begin with, and show them to the callbacks."""
        epochs_run = self.epochs
        if self.resumes:
            self.shown = None
            self._show(epochs_run.course.last)
            callback_state.epoch, callback_state.n_updates = epochs_run.course.epoch, epochs_run.course.n_updates
        else:
            # The joined parameters that the network has: `_show` compares by identity, so that it splits them once.
            self.shown = epochs_run.joined(self.net.parameters)
            epochs_run.course = epochs_run.course._replace(last=self.shown, good=self.shown)
        hooks.call(self.callbacks, "on_fit_begin", callback_state)
        if self.resumes:
            if self.callbacks:  # it goes on from where it was, whatever they have set
                self.shown = None
                self._show(epochs_run.course.last)
            return
        # After `on_fit_begin`, which may set the parameters: the optimizer starts from those.
        self._take_parameters()
        state = self.optimizer.start(epochs_run.course.parameters, self.backend.xp.zeros_like)
        epochs_run.course = epochs_run.course._replace(state=state)
        self.accounted = True

    def _reach(self, epochs: int, callback_state: TrainingState) -> None:
        """Run epochs until so many are finished, or something ends the training."""
        course = self.epochs.course
        self.progress.start(epochs, self.m, done=course.epoch * self.m + sum(course.batch_sizes))
        if self.saver is not None:
            self.saver.begin(course.epoch, course.n_batches)
        if self.resumes:
            patience_is_out = self.monitor is not None and self.monitor.is_out(course.stopping)
            if reason := self.optimizer.end(course.state) or ("early_stopping" if patience_is_out else ""):
                self.history.stop_reason = reason  # it had ended
                return
        while self.epochs.course.epoch < epochs and not self._ends(callback_state):
            self._stop_if_asked()
            if self.saver is not None and self.saver.is_due(self.epochs.course.epoch):
                self._save()
        self._stop_if_asked()

    def _advance(self, rows: int) -> None:
        """Show a step, and leave the epoch for a signal or a checkpoint."""
        self.progress.advance(rows)
        self._stop_if_asked()
        if self.saver is not None:
            self.saver.after_step()

    def _stop_if_asked(self) -> None:
        """Raise StopRequested if a signal has come and the training answers it."""
        if self.signals is not None:
            self.signals.stop_if_asked()
        elif self.saver is not None:
            self.saver.stop_if_asked()

    def _ends(self, callback_state: TrainingState) -> bool:
        """Run one epoch; return whether the training ends with it."""
        before = self.epochs.course
        self._epoch(before, callback_state)
        callback_state.epoch = self.epochs.course.epoch
        self.progress.epoch(callback_state)
        patience_is_out = self.monitor is not None and self._patience_is_out(before, callback_state)
        self.accounted = True
        callback_stops = hooks.call(self.callbacks, "on_epoch_end", callback_state)
        # A callback may have changed the network: the next epoch goes on from it.
        if self.callbacks:
            self._take_parameters()
        # The optimizer's own reason comes before early stopping's, and a callback's before both.
        ended = "early_stopping" if patience_is_out else ""
        ended = self.optimizer.end(self.epochs.course.state) or ended
        reason = "callback" if callback_stops else ended
        if self.share is not None:
            reason = self.share.job.epoch_ends(reason, self.backend, self.epochs.course.last)
        if reason:
            self.history.stop_reason = reason
        return bool(reason)

    def _epoch(self, before: Course, callback_state: TrainingState) -> None:
        """Run one epoch and write it into the history, all of it or nothing."""
        began = perf_counter()
        epochs_run = self.epochs
        while True:
            try:
                figures = epochs_run.run()
                break
            except PauseForCheckpoint:
                self._save()
        self.accounted = False
        try:
            self._account(figures, before, callback_state, began)
        except DivergenceError:
            raise  # it has chosen the parameters
        except BaseException:
            # Without its figures an epoch has not been: nobody knows yet whether its parameters are finite.
            epochs_run.course = epochs_run.course._replace(last=before.last, good=before.good)
            raise

    def _account(self, figures: Figures, before: Course, callback_state: TrainingState, began: float) -> None:
        """Check an epoch's figures, and write it into the history."""
        epochs_run = self.epochs
        callback_state.n_updates = epochs_run.course.n_updates
        learning_rate = float(epochs_run.schedule(callback_state.n_updates - 1))
        # Before anything is shown or appended: a diverged epoch leaves neither parameters nor figures behind.
        if (fault := fault_of(figures.costs, finite=figures.finite)) is not None:
            self._diverged(fault, before)
        # A callback or a metric may read the network now; without them it is updated at the end.
        if self.callbacks or self.metrics:
            self._show(epochs_run.course.last)
        validation_cost, metrics = None, dict[str, float]()
        if self.validation is not None or self.metrics:
            of = self.backend, self.net.architecture, epochs_run.separated(epochs_run.course.last)
            if self.share is not None and self.share.validation is not None:
                validation_cost, metrics = self.share.validation(*of, self.metrics)
            else:
                validation_cost, metrics = evaluated(*of, self.validation, self.metrics, figures.seen)
        if (fault := fault_of_validation(validation_cost, len(figures.costs))) is not None:
            self._diverged(fault, before)
        # Reduce-on-plateau counts epochs, and prefers the validation cost.
        epochs_run.schedule.observe(figures.cost if validation_cost is None else validation_cost)
        epochs_run.course = epochs_run.course._replace(schedule=epochs_run.schedule.run_state)
        self.history.append(
            cost=figures.cost,
            validation_cost=validation_cost,
            metrics=metrics,
            learning_rate=learning_rate,
            seconds=perf_counter() - began,
        )

    def _patience_is_out(self, before: Course, callback_state: TrainingState) -> bool:
        """Let early stopping take the epoch into account; return whether it ends the training."""
        assert self.monitor is not None
        course = self.epochs.course
        # Figures of the validation data belong to the end of the epoch. Those of its own steps were measured before
        # each update: with one batch an epoch that is its start, with many the end is as near as the start, and later.
        one_batch = len(self.epochs.order.windows) == 1
        measured = before.last if one_batch and self.monitor.of_own_steps else course.last
        stopping = self.monitor.after(course.stopping, callback_state, measured)
        self.epochs.course = course._replace(stopping=stopping)
        return self.monitor.is_out(stopping)

    def _diverged(self, fault: Fault, before: Course) -> NoReturn:
        """Raise, with the network at the last good parameters, or at the best that early stopping has."""
        epochs_run = self.epochs
        stopping = epochs_run.course.stopping
        good, best_epoch = before.good if fault.at_start else before.last, None
        if stopping is not None and stopping.parameters is not None:
            good, best_epoch = stopping.parameters, stopping.best_epoch
        epochs_run.course = epochs_run.course._replace(last=good)
        self._show(good)
        remedy = self.optimizer.remedy(epochs_run.schedule(epochs_run.course.n_updates - 1))
        error = error_of(fault, finished=before.epoch, best_epoch=best_epoch, remedy=remedy, history=self.history)
        raise common(error)  # the costs of all ranks are the same

    def _take_parameters(self) -> None:
        """Go on from the parameters of the network, which a callback may have changed."""
        parameters = self.net.parameters
        last = self.epochs.joined(parameters) if self.callbacks else self.epochs.course.last
        self.shown = last
        # The step may overwrite its parameters; the network's own arrays are the user's.
        own = copied(parameters, self.backend.xp)
        self.epochs.course = self.epochs.course._replace(parameters=own, last=last)

    def _show(self, flat: Array) -> None:
        """Give the network these parameters, unless it has them."""
        if flat is not self.shown:
            parameters = self.epochs.separated(flat)
            # A callback may change them in place, and `flat` may be the best epoch's.
            self.net.parameters = copied(parameters, self.backend.xp) if self.callbacks else parameters
            self.shown = flat

    def _restore_best(self) -> None:
        """Give the network the parameters of the best epoch, if early stopping kept them."""
        stopping = self.epochs.course.stopping
        if stopping is not None and stopping.parameters is not None:
            self._show(stopping.parameters)
            self.history.best_epoch = stopping.best_epoch
