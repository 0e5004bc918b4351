"""Evaluation of a trained network: its outputs, the metrics of its task, the confusion matrix."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.cli.targets import TargetColumn

METRICS = {
    "classification": ("accuracy", "error"),
    "regression": ("r2", "mean_absolute_error", "root_mean_squared_error"),
}
_ROWS_AT_ONCE = 16384  # bounds the memory of a prediction


def outputs_of(net: rp.Network, x: NDArray[np.float64]) -> NDArray[Any]:
    """Return the outputs of `net` for inputs (m, n_1) as a NumPy array (m, n_L), computed in blocks of rows."""
    parts = [
        net.backend.to_numpy(net.predict(x[start : start + _ROWS_AT_ONCE])) for start in range(0, len(x), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts, axis=0)


def metric_of(name: str) -> Any:
    """Return a new metric object by its name in `METRICS`; the predicted class is the largest output."""
    return rp.metrics.METRICS[name]()


def scores(target: TargetColumn, outputs: NDArray[Any], encoded: NDArray[Any]) -> dict[str, float]:
    """Return the metrics of the task by name; errors of a regression are in the units of the target.

    Parameters
    ----------
    target : TargetColumn
        The target of the training.
    outputs : array (m, n_L)
        The outputs of the network.
    encoded : array (m,)
        The true targets, as returned by `target.encode`.
    """
    a, y = _comparable(target, outputs, encoded)
    xp = rp.get_backend("numpy").xp
    return {name: float(metric_of(name)(a, y, None, xp)) for name in METRICS[target.task]}


def _comparable(
    target: TargetColumn, outputs: NDArray[Any], encoded: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return outputs and true targets as a metric compares them: a regression's in the units of its target."""
    if target.task == "classification":
        return target.probabilities(outputs).astype(np.float64), encoded
    return target.decode(outputs)[:, None], (encoded * target.scale + target.mean)[:, None]


def confusion(target: TargetColumn, predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.intp]:
    """Return the confusion matrix (k, k): counts of each true class (row) predicted as each class (column)."""
    k = len(target.classes)
    return np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
