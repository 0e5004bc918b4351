"""From a table and its schema to a model: rows divided, columns preprocessed, network trained, parts evaluated."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.card import ModelCard, read_by
from retroprop.tabular.errors import DataError, quoted
from retroprop.tabular.evaluation import EvaluatedPart
from retroprop.tabular.model import TabularModel
from retroprop.tabular.preprocessing import Preprocessing
from retroprop.tabular.raw import RawTable
from retroprop.tabular.raw_target import RawTarget
from retroprop.tabular.report import PARTS
from retroprop.tabular.results import report_on
from retroprop.tabular.schema import Schema
from retroprop.tabular.search import searched
from retroprop.tabular.splitting import set_aside
from retroprop.tabular.targets import TargetColumn, choose_task
from retroprop.tabular.training import VALIDATION_FRACTION, Trained, loss_of, member_outputs_of, train
from retroprop.tabular.training_options import TrainingOptions
from retroprop.tabular.typed import Typed


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows of the table by their use, as indices."""

    training: NDArray[np.intp]
    validation: NDArray[np.intp]
    held_out: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class PreparedTable:
    """A table as a training takes it.

    Attributes
    ----------
    card : ModelCard
        Without a report.
    typed : Typed
        The table.
    inputs : dict
        Of each part of the rows the inputs and the encoded targets.
    remarks : list of str
        On the data.
    """

    card: ModelCard
    typed: Typed
    inputs: dict[str, tuple[NDArray[np.float64], NDArray[Any]]]
    remarks: list[str]


def prepared(
    options: TrainingOptions, raw: RawTable, schema: Schema, validation: Any, max_memory: float | None
) -> PreparedTable:
    """Divide the rows of a table that was read, and encode them.

    Parameters
    ----------
    options : TrainingOptions
        Checked.
    raw : RawTable
        The table.
    schema : Schema
        Found in it.
    validation : path, frame or None
        A second table, watched during the training.
    max_memory : float or None
        For reading it, in GiB.

    Raises
    ------
    DataError, ValueError, TypeError
        For bad data or options.
    """
    typed = schema.typed(raw, want_target=True)
    wanted = _target_of(typed, raw.source)
    task, remark = choose_task(wanted, options.task, raw.source)
    remarks = [
        *dict.fromkeys((*schema.notes, *typed.notes)),
        *([remark] if remark and raw.layout.format != "built-in" else []),
    ]
    if schema.target_column.kind == "date":
        remarks.append(f"the target {quoted(wanted.name)} holds dates; they are learned as seconds since 1970")
    if wanted.missing.any():
        if options.missing == "refuse":
            raise DataError(f"{typed.where(int(np.argmax(wanted.missing)), wanted.name)}: the target is missing.")
        remarks.append(f"{int(wanted.missing.sum()):,} of {typed.n_rows:,} rows have no target and are left out")
    classes = TargetColumn.of_classes(wanted) if task == "classification" else None
    rows = _divided(options, raw, wanted, classes, watched_elsewhere=validation is not None)
    target = classes or TargetColumn.of_numbers(wanted, rows.training, loss_of(options.loss, task), typed.where)
    preprocessing = Preprocessing.of_schema(schema, typed, rows.training, options.missing)
    x, y = preprocessing(typed), target.encode(wanted)
    inputs = {part: (x[getattr(rows, part)], y[getattr(rows, part)]) for part in PARTS}
    card = ModelCard(
        data=raw.source, schema=schema, preprocessing=preprocessing, target=target, missing=options.missing
    )
    if validation is not None:
        inputs["validation"] = _other_table(card, validation, max_memory)
    return PreparedTable(card=card, typed=typed, inputs=inputs, remarks=remarks)


def fitted(options: TrainingOptions, table: PreparedTable) -> TabularModel:
    """Train and evaluate a model.

    Raises
    ------
    ValueError, TypeError
        For bad options, before any training.
    DivergenceError
        If the training diverges; after the first epoch its `model` has the last good parameters.
    """
    card, inputs, target = table.card, table.inputs, table.card.target
    watched = next((inputs[part] for part in ("validation", "held_out") if len(inputs[part][1])), None)
    found = searched(options, target, *inputs["training"]) if options.search else None
    trained = train(options if found is None else found.best, target, *inputs["training"], watched)
    parts = {part: _evaluated(trained, target, some, encoded) for part, (some, encoded) in inputs.items()}
    report = report_on(card, table.typed, trained, parts, table.remarks, found)
    model = TabularModel(network=trained.network, card=card.with_report(report), training=trained, parts=parts)
    if trained.divergence is not None:
        trained.divergence.model = model
        raise trained.divergence
    return model


def _evaluated(trained: Trained, target: TargetColumn, x: NDArray[np.float64], encoded: NDArray[Any]) -> EvaluatedPart:
    if not len(x):
        return EvaluatedPart(target=target, outputs=np.zeros((0, 1)), encoded=encoded)
    members = member_outputs_of(trained.network, x)
    several = members if trained.options.ensemble is not None else None
    return EvaluatedPart(target=target, outputs=members.mean(axis=0), encoded=encoded, members=several)


def _target_of(typed: Typed, source: str) -> RawTarget:
    if typed.target is None:
        raise DataError(f"{source} has no target.")
    return typed.target


def _divided(
    options: TrainingOptions,
    raw: RawTable,
    wanted: RawTarget,
    classes: TargetColumn | None,
    *,
    watched_elsewhere: bool,
) -> _Rows:
    """Split the rows that have a target."""
    # A random stream separate from that of the parameters and batches, which the seed itself starts.
    rng = np.random.default_rng((options.seed, 1))
    rows = np.flatnonzero(~wanted.missing)
    encoded = classes.encode(wanted) if classes else None
    rest, held_out = set_aside(rows, None if encoded is None else encoded[rows], options.test_size, rng)
    fraction = VALIDATION_FRACTION if options.stops_early and not watched_elsewhere else 0.0
    training, validation = set_aside(rest, None if encoded is None else encoded[rest], fraction, rng)
    for part, found, needed in (
        ("training", training.size, True),
        ("held-out test", held_out.size, options.test_size > 0.0),
        ("validation", validation.size, fraction > 0.0),
    ):
        if needed and found < 2:
            raise DataError(
                f"{raw.source} has {len(rows)} rows, which leaves {found} for the {part} part; it needs at least "
                f"two. (--test-size 0 holds no rows out.)"
            )
    return _Rows(training=training, validation=validation, held_out=held_out)


def _other_table(card: ModelCard, data: Any, max_memory: float | None) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return inputs and targets of validation data."""
    typed, _ = read_by(card, data, max_memory=max_memory)
    wanted = _target_of(typed, typed.source)
    encoded = card.target.encode(wanted)
    known = np.flatnonzero(~wanted.missing)
    if card.target.classes and (encoded[known] < 0).any():
        row = int(known[np.argmax(encoded[known] < 0)])
        raise DataError(f"{typed.where(row, wanted.name)}: {wanted.labels[row]!r} is no class of the training data.")
    if known.size < 2:
        raise DataError(f"{typed.source} has {known.size} rows with a target; validation needs at least two.")
    return card.preprocessing(typed)[known], encoded[known]
