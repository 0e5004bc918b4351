"""The tables that the commands print, and the format of their figures."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from retroprop.cli.predict import Predictions, true_values

TITLES = {
    "accuracy": "Accuracy",
    "error": "Error",
    "r2": "R²",
    "mean_absolute_error": "Mean abs. error",
    "root_mean_squared_error": "Root mean sq. error",
}
_PREVIEW_ROWS = 8


def figures(metric: str, value: float) -> str:
    """Format a metric: accuracy and error in per cent, R² with three decimals, others with four digits."""
    if metric in ("accuracy", "error"):
        return f"{100.0 * value:.1f} %"
    return f"{value:.3f}" if metric == "r2" else f"{value:.4g}"


def quantity(n: int) -> str:
    """Format a count with thousands separators."""
    return f"{n:,}"


def score_line(scores: Mapping[str, float]) -> str:
    """Format the metrics in one line."""
    return ", ".join(
        f"{TITLES[name].lower() if name != 'r2' else 'R²'} {figures(name, v)}" for name, v in scores.items()
    )


def rows_table(title: str, rows: Mapping[str, str]) -> Table:
    """Return a table of two columns, names and values."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.ROUNDED, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
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


def preview_table(predictions: Predictions) -> Table:
    """Return the first predictions, with the probability of the predicted class and the true value if known."""
    target, true = predictions.card.target, true_values(predictions)
    table = Table(box=box.ROUNDED, title_justify="left", title_style="bold", title="Predictions")
    table.add_column("Row", justify="right")
    table.add_column(f"Predicted {target.name}", overflow="fold")
    if predictions.probabilities is not None:
        table.add_column("Probability", justify="right")
    if true is not None:
        table.add_column(f"True {target.name}", overflow="fold")
    for i, value in enumerate(predictions.values[:_PREVIEW_ROWS]):
        cells = [str(i), str(value)]
        if predictions.probabilities is not None:
            cells.append(figures("accuracy", float(predictions.probabilities[i].max())))
        if true is not None:
            cells.append(str(true[i]))
        wrong = true is not None and bool(target.classes) and str(true[i]) != str(value)
        table.add_row(*map(Text, cells), style="red" if wrong else "")
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
