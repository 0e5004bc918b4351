"""The epoch loop."""

from collections.abc import Iterator
from contextlib import closing
from math import isfinite
from time import perf_counter
from typing import Any, NamedTuple

from retroprop.backends import host
from retroprop.backends.backend import Demands
from retroprop.backends.intake.arrays import holds, read
from retroprop.backends.intake.batch import Batch
from retroprop.core.backward import evaluate
from retroprop.core.parameters import Parameters
from retroprop.functions import schedules
from retroprop.functions.metrics import Metric
from retroprop.functions.types import Array, RandomGenerator
from retroprop.network import Network
from retroprop.training import arguments, lbfgs, optimizers
from retroprop.training import callbacks as hooks
from retroprop.training.batches import BatchOrder, Minibatches, dropout_masks, in_order, mask_stream
from retroprop.training.callbacks import EarlyStopping, TrainingState
from retroprop.training.device_memory import explained
from retroprop.training.history import DivergenceError, History, kept
from retroprop.training.optimizers import LBFGS, Optimizer
from retroprop.training.progress import Silence, display
from retroprop.training.rows import Stretch, source_of, taken
from retroprop.training.runs import Run, runs
from retroprop.training.step import Step, bind


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
        What is trained.
    x : array (m, n_1)
        One observation a row. With a `batch_size`, uint8, int8, int16 and bool are cast batch by batch, and a
        `numpy.memmap` is read so: neither is ever there as real numbers in full.
    y : array (m, n_L), or (m,)
        Target rows; class indices for cross_entropy.
    optimizer : str or object
        "sgd", "rmsprop", "adam", "adamw", "lion", "lbfgs", or one of `retroprop.optimizers` with its own options.
    epochs : int
        How often all rows are seen. With the full batch an epoch is one update, so it takes hundreds.
    batch_size : int, optional
        Rows a step; None is the full batch, as in the source text.
    sample_weight : array (m,), optional
        Weights of the observations, 0 or above.
    shuffle : bool
        Whether each epoch has its own order of the rows.
    seed : int, Generator or None
        Draws the orders and, before them, the key of the dropout masks: they are a function of it and of the number of
        updates made. The same seed gives the same ones on every backend.
    validation_data : tuple, optional
        (x, y) or (x, y, sample_weight), looked at after every epoch.
    metrics : sequence of str or object
        "accuracy", "error", "r2", "mean_absolute_error", "root_mean_squared_error", or callables
        (a, y, weight, xp) with a `name` and `greater_is_better`.
    callbacks : sequence of object
        With any of `on_fit_begin(state)`, `on_epoch_end(state)`, `on_fit_end(state)`; True from `on_epoch_end`
        ends the training.
    early_stopping : EarlyStopping, optional
        Ends it when what it monitors no longer improves.
    clip_norm, clip_value : float, optional
        The largest Euclidean norm of all gradients together, the largest size of each number of them.
    progress : bool
        Whether a bar is shown, on standard error where that is a terminal.
    precision : str
        How exact the products of float32 are while it trains: "highest", or on a GPU "tf32" or "bf16", which round
        their operands to 10 or 7 binary digits first. Sums and parameters stay in float32.
    deterministic : bool
        Whether the same training must give the same bits at each run on the same device.

    Returns
    -------
    History
        Ctrl-C ends the training with what it has come to, `stop_reason` "interrupted". If it comes in the middle of
        an update, some of the parameters may have had it and others not.

    Raises
    ------
    TypeError, ValueError
        For bad arguments or data, before any work.
    DivergenceError
        If a cost is NaN or inf; the network then has the parameters of the end of the epoch before.
    OutOfDeviceMemoryError
        If the device has no memory for it; the message says which batch size would fit.
    Exception
        What a callback or a function from outside raises, with the epochs before as its attribute `history`.
    """
    arguments.check_counts(epochs=epochs, batch_size=batch_size)
    clips: dict[str, Any] = {
        name: arguments.clip(name, value) for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value))
    }
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise TypeError(f"early_stopping must be an EarlyStopping or None, not {early_stopping!r}.")
    if net.parameters.thetas[0].ndim != 2:
        raise ValueError("fit trains one network; this one has model axes. Make a Network of each model.")
    demands = Demands(precision=precision, deterministic=deterministic)
    net.backend.check_demands(demands, net.dtype)
    # A full batch is real numbers at each step: it is cast once.
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
    if isinstance(rule, LBFGS):
        step = lbfgs.bind(net.backend, net.architecture, rule, **clips, demands=demands)
    else:
        step = bind(net.backend, net.architecture, rule, **clips, demands=demands)
    training = Training(
        net,
        data,
        rule,
        step,
        order=order,
        rng=host.generator(seed),
        validation=arguments.validation(net, validation_data),
        metrics=arguments.metrics(net, metrics, y=data.y),
        callbacks=hooks.check(callbacks),
        early_stopping=early_stopping,
        progress=display(progress),
    )
    with kept(training.history), explained(net, rule, order.batch_size):
        return training.run(epochs)


class Done(NamedTuple):
    """What the steps of an epoch leave: costs, sums of weights, and outputs with what they should have been."""

    costs: list[Array]
    weights: list[Array]
    seen: list[Batch]


class Training:
    """One training: what is fixed over the epochs, and what they change."""

    def __init__(
        self,
        net: Network,
        data: Batch,
        optimizer: Optimizer,
        step: Step,
        *,
        order: BatchOrder,
        rng: RandomGenerator,
        validation: Batch | None,
        metrics: list[Metric],
        callbacks: list[Any],
        early_stopping: EarlyStopping | None,
        progress: Silence,
    ) -> None:
        self.net, self.data, self.optimizer, self.step = net, data, optimizer, step
        self.order, self.rng, self.validation, self.metrics = order, rng, validation, metrics
        self.callbacks, self.progress = callbacks, progress
        self.backend, self.operations = net.backend, net.backend.operations()
        self.masks = mask_stream(net.backend, net.architecture, net.dtype, rng)
        self.rows = source_of(net.backend, data)
        self.schedule = schedules.get(optimizer.learning_rate).start()
        self.history = History(metrics={metric.name: [] for metric in metrics})
        self.watch = (
            None if early_stopping is None else early_stopping.start(validates=validation is not None, metrics=metrics)
        )

    def run(self, epochs: int) -> History:
        """Train for so many epochs, or until something ends it."""
        net, history, watch = self.net, self.history, self.watch
        report = TrainingState(net, history, epochs)
        with self.backend.active():
            # The network has copies, so that no step overwrites what it holds.
            self.good = self.before = net.parameters
            self.parameters = self._copy(net.parameters)
            try:
                hooks.call(self.callbacks, "on_fit_begin", report)
                self.parameters = self._copy(net.parameters)
                self.state = self.optimizer.start(self.parameters, self.backend.xp.zeros_like)
                self.progress.start(epochs, self.data.x.shape[0])
                for epoch in range(1, epochs + 1):
                    self._epoch(epoch, report)
                    report.epoch = epoch
                    self.progress.epoch(report)
                    patience_is_out = watch is not None and watch.wants_stop(report, self._measured)
                    callback_stops = hooks.call(self.callbacks, "on_epoch_end", report)
                    if self.callbacks:  # they may have given the network other parameters
                        self.parameters = self._copy(net.parameters)
                    if callback_stops:
                        history.stop_reason = "callback"
                        break
                    if ended := self.optimizer.end(self.state):
                        history.stop_reason = ended
                        break
                    if patience_is_out:
                        history.stop_reason = "early_stopping"
                        break
            except KeyboardInterrupt:
                history.stop_reason = "interrupted"
                net.parameters = self._copy(self.parameters) if self._finite(self.parameters) else self.before
            finally:
                self.progress.stop()
            if watch is not None and watch.parameters is not None:
                net.parameters, history.best_epoch = watch.parameters, watch.best_epoch
            memory = self.backend.memory()
            history.peak_memory = None if memory is None else memory.peak
            hooks.call(self.callbacks, "on_fit_end", report)
        return history

    def _epoch(self, epoch: int, report: TrainingState) -> None:
        """Run one epoch and write it into the history, the whole of it or nothing."""
        began = perf_counter()
        # Parameters whose cost was seen to be finite, and those this epoch starts with, whose cost it will see.
        self.good, self.before = self.before, self.net.parameters
        order, windows = self.order.epoch(self.rng)
        self.n_batches = len(windows)
        done = Done([], [], [])
        with closing(self.rows.stretches(order, windows)) as stretches:
            for stretch in stretches:
                self._steps(stretch, report, done)
        costs, weights, seen = done
        learning_rate = float(self.schedule(report.n_updates - 1))
        shares = [float(w.stop - w.start) for w in windows] if not weights else read(self.backend, weights)
        values = read(self.backend, costs)  # here an epoch waits for the device
        self._refuse_divergence(epoch, values, report)
        self.net.parameters = self._copy(self.parameters)
        validation_cost, metrics = self._evaluate(seen)
        if validation_cost is not None and not isfinite(validation_cost):
            self._diverged(epoch, self.n_batches, f"the validation cost is {validation_cost}", report, self.before)
        cost_of_epoch = sum(w * j for w, j in zip(shares, values, strict=True)) / sum(shares)
        self.schedule.observe(cost_of_epoch if validation_cost is None else validation_cost)
        self.history.append(
            cost=cost_of_epoch,
            validation_cost=validation_cost,
            metrics=metrics,
            learning_rate=learning_rate,
            seconds=perf_counter() - began,
        )

    def _steps(self, stretch: Stretch, report: TrainingState, done: Done) -> None:
        """Do the steps of a stretch."""
        data, order, windows = stretch
        xp, gather = self.backend.xp, self.operations.gather
        collects = bool(self.metrics) and self.validation is None
        ahead = 0
        for ran in () if collects else self._runs(stretch, report):
            self.parameters, self.state = ran.parameters, ran.state
            done.costs.append(ran.costs)
            done.weights.extend([] if ran.weights is None else [ran.weights])
            ahead += ran.steps
            report.n_updates += ran.steps
            self.progress.advance(ran.rows)
        for window in windows[ahead:]:
            batch, some = (in_order(data, window), None) if order is None else (data, order[window])
            masks = dropout_masks(self.masks, self.step, report.n_updates, window.stop - window.start)
            hyper = self.optimizer.hyper(report.n_updates + 1, float(self.schedule(report.n_updates)))
            report.n_updates += 1
            self.parameters, self.state, cost, a = self.step(self.parameters, self.state, hyper, batch, some, masks)
            done.costs.append(cost)
            if batch.weight is not None or collects:
                y, weight = batch[1:] if some is None else (gather(part, some) for part in batch[1:])
                if weight is not None:
                    done.weights.append(xp.sum(weight))
                if collects:
                    done.seen.append(Batch(xp.astype(a, a.dtype, copy=True), y, weight))
            self.progress.advance(window.stop - window.start)

    def _runs(self, stretch: Stretch, report: TrainingState) -> Iterator[Run]:
        """Return the runs of steps at the front of a stretch, each of the parameters the one before ended with."""

        def hyper(t: int) -> tuple[float, ...]:
            return self.optimizer.hyper(t + 1, float(self.schedule(t)))

        def carried() -> tuple[Parameters, tuple[Parameters, ...], int]:
            return self.parameters, self.state, report.n_updates

        return runs(self.backend, self.step, *stretch, carried, hyper, self.masks)

    def _refuse_divergence(self, epoch: int, costs: list[float], report: TrainingState) -> None:
        """Raise if a cost of the epoch, or what its last update made of the parameters, is not finite."""
        for batch, value in enumerate(costs, start=1):
            if not isfinite(value):
                # At the first batch it is the parameters the epoch started with that are no good.
                kept = self.good if batch == 1 else self.before
                self._diverged(epoch, batch, f"the cost is {value}", report, kept)
        if not self._finite(self.parameters):
            what = "a parameter is not finite after the update"
            self._diverged(epoch, self.n_batches, what, report, self.before)

    def _diverged(self, epoch: int, batch: int, what: str, report: TrainingState, kept: Parameters) -> None:
        """Raise, with the network at the parameters `kept`, or at the best that early stopping has."""
        finished = epoch - 1 if kept is self.before else epoch - 2
        name = f"of the end of epoch {finished}" if finished > 0 else "it started with"
        if self.watch is not None and self.watch.parameters is not None:
            kept, self.history.best_epoch = self.watch.parameters, self.watch.best_epoch
            name = f"of the best epoch, {self.history.best_epoch}"
        self.net.parameters = kept
        self.history.stop_reason = "diverged"
        raise DivergenceError(
            f"the training diverged: at epoch {epoch}, batch {batch} of {self.n_batches}, {what}. "
            f"{self.optimizer.remedy(self.schedule(report.n_updates - 1))} The network has the parameters {name}.",
            epoch=epoch,
            batch=batch,
            history=self.history,
        )

    def _evaluate(self, seen: list[Batch]) -> tuple[float | None, dict[str, float]]:
        """Return the validation cost and the metrics: of the validation data, else of what the epoch has seen."""
        xp, to_numpy, cost = self.backend.xp, self.backend.to_numpy, None
        if self.validation is not None:
            cost_array, a = evaluate(self.operations, self.net.architecture, self.net.parameters, *self.validation)
            cost = float(to_numpy(cost_array))
            outputs = Batch(a, self.validation.y, self.validation.weight)
        elif self.metrics:
            outputs = Batch(
                *(
                    None if column[0] is None else xp.concat(column, axis=0)
                    for column in map(list, zip(*seen, strict=True))
                )
            )
        metrics = {metric.name: float(to_numpy(metric(*outputs, xp))) for metric in self.metrics}
        return cost, metrics

    def _measured(self) -> Parameters:
        """Return a copy of the parameters an epoch's figures belong to.

        Those of the validation data belong to its end. Those of its own steps were measured before each update: with
        one batch an epoch that is its start, with many the end is as near as the start, and further on.
        """
        own = self.n_batches == 1 and self.watch is not None and self.watch.of_own_steps
        return self._copy(self.before if own else self.net.parameters)

    def _copy(self, parameters: Parameters) -> Parameters:
        """Return a copy the next steps cannot overwrite (a step may donate its arguments)."""
        astype = self.backend.xp.astype
        return parameters.like(astype(leaf, leaf.dtype, copy=True) for leaf in parameters.leaves)

    def _finite(self, parameters: Parameters) -> bool:
        xp = self.backend.xp
        return holds(self.backend, xp.stack([xp.all(xp.isfinite(leaf)) for leaf in parameters.leaves]))
