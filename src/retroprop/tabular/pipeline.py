"""From a table and its schema to a model: rows divided, columns preprocessed, network trained, parts evaluated."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.card import ModelCard, read_by
from retroprop.tabular.errors import DataError, quoted
from retroprop.tabular.evaluation import EvaluatedPart, usual, verdict
from retroprop.tabular.model import TabularModel
from retroprop.tabular.preprocessing import Preprocessing, described, grouped
from retroprop.tabular.raw import RawTable
from retroprop.tabular.raw_target import RawTarget
from retroprop.tabular.report import PARTS, Report
from retroprop.tabular.schema import Schema
from retroprop.tabular.splitting import set_aside
from retroprop.tabular.targets import TargetColumn, choose_task
from retroprop.tabular.training import VALIDATION_FRACTION, Trained, TrainingOptions, loss_of, outputs_of, train
from retroprop.tabular.typed import Typed


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows of the table by their use, as indices."""

    training: NDArray[np.intp]
    validation: NDArray[np.intp]
    held_out: NDArray[np.intp]


def fitted(
    options: TrainingOptions, raw: RawTable, schema: Schema, validation: Any, max_memory: float | None
) -> TabularModel:
    """Train and evaluate a model on a table that was read.

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
        For bad data or options, before any training.
    DivergenceError
        If the training diverges.
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
    watched = next((inputs[part] for part in ("validation", "held_out") if len(inputs[part][1])), None)
    trained = train(options, target, *inputs["training"], watched)
    parts = {
        part: EvaluatedPart(
            target=target,
            outputs=outputs_of(trained.network, some) if len(some) else np.zeros((0, 1)),
            encoded=encoded,
        )
        for part, (some, encoded) in inputs.items()
    }
    numbers = _numbers(card, trained, parts, remarks) | {
        "rows": typed.n_rows,
        "left_out": _left_out(schema, preprocessing),
        "filled": _filled(preprocessing, typed),
    }
    return TabularModel(network=trained.network, card=card.with_report(Report(numbers)), training=trained, parts=parts)


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


def _left_out(schema: Schema, preprocessing: Preprocessing) -> list[dict[str, str]]:
    """Return the columns that are no inputs, each with its reason: dropped, or the kind of the column."""
    used = {schema.target, *(column.name for column in preprocessing.columns)}
    others = [column for column in schema.columns if column.name not in used]
    return [
        *({"column": name, "reason": "dropped"} for name in schema.dropped),
        *(
            {"column": column.name, "reason": "empty in training" if column.is_used else column.kind}
            for column in others
        ),
    ]


def _filled(preprocessing: Preprocessing, typed: Typed) -> list[dict[str, Any]]:
    """Return the columns with missing values, each with the value that stands for them."""
    missing = preprocessing.missing(typed)
    return [
        {"column": column.name, "missing": missing[column.name], "rows": typed.n_rows, "with": described(column)}
        for column in preprocessing.columns
        if column.name in missing
    ]


def _numbers(
    card: ModelCard,
    trained: Trained,
    parts: dict[str, EvaluatedPart],
    remarks: list[str],
) -> dict[str, Any]:
    """Return the numbers of the report."""
    net, history, target, options = trained.network, trained.history, card.target, trained.options
    seconds = sum(history.seconds)
    shown = next(part for part in ("held_out", "validation", "training") if parts[part].n_rows)
    always = usual(target, parts["training"].encoded)
    remarks += [f"column {quoted(one.name)}: {words}" for one in card.preprocessing.columns if (words := grouped(one))]
    return {
        "data": card.data,
        "features": len(card.preprocessing.columns),
        "inputs": net.layer_sizes[0],
        "target": target.name,
        "task": target.task,
        "classes": list(target.classes),
        "remarks": remarks,
        "layer_sizes": list(net.layer_sizes),
        "hidden": [activation.name for activation in net.architecture.hidden],
        "output": net.architecture.output.activation.name,
        "loss": net.architecture.output.loss.name,
        "parameters": net.n_parameters,
        "dtype": net.dtype,
        "backend": str(net.backend),
        "device": net.backend.device_name() or str(net.backend.device),
        "optimizer": options.optimizer,
        "batch_size": trained.batch_size,
        "class_weight": None if options.class_weight is None else str(options.class_weight),
        "seed": options.seed,
        "epochs": len(history),
        "best_epoch": history.best_epoch,
        "stop_reason": history.stop_reason,
        "seconds": seconds,
        "samples_per_second": parts["training"].n_rows * len(history) / seconds if seconds else None,
        "part_rows": {part: found.n_rows for part, found in parts.items()},
        "scores": {part: found.scores() for part, found in parts.items()},
        "baseline": {
            "words": quoted(str(target.classes[always])) if target.classes else f"the mean, {always:.6g}",
            **{part: found.baseline(always) for part, found in parts.items()},
        },
        "verdict": verdict(parts[shown], always),
        "per_class": parts[shown].classes(),
        "calibration": parts[shown].calibration(),
    }
