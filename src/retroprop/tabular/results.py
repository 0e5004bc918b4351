"""The report on a training, made of its results."""

from collections.abc import Sequence
from typing import Any

from retroprop.tabular.card import ModelCard
from retroprop.tabular.ensembles import n_members
from retroprop.tabular.errors import quoted
from retroprop.tabular.evaluation import EvaluatedPart, usual, verdict
from retroprop.tabular.preprocessing import described, grouped
from retroprop.tabular.report import Report
from retroprop.tabular.search import Search
from retroprop.tabular.training import Trained
from retroprop.tabular.typed import Typed
from retroprop.training import History


def report_on(
    card: ModelCard,
    typed: Typed,
    trained: Trained,
    parts: dict[str, EvaluatedPart],
    remarks: list[str],
    search: Search | None = None,
) -> Report:
    """Return the report on a training.

    Parameters
    ----------
    card : ModelCard
        The model, without a report.
    typed : Typed
        The table.
    trained : Trained
        The network, and the record of its training.
    parts : dict of str to EvaluatedPart
        The parts "training", "validation" and "held_out".
    remarks : list of str
        What was unusual in the data.
    search : Search, optional
        The search that chose the options of the training.
    """
    net, history, target, options = trained.network, trained.history, card.target, trained.options
    seconds = trained.seconds
    histories = trained.members or (history,)
    epochs = sum(map(len, histories))
    shown = next(part for part in ("held_out", "validation", "training") if parts[part].n_rows)
    always = usual(target, parts["training"].encoded)
    remarks = remarks + [
        f"column {quoted(one.name)}: {words}" for one in card.preprocessing.columns if (words := grouped(one))
    ]
    remarks += _of_members(options.ensemble, trained.members)
    return Report(
        {
            "data": card.data,
            "rows": typed.n_rows,
            "features": len(card.preprocessing.columns),
            "inputs": net.layer_sizes[0],
            "target": target.name,
            "task": target.task,
            "classes": list(target.classes),
            "left_out": _left_out(card),
            "filled": _filled(card, typed),
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
            "search": None if search is None else search.to_plain(),
            "members": n_members(net) if options.ensemble is not None else None,
            "epochs": max(map(len, histories)),
            "best_epoch": history.best_epoch,
            "stop_reason": _reason(histories),
            "seconds": seconds,
            "samples_per_second": parts["training"].n_rows * epochs / seconds if seconds else None,
            "part_rows": {part: found.n_rows for part, found in parts.items()},
            "scores": {part: found.scores() for part, found in parts.items()},
            "member_scores": {part: found.member_scores() for part, found in parts.items()},
            "baseline": {
                "words": quoted(str(target.classes[always])) if target.classes else f"the mean, {always:.6g}",
                **{part: found.baseline(always) for part, found in parts.items()},
            },
            "verdict": verdict(parts[shown], always),
            "per_class": parts[shown].classes(),
            "calibration": parts[shown].calibration(),
        }
    )


def _of_members(ensemble: int | None, trained: Sequence[History]) -> list[str]:
    """Return remarks on the members of an ensemble that are not as they should be."""
    if ensemble is None:
        return []
    said, missing = [], ensemble - len(trained)
    diverged = sum(history.stop_reason == "diverged" for history in trained)
    if missing:
        said.append(f"left out of the ensemble: {missing} of {ensemble} networks, which have not finished an epoch")
    if diverged:
        said.append(f"diverged: {diverged} of {ensemble} networks, which have their last good parameters")
    return said


def _reason(histories: Sequence[History]) -> str:
    """Return the reason why a training ended; of an ensemble a signal comes first, and a divergence of some last."""
    reasons = sorted((history.stop_reason for history in histories), key="diverged".__eq__)
    return next((reason for reason in ("terminated", "interrupted") if reason in reasons), reasons[0])


def _left_out(card: ModelCard) -> list[dict[str, str]]:
    """Return the columns that are no inputs, each with its reason: dropped, or the kind of the column."""
    schema = card.schema
    used = {schema.target, *(column.name for column in card.preprocessing.columns)}
    others = [column for column in schema.columns if column.name not in used]
    return [
        *({"column": name, "reason": "dropped"} for name in schema.dropped),
        *(
            {"column": column.name, "reason": "empty in training" if column.is_used else column.kind}
            for column in others
        ),
    ]


def _filled(card: ModelCard, typed: Typed) -> list[dict[str, Any]]:
    """Return the columns with missing values, each with the value that stands for them."""
    missing = card.preprocessing.missing(typed)
    return [
        {"column": column.name, "missing": missing[column.name], "rows": typed.n_rows, "with": described(column)}
        for column in card.preprocessing.columns
        if column.name in missing
    ]
