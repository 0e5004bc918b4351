"""Plots of the predictions of a trained network: a confusion matrix, or predicted against true values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.learning_curves import TRAINING, WATCHED
from retroprop.explain.style import LIGHT, dress, legend
from retroprop.tabular.classification_metrics import confusion
from retroprop.tabular.errors import printable
from retroprop.tabular.targets import TargetColumn

_MOST_NUMBERS = 20  # with more classes the cells show no counts
_MOST_LABELS = 40
_LONGEST_LABEL = 14


def draw_confusion(axes: Any, target: TargetColumn, predicted: NDArray[Any], true: NDArray[Any], part: str) -> None:
    """Draw the confusion matrix: how often each true class (row) was predicted as each class (column).

    Correct predictions are blue, wrong ones red. The shade is the fraction of the true class; errors have a scale of
    their own, so that rare ones remain visible.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts = confusion(predicted, true, len(target.classes))
    k = len(counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(k, dtype=bool)
    blues = LinearSegmentedColormap.from_list("right", ["#e8f0f9", TRAINING, "#1b4580"])
    reds = LinearSegmentedColormap.from_list("wrong", ["#fdeee6", WATCHED, "#a63c10"])
    wrong = np.where(right, 0.0, share)
    shade_of_errors = 0.15 + 0.85 * wrong / max(float(wrong.max()), 0.1)
    colors = np.where(right[..., None], blues(share), reds(shade_of_errors))
    colors[(counts == 0) & ~right] = (0.975, 0.978, 0.983, 1.0)
    n_wrong = int(counts.sum() - np.trace(counts))
    dress(axes, f"{part[0].upper()}{part[1:]} rows: {n_wrong:,} of {counts.sum():,} wrong")
    axes.grid(False)
    axes.imshow(colors, aspect="equal", interpolation="nearest")
    if k <= _MOST_NUMBERS:
        axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=LIGHT.surface, linewidth=2.0)
        axes.tick_params(which="minor", length=0)
        _write_counts(axes, counts, np.where(right, share, shade_of_errors))
    _label(axes, [_short(str(name)) for name in target.classes])
    axes.set_xlabel(f"predicted {_short(target.name, 40)}", fontsize=10, color=LIGHT.muted, labelpad=8)
    axes.set_ylabel(f"true {_short(target.name, 40)}", fontsize=10, color=LIGHT.muted, labelpad=8)


def _write_counts(axes: Any, counts: NDArray[np.intp], shade: NDArray[np.float64]) -> None:
    size = float(np.clip(130 / len(counts), 6.5, 18.0))
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=size,
            fontweight="bold" if row == column else "normal",
            color=LIGHT.surface if shade[row, column] > 0.42 else LIGHT.ink,
        )


def _label(axes: Any, names: list[str]) -> None:
    k = len(names)
    every = -(-k // _MOST_LABELS)
    shown = np.arange(0, k, every)
    size = 10 if k <= _MOST_NUMBERS else 7.5
    crowded = k > 4 and max(map(len, names)) > 28 / k
    axes.set_xticks(shown, [names[i] for i in shown], fontsize=size, rotation=40 if crowded else 0)
    if crowded:
        box = axes.get_position()  # slanted labels need room below the axes
        axes.set_position([box.x0, box.y0 + 0.1, box.width, box.height - 0.1])
        axes.set_anchor("N")
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    axes.set_yticks(shown, [names[i] for i in shown], fontsize=size)


def _short(name: str, longest: int = _LONGEST_LABEL) -> str:
    # Matplotlib would read a dollar sign as the start of a formula.
    return printable(name, longest).replace("$", r"\$")


def draw_agreement(
    axes: Any,
    name: str,
    shown: tuple[NDArray[Any], NDArray[Any]],
    others: tuple[NDArray[Any], NDArray[Any]],
    part: str,
) -> None:
    """Draw predicted against true values: the `shown` rows in colour, the `others` grey behind, and the diagonal."""
    dress(axes, f"Predicted against true, {part} rows")
    everything = np.concatenate([*shown, *others]) if others[0].size else np.concatenate(shown)
    low, high = float(everything.min()), float(everything.max())
    margin = 0.04 * (high - low or 1.0)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=LIGHT.muted, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    along = {"rotation": 45, "rotation_mode": "anchor", "ha": "right", "va": "top"}
    axes.annotate(
        "exact", (limits[1],) * 2, xytext=(-4, -9), textcoords="offset points", color=LIGHT.muted, fontsize=9, **along
    )
    few = len(shown[0]) <= 2000
    if others[0].size:
        axes.scatter(
            *others, s=14, color=LIGHT.faint, edgecolors="#cbd0d8", linewidths=0.4, zorder=2, label="training rows"
        )
    axes.scatter(
        *shown,
        s=34 if few else 6,
        color=WATCHED if others[0].size else TRAINING,
        alpha=0.8 if few else 0.3,
        edgecolors=LIGHT.surface,
        linewidths=0.7 if few else 0.0,
        zorder=3,
        label=f"{part} rows",
        rasterized=True,
    )
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    legend(axes, loc="upper left", handletextpad=0.2)
    axes.set_xlabel(f"true {_short(name, 40)}", fontsize=10, color=LIGHT.muted, labelpad=8)
    axes.set_ylabel(f"predicted {_short(name, 40)}", fontsize=10, color=LIGHT.muted, labelpad=8)
