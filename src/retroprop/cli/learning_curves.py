"""Plots of the learning curves: cost and metric of every epoch."""

from typing import Any

import numpy as np

from retroprop.explain.style import LIGHT, dress, legend
from retroprop.training import History

TRAINING, WATCHED = LIGHT.colors[:2]


def draw_cost(axes: Any, history: History, watched: str) -> None:
    """Draw the cost of every epoch, on a logarithmic scale where the costs differ by a factor above 3.

    Parameters
    ----------
    axes : matplotlib Axes
        Where to draw.
    history : History
        The training.
    watched : str
        Legend of the validation cost: "validation" or "held-out".
    """
    dress(axes, "Cost")
    lines = [("training", history.cost, TRAINING)]
    if history.validation_cost:
        lines.append((watched, history.validation_cost, WATCHED))
    for label, values, color in lines:
        _line(axes, values, color, label)
    values = [value for _, series, _ in lines for value in series]
    if values and min(values) > 0.0 and max(values) > 3.0 * min(values):
        _logarithmic(axes, decades=np.log10(max(values) / min(values)))
    _mark_best(axes, history)
    if values:
        legend(axes, loc="best", handlelength=1.4)
    _epochs(axes, len(history))


def draw_metric(axes: Any, history: History, metric: str, title: str, watched: str) -> None:
    """Draw a metric of every epoch: on the `watched` rows, or on the training rows if there are no others."""
    of = watched if history.validation_cost else "training"
    values = history.metrics.get(metric, [])
    dress(axes, f"{title}, {of}")
    _line(axes, values, WATCHED if history.validation_cost else TRAINING, of)
    if metric == "accuracy":
        from matplotlib.ticker import FuncFormatter

        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:g} %"))
    if values:
        # The first tenth of a long training may lie far below the rest and would flatten it: left out of the limits.
        skipped = len(values) // 10 if len(values) >= 100 else 0
        low = min(values[skipped:])
        span = max(max(values) - low, 0.01)
        axes.set_ylim(low - 0.08 * span, max(values) + 0.12 * span)
    _mark_best(axes, history)
    _epochs(axes, len(history))
    axes.set_xlabel("epoch", fontsize=9.5, color=LIGHT.muted)


def _line(axes: Any, values: list[float], color: str, label: str) -> None:
    epochs = np.arange(1, len(values) + 1)
    marker = "o" if len(values) < 3 else None
    axes.plot(epochs, values, color=color, linewidth=2.0, label=label, marker=marker, solid_capstyle="round")
    if values:
        axes.plot(epochs[-1:], values[-1:], color=color, marker="o", markersize=5.5, clip_on=False)


def _mark_best(axes: Any, history: History) -> None:
    if history.best_epoch is not None:
        axes.axvline(history.best_epoch, color=LIGHT.muted, linewidth=1.0, linestyle=(0, (3, 3)), label="best epoch")


def _epochs(axes: Any, n_epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0.5, max(n_epochs, 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _logarithmic(axes: Any, *, decades: float) -> None:
    """Set a logarithmic y axis with plain numbers, at 1, 2 and 5 times powers of ten if it spans few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
