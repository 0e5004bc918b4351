"""The epoch loop."""

from math import inf, isfinite
from time import perf_counter
from typing import Any

from retroprop.backends import host
from retroprop.backends.batch import Batch
from retroprop.backends.intake import holds
from retroprop.core.forward import forward
from retroprop.core.parameters import Parameters
from retroprop.functions import metrics as metric_table
from retroprop.functions import schedules
from retroprop.functions.metrics import Metric
from retroprop.functions.types import Array, RandomGenerator
from retroprop.network import Network
from retroprop.training import callbacks as hooks
from retroprop.training import optimizers
from retroprop.training.batches import BatchOrder, Minibatches, dropout_masks, rows
from retroprop.training.callbacks import EarlyStopping, TrainingState
from retroprop.training.history import DivergenceError, History
from retroprop.training.optimizers import Optimizer
from retroprop.training.progress import Silence, display
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
) -> History:
    """Train `net` in place.

    Parameters
    ----------
    net : Network
        What is trained.
    x : array (m, n_1)
        One observation a row.
    y : array (m, n_L), or (m,)
        Target rows; class indices for cross_entropy.
    optimizer : str or object
        "sgd", "rmsprop", "adam", "adamw", "lion", or one of `retroprop.optimizers` with its own learning rate.
    epochs : int
        How often all rows are seen.
    batch_size : int, optional
        Rows a step; None is the full batch, as in the source text.
    sample_weight : array (m,), optional
        Weights of the observations, 0 or above.
    shuffle : bool
        Whether each epoch has its own order of the rows.
    seed : int, Generator or None
        Draws the orders and the dropout masks; the same seed gives the same ones on every backend.
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

    Returns
    -------
    History
        Ctrl-C ends the training with what it has come to, `stop_reason` "interrupted".

    Raises
    ------
    TypeError, ValueError
        For bad arguments or data, before any work.
    DivergenceError
        If a cost is NaN or inf; the network then has the parameters of the end of the epoch before.
    """
    _check_counts(epochs=epochs, batch_size=batch_size)
    for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if value is not None and not 0.0 < value < inf:
            raise ValueError(f"{name} must be above 0 and finite, or None, not {value!r}.")
    if net.parameters.thetas[0].ndim != 2:
        raise ValueError("fit trains one network; this one has model axes. Make a Network of each model.")
    data = net.batch(x, y, sample_weight, check=True)
    if data.x.ndim != 2:
        raise ValueError(f"x must have two axes, (m, {net.layer_sizes[0]}), not the shape {tuple(data.x.shape)}.")
    rule = optimizers.get(optimizer)
    training = Training(
        net,
        data,
        rule,
        bind(net.backend, net.architecture, rule, clip_norm=clip_norm, clip_value=clip_value),
        order=Minibatches(data.x.shape[0], batch_size, shuffle=shuffle),
        rng=host.generator(seed),
        validation=_validation(net, validation_data),
        metrics=_metrics(net, metrics),
        callbacks=hooks.check(callbacks),
        early_stopping=early_stopping,
        progress=display(progress),
    )
    return training.run(epochs)


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
        self.schedule = schedules.get(optimizer.learning_rate).start()
        self.history = History(metrics={metric.name: [] for metric in metrics})
        self.watch = early_stopping and early_stopping.start(validates=validation is not None, metrics=metrics)

    def run(self, epochs: int) -> History:
        """Train for so many epochs, or until something ends it."""
        net, history, watch = self.net, self.history, self.watch
        self.parameters = net.parameters
        self.state = self.optimizer.start(self.parameters, self.backend.xp.zeros_like)
        report = TrainingState(net, history, epochs)
        with self.backend.active():
            hooks.call(self.callbacks, "on_fit_begin", report)
            self.progress.start(epochs, self.data.x.shape[0])
            try:
                for report.epoch in range(1, epochs + 1):
                    self._epoch(report)
                    self.progress.epoch(report)
                    if hooks.call(self.callbacks, "on_epoch_end", report):
                        history.stop_reason = "callback"
                        break
                    if watch and watch.wants_stop(report, self._copy):
                        history.stop_reason = "early_stopping"
                        break
            except KeyboardInterrupt:
                history.stop_reason = "interrupted"
                net.parameters = self.parameters
            finally:
                self.progress.stop()
            if watch and watch.parameters is not None:
                net.parameters, history.best_epoch = watch.parameters, watch.best_epoch
            hooks.call(self.callbacks, "on_fit_end", report)
        return history

    def _epoch(self, report: TrainingState) -> None:
        """Run one epoch and write it into the history; leave the network as it was if it diverges."""
        began = perf_counter()
        before = self._copy(self.parameters)
        order, windows = self.order.epoch(self.rng)
        order = None if order is None else self.backend.asarray(order)
        costs: list[Array] = []
        weights: list[Array | float] = []
        seen: list[tuple[Array, Array, Array | None]] = []
        learning_rate = 0.0
        for window in windows:
            x, y, weight = rows(self.backend, self.data, order, window)
            m = x.shape[0]
            masks = dropout_masks(self.backend, self.net.architecture, self.net.dtype, m, self.rng)
            learning_rate = self.schedule(report.n_updates)
            hyper = self.optimizer.hyper(report.n_updates + 1, learning_rate)
            self.parameters, self.state, cost, a = self.step(self.parameters, self.state, hyper, x, y, weight, masks)
            report.n_updates += 1
            costs.append(cost)
            weights.append(float(m) if weight is None else self.backend.xp.sum(weight))
            if self.metrics and self.validation is None:
                seen.append((a, y, weight))
            self.progress.advance(m)
        cost_of_epoch = self._read_costs(costs, weights, report, before)
        self.net.parameters = self.parameters
        history = self.history
        history.cost.append(cost_of_epoch)
        history.learning_rate.append(learning_rate)
        self._evaluate(seen)
        self.schedule.observe((history.validation_cost or history.cost)[-1])
        history.seconds.append(perf_counter() - began)

    def _read_costs(self, costs: list[Array], weights: list[Any], report: TrainingState, before: Parameters) -> float:
        """Return Σ W_b J_b / Σ W_b; the one place an epoch waits for the device."""
        stack, to_numpy = self.backend.xp.stack, self.backend.to_numpy
        values = to_numpy(stack(costs)).tolist()
        shares = weights if isinstance(weights[0], float) else to_numpy(stack(weights)).tolist()
        for batch, value in enumerate(values, start=1):
            if not isfinite(value):
                self._diverged(value, batch, len(values), report, before)
        if not self._finite(self.parameters):
            self._diverged("not finite after its update", len(values), len(values), report, before)
        return sum(w * j for w, j in zip(shares, values, strict=True)) / sum(shares)  # type: ignore[no-any-return]

    def _diverged(self, what: Any, batch: int, n_batches: int, report: TrainingState, before: Parameters) -> None:
        self.net.parameters = self.parameters = before
        self.history.stop_reason = "diverged"
        kept = f"of the end of epoch {report.epoch - 1}" if report.epoch > 1 else "it started with"
        raise DivergenceError(
            f"the training diverged: at epoch {report.epoch}, batch {batch} of {n_batches}, the cost is {what}. "
            f"Lower the learning rate (it was {self.schedule(report.n_updates - 1):g}), pass clip_norm=1.0, or "
            f"standardise the data. The network has the parameters {kept}.",
            epoch=report.epoch,
            batch=batch,
            history=self.history,
        )

    def _evaluate(self, seen: list[tuple[Array, Array, Array | None]]) -> None:
        """Write the validation cost and the metrics of the epoch into the history."""
        xp, to_numpy, history = self.backend.xp, self.backend.to_numpy, self.history
        if self.validation is not None:
            x, y, weight = self.validation
            net, operations = self.net, self.operations
            trace = forward(operations, net.architecture, net.parameters, x)
            output = net.architecture.output
            cost, _ = operations.output(len(trace.a) - 1, trace.z[-1], trace.a[-1], y, weight, output)
            cost = cost + operations.penalty(net.parameters.thetas, net.architecture.l2, net.architecture.l1)
            history.validation_cost.append(float(to_numpy(cost)))
            a = trace.a[-1]
        elif self.metrics:
            a, y = (xp.concat([part[i] for part in seen], axis=0) for i in (0, 1))
            weight = None if seen[0][2] is None else xp.concat([part[2] for part in seen], axis=0)
        for metric in self.metrics:
            history.metrics[metric.name].append(float(to_numpy(metric(a, y, weight, xp))))

    def _copy(self, parameters: Parameters) -> Parameters:
        """Return a copy the next steps cannot overwrite (a step may donate its arguments)."""
        astype = self.backend.xp.astype
        return parameters.like(astype(leaf, leaf.dtype, copy=True) for leaf in parameters.leaves)

    def _finite(self, parameters: Parameters) -> bool:
        xp = self.backend.xp
        return holds(self.backend, xp.stack([xp.all(xp.isfinite(leaf)) for leaf in parameters.leaves]))


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        optional = name == "batch_size"
        if value is None and optional:
            continue
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be a whole number{' or None' if optional else ''}, not {value!r}.")
        if value < 1:
            raise ValueError(f"{name} must be 1 or above, not {value!r}.")


def _validation(net: Network, validation_data: Any) -> Batch | None:
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise TypeError("validation_data must be (x, y) or (x, y, sample_weight).")
    try:
        return net.batch(*validation_data, check=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error


def _metrics(net: Network, metrics: Any) -> list[Metric]:
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    found = [metric_table.get(metric, net.architecture.output.loss) for metric in wanted]
    names = [metric.name for metric in found]
    if len(set(names)) < len(names) or {"cost", "validation_cost"} & set(names):
        raise ValueError(f"metrics must have names of their own, none of them 'cost': {', '.join(names)}.")
    return found
