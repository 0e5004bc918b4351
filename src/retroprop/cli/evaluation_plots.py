"""Plots that do not depend on a threshold or on the commonest class: figures of each class, ROC curves, residuals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.learning_curves import TRAINING, WATCHED
from retroprop.explain.style import LIGHT, dress
from retroprop.tabular.classification_metrics import roc_auc, roc_curve
from retroprop.tabular.errors import printable
from retroprop.tabular.evaluation import EvaluatedPart

_MOST_CLASSES = 12
_LONGEST_LABEL = 10


def draw_classes(axes: Any, classes: list[dict[str, Any]]) -> None:
    """Draw precision and recall of each class, of many those with the lowest recall."""
    known = [row for row in classes if row["recall"] is not None]
    title = "Recall and precision"
    if len(known) > _MOST_CLASSES:
        known = sorted(known, key=lambda row: row["recall"])[:_MOST_CLASSES]
        title = f"Recall and precision, lowest {_MOST_CLASSES}"
    dress(axes, title)
    at = np.arange(len(known))
    axes.barh(at - 0.19, [row["recall"] for row in known], 0.36, color=TRAINING, label="recall")
    axes.barh(at + 0.19, [row["precision"] or 0.0 for row in known], 0.36, color=WATCHED, label="precision")
    names = [printable(str(row["class"]), _LONGEST_LABEL) for row in known]
    axes.set_yticks(at, names, fontsize=9 if len(known) < 8 else 7, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.0)
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, -0.36), ncols=2, handlelength=1.0)


def draw_roc(axes: Any, part: EvaluatedPart) -> None:
    """Draw the ROC curve of the second of two classes, else of each class against the rest, the worst in colour."""
    dress(axes, "ROC")
    p, true, classes = part.probabilities, part.true, part.target.classes
    areas = {c: roc_auc(p[:, c], true == c) for c in ([1] if len(classes) == 2 else range(len(classes)))}
    known = sorted((area, c) for c, area in areas.items() if area is not None)[:_MOST_CLASSES]
    axes.plot([0, 1], [0, 1], color=LIGHT.muted, linewidth=1.0, linestyle=(0, (4, 3)))
    for rank, (area, c) in reversed(list(enumerate(known))):
        label = f"{printable(str(classes[c]), _LONGEST_LABEL)}: {area:.3f}" if rank == 0 else None
        color = TRAINING if len(known) == 1 else WATCHED if rank == 0 else LIGHT.muted
        axes.plot(*roc_curve(p[:, c], true == c), color=color, linewidth=1.8 if rank == 0 else 0.8, label=label)
    axes.set_xlabel("false positive rate", fontsize=9.5, color=LIGHT.muted)
    axes.set_ylabel("true positive rate", fontsize=9.5, color=LIGHT.muted)
    if known:
        title = "AUC" if len(known) == 1 else "lowest AUC"
        legend = axes.legend(frameon=False, fontsize=8.5, loc="lower right", title=title, title_fontsize=8.5)
        for text in legend.get_texts():
            text.set_parse_math(False)


def draw_residuals(axes: Any, true: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
    """Draw the distribution of the errors, predicted less true."""
    dress(axes, "Predicted − true")
    axes.hist(predicted - true, bins=min(30, max(5, len(true) // 5)), color=TRAINING, alpha=0.85)
    axes.axvline(0.0, color=LIGHT.muted, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.xaxis.set_major_locator(_few_ticks())
    axes.set_ylabel("rows", fontsize=9.5, color=LIGHT.muted)


def draw_tolerance(
    axes: Any, true: NDArray[np.float64], predicted: NDArray[np.float64], of_the_mean: float | None
) -> None:
    """Draw the fraction of the rows whose error is below each tolerance, and the mean error of the mean as a line."""
    dress(axes, "Rows within a tolerance")
    error = np.sort(np.abs(predicted - true))
    axes.plot(error, np.arange(1, len(error) + 1) / len(error), color=TRAINING, linewidth=2.0)
    if of_the_mean is not None:
        axes.axvline(of_the_mean, color=WATCHED, linewidth=1.2, linestyle=(0, (4, 3)), label="error of the mean")
        axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    axes.set_ylim(0.0, 1.02)
    axes.xaxis.set_major_locator(_few_ticks())
    axes.set_xlabel("absolute error", fontsize=9.5, color=LIGHT.muted)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4)
