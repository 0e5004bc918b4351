"""The tables that the commands print, and the format of their figures."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from retroprop.tabular.errors import printable
from retroprop.tabular.predictions import Predictions
from retroprop.tabular.report import TITLES, figures

_PREVIEW_ROWS = 8


def score_line(scores: Mapping[str, float | None]) -> str:
    """Format the metrics in one line."""
    return ", ".join(
        f"{TITLES[name] if name in ('r2', 'roc_auc') else TITLES[name].lower()} {figures(name, value)}"
        for name, value in scores.items()
        if name != "error"
    )


def rows_table(title: str, rows: Mapping[str, str]) -> Table:
    """Return a table of two columns, names and values."""
    table = Table(
        title=Text(printable(title)), title_justify="left", title_style="bold", box=box.ROUNDED, show_header=False
    )
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(printable(value)))
    return table


def info_tables(info: Mapping[str, Any]) -> list[Table]:
    """Return the tables of `retroprop info`: this machine, the backends, the optional packages."""
    blas = info["blas"]
    threads = f", {blas['threads']} threads" if blas["threads"] else ""
    asked = info["RETROPROP_BACKEND"]
    machine = rows_table(
        f"retroprop {info['retroprop']}",
        {
            "Python": f"{info['python']} on {info['platform']}",
            "CPU": f"{info['cpu_cores']} cores",
            "BLAS of NumPy": f"{blas['name'] or 'unknown'} {blas['version'] or ''}{threads}",
            "auto picks": info["auto"] + (f" (but RETROPROP_BACKEND={asked})" if asked else ""),
            **{name.capitalize(): said for name, said in info["cpu"].items()},
            **{f"GPU: {name}": said for name, said in info["gpu"].items()},
        },
    )
    backends = Table(title="Backends", title_justify="left", title_style="bold", box=box.ROUNDED)
    for name in ("", "Backend", "Version", "Devices, or why not"):
        backends.add_column(name, overflow="fold")
    for backend in info["backends"]:
        backends.add_row(
            _mark(backend["available"]),
            backend["name"],
            backend["version"] or "",
            Text(", ".join(backend["devices"]) if backend["available"] else backend["reason"]),
        )
    packages = Table(title="Optional packages", title_justify="left", title_style="bold", box=box.ROUNDED)
    for name in ("", "Package", "Version", "For"):
        packages.add_column(name, overflow="fold")
    for package in info["packages"]:
        packages.add_row(
            _mark(package["version"] is not None),
            package["name"],
            package["version"] or "",
            package["purpose"] + ("" if package["version"] else f': pip install "retroprop\\[{package["extra"]}]"'),
        )
    return [machine, backends, packages]


def _mark(here: bool) -> Text:
    return Text("yes", style="green") if here else Text("no", style="red")


def preview_table(predictions: Predictions, target: str) -> Table:
    """Return the first predictions, with the probability of the predicted class and the true value if known."""
    true = predictions.true
    table = Table(box=box.ROUNDED, title_justify="left", title_style="bold", title="Predictions")
    table.add_column("Row", justify="right")
    table.add_column(Text(f"Predicted {printable(target)}"), overflow="fold")
    if predictions.probabilities is not None:
        table.add_column("Probability", justify="right")
    if predictions.std is not None:
        table.add_column("±", justify="right")
    if true is not None:
        table.add_column(Text(f"True {printable(target)}"), overflow="fold")
    for i, value in enumerate(predictions.values[:_PREVIEW_ROWS].tolist()):
        cells = [str(i), str(value) if predictions.classes else f"{value:.10g}"]
        if predictions.probabilities is not None:
            cells.append(figures("accuracy", float(predictions.probabilities[i].max())))
        if predictions.std is not None:
            cells.append(figures("accuracy" if predictions.classes else "std", float(predictions.std[i])))
        if true is not None:
            cells.append("" if true[i] is None else str(true[i]))
        wrong = true is not None and bool(predictions.classes) and true[i] is not None and true[i] != value
        table.add_row(*(Text(printable(cell)) for cell in cells), style="red" if wrong else "")
    rest = len(predictions.values) - _PREVIEW_ROWS
    if rest > 0:
        table.caption = f"and {rest:,} more"
    return table


def gradient_check_table(net: Any, found: Any) -> Table:
    """Return the result of a gradient check as a table."""
    return rows_table(
        "Gradient check: backpropagation against central differences",
        {
            "Network": str(net)[len("<Network ") : -1],
            "Checked": f"{found.n_checked:,} of {net.n_parameters:,} parameters",
            "Largest relative error": f"{found.max_relative_error:.3g} (tolerance {found.tolerance:.3g})",
            "Where": found.where,
            "Result": "ok" if found.ok else "NOT ok",
        },
    )
