"""The report on a training: its results as plain data, and printed as tables."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from retroprop.cli.errors import listed
from retroprop.cli.printed_tables import TITLES, figures, quantity, rows_table
from retroprop.cli.train import Trained
from retroprop.functions.names import in_words

_ENDS = {
    "epochs": "all epochs",
    "early_stopping": "stopped early",
    "interrupted": "interrupted by Ctrl-C",
    "converged": "converged",
    "stalled": "no lower cost was found",
}
_PARTS = {"training": "training", "validation": "validation", "held_out": "held-out"}


def plain(trained: Trained, picture: Path | None) -> dict[str, Any]:
    """Return the results as a dict that JSON can hold."""
    net, history, target = trained.net, trained.history, trained.card.target
    architecture, seconds = net.architecture, sum(history.seconds)
    return {
        "data": trained.options.data,
        "rows": trained.table.n_rows,
        "features": len(trained.table.feature_names),
        "target": target.name,
        "task": target.task,
        "classes": list(target.classes),
        "layer_sizes": list(net.layer_sizes),
        "hidden": [activation.name for activation in architecture.hidden],
        "output": architecture.output.activation.name,
        "loss": architecture.output.loss.name,
        "parameters": net.n_parameters,
        "dtype": net.dtype,
        "backend": str(net.backend),
        "device": net.backend.device_name() or str(net.backend.device),
        "optimizer": trained.options.optimizer,
        "batch_size": trained.batch_size,
        "seed": trained.options.seed,
        "epochs": len(history),
        "best_epoch": history.best_epoch,
        "stop_reason": history.stop_reason,
        "seconds": seconds,
        "samples_per_second": int(trained.parts.training.size) * len(history) / seconds if seconds else None,
        "part_rows": {part: int(trained.rows(part).size) for part in _PARTS},
        "scores": {part: trained.scores(part) for part in _PARTS},
        "model": str(trained.options.output),
        "picture": None if picture is None else str(picture),
    }


def show(console: Console, results: dict[str, Any]) -> None:
    """Print the results of `plain`: the network and its training, the scores, and the files written."""
    layers = "-".join(map(str, results["layer_sizes"]))
    functions = [*filter(None, [in_words(results["hidden"])]), results["output"]]
    speed = results["samples_per_second"]
    ended = _ENDS[results["stop_reason"]]
    if results["best_epoch"] is not None:
        ended += f", the best was epoch {results['best_epoch']}"
    console.print(
        rows_table(
            f"Trained on {results['data']}",
            {
                "Data": f"{results['rows']:,} rows, {results['features']:,} features",
                "Task": _task(results),
                "Network": f"{layers} ({', '.join(functions)}), {results['parameters']:,} parameters",
                "Learning": f"{results['loss']} by {results['optimizer']}, batches of {results['batch_size']}",
                "Backend": f"{results['backend']} on {results['device']}, {results['dtype']}",
                "Epochs": f"{results['epochs']} ({ended})",
                "Time": f"{results['seconds']:.2f} s" + (f", {speed:,.0f} samples/s" if speed else ""),
            },
        )
    )
    console.print(_scores(results))
    console.print(f"Model    {results['model']}", soft_wrap=True, highlight=False, markup=False)
    if results["picture"] is not None:
        console.print(f"Picture  {results['picture']}", soft_wrap=True, highlight=False, markup=False)


def _task(results: dict[str, Any]) -> str:
    if results["task"] == "regression":
        return f'regression of "{results["target"]}"'
    classes = results["classes"]
    return f'classification of "{results["target"]}", {len(classes)} classes: {listed(map(str, classes), 10)}'


def _scores(results: dict[str, Any]) -> RichTable:
    """Return the table of metrics: one row per part of the data, the held-out part in bold."""
    parts = {part: scores for part, scores in results["scores"].items() if scores is not None}
    table = RichTable(box=box.ROUNDED, header_style="bold")
    table.add_column("Part")
    table.add_column("Rows", justify="right")
    names = list(next(iter(parts.values())))
    for name in names:
        table.add_column(TITLES[name], justify="right")
    for part, scores in parts.items():
        table.add_row(
            _PARTS[part],
            quantity(results["part_rows"][part]),
            *(figures(name, scores[name]) for name in names),
            style="bold green" if part == "held_out" else "",
        )
    return table
