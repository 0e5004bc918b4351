"""The figures of a classification, by scikit-learn's definitions.

They are written here in NumPy, and the tests compare each with scikit-learn: to import it takes as long as to train.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 10  # of the confidence, for the calibration


def confusion(predicted: NDArray[np.intp], true: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """Return the confusion matrix (k, k): counts of each true class (row) predicted as each class (column)."""
    return np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)


def classification_figures(p: NDArray[np.float64], true: NDArray[np.intp]) -> dict[str, float | None]:
    """Return the figures of a part by name; None for one that is not defined on it.

    Parameters
    ----------
    p : float64 array (m, k)
        The probabilities of the classes; the predicted class is the most probable one.
    true : int array (m,)
        The true classes.
    """
    counts = confusion(np.argmax(p, axis=1), true, p.shape[1])
    accuracy = float(np.trace(counts)) / len(true)
    recalls = [row["recall"] for row in per_class(counts) if row["recall"] is not None]
    return {
        "accuracy": accuracy,
        "error": 1.0 - accuracy,
        "balanced_accuracy": float(np.mean(recalls)),
        "roc_auc": macro_roc_auc(p, true),
        "log_loss": log_loss(p, true),
        "calibration_error": calibration(p, true)["error"],
    }


def per_class(counts: NDArray[np.intp]) -> list[dict[str, Any]]:
    """Return rows, precision and recall of each class of a confusion matrix; None for a division by 0."""
    right = np.diagonal(counts)
    return [
        {
            "rows": int(rows),
            "precision": float(hits / said) if said else None,
            "recall": float(hits / rows) if rows else None,
        }
        for hits, said, rows in zip(right, counts.sum(axis=0), counts.sum(axis=1), strict=True)
    ]


def log_loss(p: NDArray[np.float64], true: NDArray[np.intp]) -> float:
    """Return the mean of −log of the probability of the true class, bounded as scikit-learn bounds it."""
    eps = np.finfo(np.float64).eps
    return float(-np.log(np.clip(p[np.arange(len(true)), true], eps, 1.0 - eps)).mean())


def roc_auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve: how probably a positive row has the higher score; ties count half."""
    n = int(positive.sum())
    if n in (0, len(positive)):
        return None
    _, which, times = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2.0)[which]
    return float((ranks[positive].sum() - n * (n + 1) / 2.0) / (n * (len(positive) - n)))


def macro_roc_auc(p: NDArray[np.float64], true: NDArray[np.intp]) -> float | None:
    """Return the area of the second of two classes, else the mean of each against the rest; None if one is absent."""
    k = p.shape[1]
    areas = [roc_auc(p[:, c], true == c) for c in ([1] if k == 2 else range(k))]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if len(known) == len(areas) else None


def roc_curve(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the false and true positive rates at every threshold, from (0, 0) to (1, 1)."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(positive[order])[last]
    misses = last + 1 - hits
    return (
        np.concatenate([[0.0], misses / max(int((~positive).sum()), 1)]),
        np.concatenate([[0.0], hits / max(int(positive.sum()), 1)]),
    )


def calibration(p: NDArray[np.float64], true: NDArray[np.intp]) -> dict[str, Any]:
    """Return how far the probability of the predicted class is from the fraction of such predictions that are right.

    Returns
    -------
    dict
        "error", the mean distance over all rows (expected calibration error, 10 bins of equal width), and the lists
        "confidence", "accuracy" and "rows" of the bins that have rows.
    """
    confidence = p.max(axis=1)
    right = np.argmax(p, axis=1) == true
    which = np.clip((confidence * _BINS).astype(np.intp), 0, _BINS - 1)
    rows = np.bincount(which, minlength=_BINS)
    filled = rows > 0
    said = np.bincount(which, confidence, _BINS)[filled] / rows[filled]
    found = np.bincount(which, right, _BINS)[filled] / rows[filled]
    return {
        "error": float((np.abs(said - found) * rows[filled]).sum() / len(true)),
        "confidence": said.tolist(),
        "accuracy": found.tolist(),
        "rows": rows[filled].tolist(),
    }
