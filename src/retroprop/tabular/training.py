"""The training of a network on inputs and encoded targets: its layers, its optimizer, its weights of classes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.tabular.ensembles import member_seeds, train_members
from retroprop.tabular.targets import TargetColumn
from retroprop.tabular.training_options import TrainingOptions

# The metric of each epoch, by task.
WATCHED = {"classification": "accuracy", "regression": "r2"}
_START_FACTOR = 3.0  # a learning rate that falls to 0 may start higher than a constant one
_DEFAULT_PATIENCE = 10
VALIDATION_FRACTION = 0.15  # of the rows that are not held out, for early stopping
_ROWS_AT_ONCE = 16384  # bounds the memory of a prediction


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network, with the record of its training; of an ensemble, that of the first of its `members`."""

    options: TrainingOptions
    network: rp.Network
    history: rp.History
    batch_size: int
    seconds: float
    divergence: rp.DivergenceError | None = None
    members: tuple[rp.History, ...] = ()


def train(
    options: TrainingOptions,
    target: TargetColumn,
    x: NDArray[np.float64],
    y: NDArray[Any],
    watched: tuple[NDArray[np.float64], NDArray[Any]] | None,
) -> Trained:
    """Train a network.

    Parameters
    ----------
    options : TrainingOptions
        How.
    target : TargetColumn
        The task, and the classes.
    x : float64 array (m, n_1)
        The inputs of the training rows.
    y : array (m,)
        Their targets, as encoded by `target`.
    watched : tuple of arrays, or None
        Inputs and targets that are evaluated after every epoch, for early stopping and the learning curves.

    Raises
    ------
    ValueError, TypeError
        For bad options, before any work.
    DivergenceError
        If the training diverges in its first epoch. Later the network keeps its last good parameters, and the error is
        in `Trained.divergence`.
    """
    seeds = [options.seed] if options.ensemble is None else member_seeds(options)
    nets = [network_for(replace(options, seed=seed), x.shape[1], target) for seed in seeds]
    given, batch_size = arguments_for(options, nets[0], target, y)
    weights = weights_of_classes(options.class_weight, target, y)
    given |= {
        "validation_data": _watched(nets[0], target, watched, weights),
        "metrics": [rp.metrics.METRICS[WATCHED[target.task]]()],
        "early_stopping": rp.EarlyStopping(patience=options.patience or _DEFAULT_PATIENCE)
        if options.stops_early and watched is not None
        else None,
        "progress": options.progress,
    }
    targets = targets_for(nets[0], target, y)
    if options.ensemble is not None:
        net, histories, seconds = train_members(nets, x, targets, seeds, given, options.parallel)
        return Trained(
            options=options,
            network=net,
            history=histories[0],
            batch_size=batch_size,
            members=tuple(histories),
            divergence=histories[0].error if all(one.error is not None for one in histories) else None,
            seconds=seconds,
        )
    divergence = None
    try:
        history = rp.fit(
            nets[0], x, targets, seed=options.seed, checkpoint=options.checkpoint, parallel=options.parallel, **given
        )
    except rp.DivergenceError as error:
        if not len(error.history):
            raise
        divergence, history = error, error.history
    return Trained(
        options=options,
        network=nets[0],
        history=history,
        batch_size=batch_size,
        divergence=divergence,
        seconds=sum(history.seconds),
    )


def check(options: TrainingOptions, target: TargetColumn, x: NDArray[np.float64], y: NDArray[Any]) -> None:
    """Raise the ValueError or TypeError of bad options that `train` would raise before its training."""
    arguments_for(options, network_for(options, x.shape[1], target), target, y)


def arguments_for(
    options: TrainingOptions, net: rp.Network, target: TargetColumn, y: NDArray[Any]
) -> tuple[dict[str, Any], int]:
    """Return the arguments of `rp.fit` for training targets y, and the batch size."""
    full_batch = rp.optimizers.get(options.optimizer).full_batch
    batch_size = options.batch_size or (len(y) if full_batch else default_batch_size(len(y)))
    steps = -(-len(y) // batch_size)
    # A small data set has few steps per epoch: more epochs then cost little, and are needed to reach 1000 updates.
    epochs = options.epochs or max(60, -(-1000 // steps))
    weights = weights_of_classes(options.class_weight, target, y)
    arguments: dict[str, Any] = {
        "optimizer": _optimizer(options, epochs * steps),
        "epochs": epochs,
        "batch_size": batch_size,
        "sample_weight": None if weights is None else weights[y],
        "clip_norm": options.clip_norm,
    }
    return arguments, batch_size


def outputs_of(net: rp.Network, x: NDArray[np.float64]) -> NDArray[Any]:
    """Return the outputs of `net` for inputs (m, n_1) as a NumPy array (m, n_L): of an ensemble, their mean."""
    mean: NDArray[Any] = np.mean(member_outputs_of(net, x), axis=0)
    return mean


def member_outputs_of(net: rp.Network, x: NDArray[np.float64]) -> NDArray[Any]:
    """Return the outputs (k, m, n_L) of the k members of `net`, one without a model axis, in blocks of rows."""
    parts = [
        net.backend.to_numpy(net.predict(x[start : start + _ROWS_AT_ONCE])) for start in range(0, len(x), _ROWS_AT_ONCE)
    ]
    outputs = np.concatenate(parts, axis=-2)
    return outputs if outputs.ndim == 3 else outputs[None]


def default_batch_size(n_rows: int) -> int:
    """Return a power of two near 1/50 of the rows, from 16 to 512: enough updates per epoch at any number of rows."""
    return int(2 ** np.clip(np.round(np.log2(max(n_rows, 1) / 50)), 4, 9))


def network_for(options: TrainingOptions, n_inputs: int, target: TargetColumn) -> rp.Network:
    """Return the network for the task: the loss determines the number of outputs and their activation."""
    k = len(target.classes)
    loss = loss_of(options.loss, target.task)
    if k:
        n_outputs, output = (1, loss.link) if k == 2 and loss.link == "sigmoid" else (k, "softmax")
        output = "sigmoid" if loss.link == "sigmoid" else output
    else:
        n_outputs, output = 1, "exp" if loss.target_range[0] == 0.0 else "identity"
    given: dict[str, Any] = {"hidden": options.activation, "output": output, "loss": loss}
    for name in ("initializer", "l2", "l1", "dropout", "seed", "dtype", "backend"):
        given[name] = getattr(options, name)
    return rp.Network([n_inputs, *options.hidden, n_outputs], **given)


def loss_of(given: str | None, task: str) -> Any:
    """Return the loss by its name, by default that of the task.

    Raises
    ------
    ValueError
        If it is unknown, or is not for the task.
    """
    loss = rp.losses.get(given or ("cross_entropy" if task == "classification" else "squared_error"))
    if task == "regression" and "regression" not in loss.tasks:
        raise ValueError(
            f"loss must be one for numbers, not {loss.name}, which is for classification; this is a regression. "
            f"task=classification changes that."
        )
    return loss


def targets_for(net: rp.Network, target: TargetColumn, y: NDArray[Any]) -> NDArray[Any]:
    """Return the targets in the form that the loss requires: class indices, one-hot rows, or numbers."""
    n_outputs = net.layer_sizes[-1]
    if not target.classes or net.architecture.output.loss.takes_indices or n_outputs == 1:
        return y
    one_hot: NDArray[Any] = np.eye(n_outputs)[y]
    return one_hot


def _watched(
    net: rp.Network,
    target: TargetColumn,
    watched: tuple[NDArray[np.float64], NDArray[Any]] | None,
    weights: NDArray[np.float64] | None,
) -> Any:
    if watched is None:
        return None
    x, y = watched
    data = x, targets_for(net, target, y)
    return data if weights is None else (*data, weights[y])


def weights_of_classes(given: Any, target: TargetColumn, y: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the weight of each class, or None where all are 1; "balanced" is m / (k m_c) for m_c of m rows."""
    if given is None:
        return None
    if not target.classes:
        raise ValueError(
            "class_weight is for a classification; this is a regression. task=classification changes that."
        )
    if isinstance(given, str):
        counts = np.bincount(y, minlength=len(target.classes))
        return len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    unknown = [label for label in given if label not in target.classes]
    if unknown:
        raise ValueError(f"class_weight has {unknown}, not among the classes {list(target.classes)}.")
    weights = np.asarray([float(given.get(label, 1.0)) for label in target.classes])
    if not (np.isfinite(weights).all() and (weights >= 0.0).all()):
        raise ValueError(f"class_weight must be 0 or above and finite, not {given!r}.")
    return weights


def _optimizer(options: TrainingOptions, n_updates: int) -> Any:
    """Return the optimizer with its learning rate: constant, or falling along a cosine, to 0 after the last update."""
    rule: Any = rp.optimizers.get(options.optimizer)
    if isinstance(rule, rp.optimizers.LBFGS):
        for name, given in (("learning_rate", options.learning_rate), ("schedule", options.schedule)):
            if given is not None:
                raise ValueError(
                    f"{name} must be left out: lbfgs has no learning rate; a line search finds the length of each step."
                )
        return rule
    falls = options.schedule != "constant"
    learning_rate = options.learning_rate
    if learning_rate is None:
        learning_rate = rule.learning_rate * (_START_FACTOR if falls else 1.0)
    rule = replace(rule, learning_rate=learning_rate)
    # The rule checks the number first; only then does it become the start of a schedule.
    # An update more than there are: the last would otherwise have the rate 0, and change nothing.
    return replace(rule, learning_rate=rp.schedules.Cosine(learning_rate, n_updates + 1)) if falls else rule
