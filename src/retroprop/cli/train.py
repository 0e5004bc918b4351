"""`retroprop train`: reads DATA, trains a network, evaluates it and saves it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.cli.data_sources import read_table
from retroprop.cli.destinations import check_destination, check_picture
from retroprop.cli.errors import CommandError, near_match
from retroprop.cli.evaluation import METRICS, metric_of, outputs_of, scores
from retroprop.cli.model_card import ModelCard
from retroprop.cli.network_options import hidden_sizes, names_of
from retroprop.cli.preprocessing import Preprocessing
from retroprop.cli.splitting import set_aside
from retroprop.cli.table import DataTable, Selection
from retroprop.cli.targets import TASKS, TargetColumn, choose_task

SCHEDULES = ("cosine", "constant")
# A learning rate that falls to 0 may start higher than a constant one.
_START_FACTOR = 3.0
_VALIDATION_FRACTION = 0.15  # of the rows that are not held out, for early stopping


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `retroprop train`, named as on the command line; see its help."""

    data: str
    selection: Selection
    task: str | None
    hidden: str
    activation: str
    loss: str | None
    initializer: str
    optimizer: str
    learning_rate: float | None
    schedule: str | None
    epochs: int | None
    batch_size: int | None
    dropout: float
    l2: float
    l1: float
    clip_norm: float | None
    early_stopping: bool
    patience: int
    test_size: float
    seed: int
    dtype: str
    backend: str | None
    output: Path
    picture: Path | None
    progress: bool


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The rows of the table by their use, as indices."""

    training: NDArray[np.intp]
    validation: NDArray[np.intp]
    held_out: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of a training."""

    options: TrainOptions
    table: DataTable
    card: ModelCard
    parts: Parts
    batch_size: int
    net: rp.Network
    history: rp.History
    outputs: NDArray[Any]
    encoded: NDArray[Any]

    def rows(self, part: str) -> NDArray[np.intp]:
        """Return the rows of a part: "training", "validation" or "held_out"."""
        found: NDArray[np.intp] = getattr(self.parts, part)
        return found

    def scores(self, part: str) -> dict[str, float] | None:
        """Return the metrics on a part, or None for a part without rows."""
        rows = self.rows(part)
        if not rows.size:
            return None
        return scores(self.card.target, self.outputs[rows], self.encoded[rows])


def train(options: TrainOptions) -> Trained:
    """Read the data, train the network, evaluate it, and save it.

    Raises
    ------
    CommandError, ValueError, TypeError
        For wrong input, before any training.
    DivergenceError
        If the training diverges.
    """
    _check(options)
    table = read_table(options.data, options.selection)
    task = choose_task(table, options.task)
    target, encoded, parts = _divide(options, table, task)
    preprocessing = Preprocessing.fit(table, parts.training)
    x = preprocessing(table)
    net = _network(options, x.shape[1], target)
    y = _rows_of_targets(net, target, encoded)
    full_batch = rp.optimizers.get(options.optimizer).full_batch
    n_training = int(parts.training.size)
    batch_size = options.batch_size or (n_training if full_batch else default_batch_size(n_training))
    steps = -(-n_training // batch_size)
    # A small data set has few steps per epoch: more epochs then cost little, and are needed to reach 1000 updates.
    epochs = options.epochs or max(60, -(-1000 // steps))
    watched = parts.validation if parts.validation.size else parts.held_out
    history = rp.fit(
        net,
        x[parts.training],
        y[parts.training],
        optimizer=_optimizer(options, epochs * steps),
        epochs=epochs,
        batch_size=batch_size,
        validation_data=(x[watched], y[watched]) if watched.size else None,
        metrics=[metric_of(METRICS[task][0])],
        early_stopping=rp.EarlyStopping(patience=options.patience) if options.early_stopping else None,
        clip_norm=options.clip_norm,
        seed=options.seed,
        progress=options.progress,
    )
    card = ModelCard(
        data=options.data,
        features=options.selection.features,
        dropped=table.dropped,
        preprocessing=preprocessing,
        target=target,
    )
    rp.save(net, options.output, metadata=card.to_metadata())
    return Trained(
        options=options,
        table=table,
        card=card,
        parts=parts,
        batch_size=batch_size,
        net=net,
        history=history,
        outputs=outputs_of(net, x),
        encoded=encoded,
    )


def default_batch_size(n_rows: int) -> int:
    """Return a power of two near 1/50 of the rows, from 16 to 512: enough updates per epoch at any number of rows."""
    return int(2 ** np.clip(np.round(np.log2(max(n_rows, 1) / 50)), 4, 9))


def _check(options: TrainOptions) -> None:
    """Check the options as far as possible before the data are read."""
    for option, value, accepted in (("--schedule", options.schedule, SCHEDULES), ("--task", options.task, TASKS)):
        if value is not None and value not in accepted:
            raise CommandError(f'{option} "{value}": it is {" or ".join(accepted)}.{near_match(value, accepted)}')
    for option, count in (("--epochs", options.epochs), ("--batch-size", options.batch_size)):
        if count is not None and count < 1:
            raise CommandError(f"{option} must be 1 or above, not {count}.")
    if options.patience < 1:
        raise CommandError(f"--patience must be 1 or above, not {options.patience}.")
    if options.seed < 0:
        raise CommandError(f"--seed must be 0 or above, not {options.seed}.")
    if not 0.0 <= options.test_size < 1.0:
        raise CommandError(
            f"--test-size must be in [0, 1), the fraction of the rows held out; not {options.test_size:g}."
        )
    for path, option in ((options.output, "--output"), (options.picture, "--picture")):
        if path is not None:
            check_destination(path, option=option, not_over=options.data)
    if options.picture is not None:
        check_picture(options.picture, option="--picture")
    if options.picture is not None and options.picture.resolve() == options.output.resolve():
        raise CommandError(f'--output and --picture are the same file, "{options.output}".')


def _divide(options: TrainOptions, table: DataTable, task: str) -> tuple[TargetColumn, NDArray[Any], Parts]:
    """Split the rows, and estimate the target's scale from the training rows."""
    # A random stream separate from that of the parameters and batches, which the seed itself starts.
    rng = np.random.default_rng((options.seed, 1))
    classes = None
    if task == "classification":
        target = TargetColumn.of_classes(table)
        classes = target.encode(table)
    rows = np.arange(table.n_rows)
    rest, held_out = set_aside(rows, classes, options.test_size, rng)
    fraction = _VALIDATION_FRACTION if options.early_stopping else 0.0
    training, validation = set_aside(rest, None if classes is None else classes[rest], fraction, rng)
    for part, found, wanted in (
        ("training", training.size, True),
        ("held-out test", held_out.size, options.test_size > 0.0),
        ("validation", validation.size, fraction > 0.0),
    ):
        if wanted and found < 2:
            raise CommandError(
                f"{table.source} has {table.n_rows} rows, which leaves {found} for the {part} part; it needs at least "
                f"two. (--test-size 0 holds no rows out.)"
            )
    if task == "regression":
        loss = rp.losses.get(options.loss or "squared_error")
        if loss.target_range[0] == 0.0:
            TargetColumn.check_not_negative(table, loss.name)
        target = TargetColumn.of_numbers(table, training, standardised=loss.target_range[0] < 0.0)
    return target, target.encode(table), Parts(training=training, validation=validation, held_out=held_out)


def _network(options: TrainOptions, n_inputs: int, target: TargetColumn) -> rp.Network:
    """Return the network for the task: the loss determines the number of outputs and their activation."""
    k = len(target.classes)
    loss = rp.losses.get(options.loss or ("cross_entropy" if k else "squared_error"))
    if k:
        n_outputs, output = (1, loss.link) if k == 2 and loss.link == "sigmoid" else (k, "softmax")
        output = "sigmoid" if loss.link == "sigmoid" else output
    elif "regression" not in loss.tasks:
        raise CommandError(
            f"--loss {loss.name} is for classification; this is a regression (--task classification changes that)."
        )
    else:
        n_outputs, output = 1, "exp" if loss.target_range[0] == 0.0 else "identity"
    sizes = hidden_sizes(options.hidden, option="--hidden")
    return rp.Network(
        [n_inputs, *sizes, n_outputs],
        hidden=names_of(options.activation, len(sizes), option="--activation"),
        output=output,
        loss=loss,
        initializer=options.initializer,
        l2=options.l2,
        l1=options.l1,
        dropout=options.dropout,
        seed=options.seed,
        dtype=options.dtype,
        backend=options.backend,
    )


def _rows_of_targets(net: rp.Network, target: TargetColumn, encoded: NDArray[Any]) -> NDArray[Any]:
    """Return the targets in the form that the loss requires: class indices, one-hot rows, or numbers."""
    n_outputs = net.layer_sizes[-1]
    if not target.classes or net.architecture.output.loss.takes_indices or n_outputs == 1:
        return encoded
    one_hot: NDArray[Any] = np.eye(n_outputs)[encoded]
    return one_hot


def _optimizer(options: TrainOptions, n_updates: int) -> Any:
    """Return the optimizer with its learning rate: constant, or falling along a cosine, to 0 after the last update."""
    rule: Any = rp.optimizers.get(options.optimizer)
    if isinstance(rule, rp.optimizers.LBFGS):
        for option, given in (("--learning-rate", options.learning_rate), ("--schedule", options.schedule)):
            if given is not None:
                raise CommandError(
                    f"{option}: lbfgs has no learning rate; a line search finds the length of each step."
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
