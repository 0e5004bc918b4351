"""`fit`: the arguments of a training, and its loop over epochs."""

from math import isfinite
from time import perf_counter
from typing import Any, NoReturn

from retroprop.backends import host
from retroprop.backends.backend import Demands
from retroprop.backends.intake.batch import Batch
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.backward import evaluate
from retroprop.functions import schedules
from retroprop.functions.metrics import Metric
from retroprop.functions.types import Array, RandomGenerator
from retroprop.network import Network
from retroprop.training import arguments, lbfgs, optimizers
from retroprop.training import callbacks as hooks
from retroprop.training.batches import BatchOrder, Minibatches, mask_stream
from retroprop.training.callbacks import EarlyStopping, StoppingState, TrainingState
from retroprop.training.course import Course, are_finite, copied
from retroprop.training.epoch import Epochs, Figures
from retroprop.training.history import DivergenceError, History, kept
from retroprop.training.memory_advice import explained
from retroprop.training.optimizers import LBFGS, Optimizer
from retroprop.training.progress import Silence, display
from retroprop.training.rows import source_of, taken
from retroprop.training.step import bind, estimated_elements


@arguments.with_pointers
def fit(
    net: Network,
    x: Any,
    y: Any,
    *,
    optimizer: Any = "adam",
    epochs: int = 20,
    batch_size: int | None = None,
    sample_weight: Any = None,
    shuffle: bool = True,
    seed: Any = None,
    validation_data: Any = None,
    metrics: Any = (),
    callbacks: Any = (),
    early_stopping: EarlyStopping | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    progress: bool = False,
    precision: str = "highest",
    deterministic: bool = False,
) -> History:
    """Train `net` in place.

    Parameters
    ----------
    net : Network
        The network to train.
    x : array (m, n_1)
        One observation a row. With a `batch_size`, uint8, int8, int16 and bool are cast batch by batch, and a
        `numpy.memmap` is read likewise: neither ever exists as floats in full.
    y : array (m, n_L), or (m,)
        Target rows; class indices for cross_entropy.
    optimizer : str or object
        "sgd", "rmsprop", "adam", "adamw", "lion", "lbfgs", or one of `retroprop.optimizers` with its own options.
    epochs : int
        The number of passes over all rows. With the full batch an epoch is one update, so it takes hundreds.
    batch_size : int, optional
        Rows per step; None is the full batch, as in the source text.
    sample_weight : array (m,), optional
        Weights of the observations, 0 or above.
    shuffle : bool
        Whether each epoch has its own order of the rows.
    seed : int, Generator or None
        Draws the orders and, before them, the key of the dropout masks, which are a function of the key and of the
        number of updates made. The same seed gives the same orders and masks on every backend.
    validation_data : tuple, optional
        (x, y) or (x, y, sample_weight), evaluated after every epoch.
    metrics : sequence of str or object
        "accuracy", "error", "r2", "mean_absolute_error", "root_mean_squared_error", or callables
        (a, y, weight, xp) with a `name` and `greater_is_better`.
    callbacks : sequence of object
        With any of `on_fit_begin(state)`, `on_epoch_end(state)`, `on_fit_end(state)`; True from `on_epoch_end`
        ends the training.
    early_stopping : EarlyStopping, optional
        Ends the training when the figure it monitors no longer improves.
    clip_norm, clip_value : float, optional
        The largest Euclidean norm of all gradients together, the largest absolute value of each element.
    progress : bool
        Whether a bar is shown, on standard error where that is a terminal.
    precision : str
        The precision of matrix products of float32 during training: "highest", or on a GPU "tf32" or "bf16", which
        round their operands to 10 or 7 bits of mantissa first. Sums and parameters stay in float32.
    deterministic : bool
        Whether the same training must give the same bits at each run on the same device.

    Returns
    -------
    History
        The figures of each epoch, and the reason why the training ended.

    Raises
    ------
    TypeError, ValueError
        For bad arguments or data, before any work.
    DivergenceError
        If a cost is NaN or inf; the network then has the parameters of the end of the epoch before.
    OutOfDeviceMemoryError
        If the device has no memory for it; the message says which batch size would fit.
    Exception
        An error of a callback or another function of the user, with the finished epochs as its attribute `history`.

    Notes
    -----
    Ctrl-C ends the training with the current parameters, `stop_reason` "interrupted". If it arrives in the middle of an
    update, some of the parameters may be updated and others not.

    With callbacks or metrics the network has new parameters after each epoch, otherwise at the end of the training.
    """
    arguments.check_counts(epochs=epochs, batch_size=batch_size)
    clips: dict[str, Any] = {
        name: arguments.clip(name, value) for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value))
    }
    early_stopping = arguments.early_stopping(early_stopping)
    arguments.check_single(net)
    demands = Demands(precision=precision, deterministic=deterministic)
    net.backend.check_demands(demands, net.dtype)
    # A full batch is cast once, not at each step.
    data = taken(net, x, y, sample_weight, as_stored=batch_size is not None)
    if data.x.ndim != 2:
        raise ValueError(f"x must have two axes, (m, {net.layer_sizes[0]}), not the shape {tuple(data.x.shape)}.")
    rule = optimizers.get(optimizer)
    order = Minibatches(data.x.shape[0], batch_size, shuffle=shuffle)
    if rule.full_batch and len(order.windows) > 1:
        raise ValueError(
            f"the optimizer {rule.name!r} needs all {order.m} rows in each step: batch_size must be None or {order.m} "
            f"or above, not {batch_size!r}."
        )
    work = estimated_elements(net.architecture, epochs * order.m, epochs * len(order.windows))
    demands = demands._replace(work=work)
    # An iteration of L-BFGS evaluates the cost several times: it is a step of its own, over the same epochs.
    if isinstance(rule, LBFGS):
        step = lbfgs.bind(net.backend, net.architecture, rule, **clips, demands=demands)
    else:
        step = bind(net.backend, net.architecture, rule, **clips, demands=demands)
    held_out = arguments.validation(net, validation_data)
    training = Training(
        net,
        data,
        rule,
        step,
        order=order,
        rng=host.generator(seed),
        validation=held_out,
        metrics=arguments.metrics(net, metrics, y=data.y, validation=held_out),
        callbacks=hooks.check(callbacks),
        early_stopping=early_stopping,
        progress=display(progress),
    )
    # Every error carries the finished epochs; one for lack of memory, the batch size that would fit.
    with kept(training.history), explained(net, rule, order.batch_size):
        return training.run(epochs)


class Training:
    """One call of `fit`: its epochs, and everything around them."""

    def __init__(
        self,
        net: Network,
        data: Batch,
        optimizer: Optimizer,
        step: CapturedStep,
        *,
        order: BatchOrder,
        rng: RandomGenerator,
        validation: Batch | None,
        metrics: list[Metric],
        callbacks: list[Any],
        early_stopping: EarlyStopping | None,
        progress: Silence,
    ) -> None:
        self.net, self.data, self.optimizer, self.backend = net, data, optimizer, net.backend
        self.validation, self.metrics, self.callbacks, self.progress = validation, metrics, callbacks, progress
        self.history = History(metrics={metric.name: [] for metric in metrics})
        self.monitor = (
            None if early_stopping is None else early_stopping.start(validates=validation is not None, metrics=metrics)
        )
        self.epochs = Epochs(
            net.backend,
            step,
            optimizer,
            source=source_of(net.backend, data),
            order=order,
            schedule=schedules.get(optimizer.learning_rate).start(),
            rng=rng,
            masks=mask_stream(net.backend, net.architecture, net.dtype, rng),
            course=Course(net.parameters, stopping=None if self.monitor is None else StoppingState()),
            collects=bool(metrics) and validation is None,
            advance=progress.advance,
        )

    def run(self, epochs: int) -> History:
        """Train for a number of epochs, or until early stopping, a callback or the optimizer ends it."""
        net, history, epochs_run = self.net, self.history, self.epochs
        callback_state = TrainingState(net, history, epochs)
        with self.backend.active():
            # The joined parameters that the network has: `_show` compares by identity, so that it splits them once.
            self.shown = epochs_run.joined(net.parameters)
            epochs_run.course = epochs_run.course._replace(last=self.shown, good=self.shown)
            try:
                hooks.call(self.callbacks, "on_fit_begin", callback_state)
                # After `on_fit_begin`, which may set the parameters: the optimizer starts from those.
                self._take_parameters()
                state = self.optimizer.start(epochs_run.course.parameters, self.backend.xp.zeros_like)
                epochs_run.course = epochs_run.course._replace(state=state)
                self.progress.start(epochs, self.data.x.shape[0])
                while epochs_run.course.epoch < epochs and not self._ends(callback_state):
                    pass
            except KeyboardInterrupt:
                history.stop_reason = "interrupted"
                parameters = epochs_run.course.parameters
                # Interrupted after an update that diverged: the end of the epoch before stays.
                if are_finite(parameters, self.backend):
                    epochs_run.course = epochs_run.course._replace(last=epochs_run.joined(parameters))
                self._show(epochs_run.course.last)
            finally:
                self.progress.stop()
                callback_state.n_updates = epochs_run.course.n_updates
                if not self.callbacks:
                    self._show(epochs_run.course.last)
            self._restore_best()
            # The network ends with arrays of its own, not with views of the joined copy.
            net.parameters = copied(net.parameters, self.backend.xp)
            memory = self.backend.memory()
            history.peak_memory = None if memory is None else memory.peak
            hooks.call(self.callbacks, "on_fit_end", callback_state)
        return history

    def _ends(self, callback_state: TrainingState) -> bool:
        """Run one epoch; return whether the training ends with it."""
        before = self.epochs.course
        self._epoch(before, callback_state)
        callback_state.epoch = self.epochs.course.epoch
        self.progress.epoch(callback_state)
        patience_is_out = self.monitor is not None and self._patience_is_out(before, callback_state)
        callback_stops = hooks.call(self.callbacks, "on_epoch_end", callback_state)
        # A callback may have changed the network: the next epoch goes on from it.
        if self.callbacks:
            self._take_parameters()
        # The optimizer's own reason comes before early stopping's, and a callback's before both.
        ended = "early_stopping" if patience_is_out else ""
        ended = self.optimizer.end(self.epochs.course.state) or ended
        if reason := "callback" if callback_stops else ended:
            self.history.stop_reason = reason
        return bool(reason)

    def _epoch(self, before: Course, callback_state: TrainingState) -> None:
        """Run one epoch and write it into the history, all of it or nothing."""
        began = perf_counter()
        epochs_run = self.epochs
        figures = epochs_run.run()
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
        self._refuse_divergence(figures, before)
        # A callback or a metric may read the network now; without them it is updated at the end.
        if self.callbacks or self.metrics:
            self._show(epochs_run.course.last)
        validation_cost, metrics = self._evaluate(figures.seen)
        if validation_cost is not None and not isfinite(validation_cost):
            n = len(figures.costs)
            place = f"batch {n} of {n}, the validation cost is {validation_cost}"
            self._diverged(place, before, n, before.epoch, before.last)
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
        one_batch = course.n_updates - before.n_updates == 1
        measured = before.last if one_batch and self.monitor.of_own_steps else course.last
        stopping = self.monitor.after(course.stopping, callback_state, measured)
        self.epochs.course = course._replace(stopping=stopping)
        return self.monitor.is_out(stopping)

    def _refuse_divergence(self, figures: Figures, before: Course) -> None:
        """Raise if a cost of the epoch, or a parameter after its last update, is not finite."""
        n = len(figures.costs)
        for batch, value in enumerate(figures.costs, start=1):
            if not isfinite(value):
                # At the first batch the parameters at fault are those that the epoch started with.
                finished, good = (before.epoch - 1, before.good) if batch == 1 else (before.epoch, before.last)
                self._diverged(f"batch {batch} of {n}, the cost is {value}", before, batch, finished, good)
        if not figures.finite:
            place = f"batch {n} of {n}, a parameter is not finite after the update"
            self._diverged(place, before, n, before.epoch, before.last)

    def _diverged(self, place: str, before: Course, batch: int, finished: int, good: Array) -> NoReturn:
        """Raise, with the network at `good`, the end of epoch `finished`, or at the best that early stopping has."""
        name, epochs_run = f"of the end of epoch {finished}" if finished > 0 else "it started with", self.epochs
        stopping = epochs_run.course.stopping
        if stopping is not None and stopping.parameters is not None:
            good, self.history.best_epoch = stopping.parameters, stopping.best_epoch
            name = f"of the best epoch, {stopping.best_epoch}"
        epochs_run.course = epochs_run.course._replace(last=good)
        self._show(good)
        self.history.stop_reason = "diverged"
        epoch = before.epoch + 1
        raise DivergenceError(
            f"the training diverged: at epoch {epoch}, {place}. "
            f"{self.optimizer.remedy(epochs_run.schedule(epochs_run.course.n_updates - 1))} "
            f"The network has the parameters {name}.",
            epoch=epoch,
            batch=batch,
            history=self.history,
        )

    def _evaluate(self, seen: tuple[Batch, ...]) -> tuple[float | None, dict[str, float]]:
        """Return the validation cost and the metrics: of the validation data, else of the outputs of the epoch."""
        xp, to_numpy, cost = self.backend.xp, self.backend.to_numpy, None
        if self.validation is not None:
            parameters = self.epochs.separated(self.epochs.course.last)
            operations = self.backend.operations()
            cost_array, a = evaluate(operations, self.net.architecture, parameters, *self.validation)
            cost = float(to_numpy(cost_array))
            outputs = Batch(a, self.validation.y, self.validation.weight)
        elif self.metrics:
            # The outputs of the batches, in the order they ran in, as if they were of one batch.
            columns = map(list, zip(*seen, strict=True))
            outputs = Batch(*(None if column[0] is None else xp.concat(column, axis=0) for column in columns))
        metrics = {metric.name: float(to_numpy(metric(*outputs, xp))) for metric in self.metrics}
        return cost, metrics

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
