"""What a trained network is worth, in the words of its task."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.cli.targets import Target

METRICS = {
    "classification": ("accuracy", "error"),
    "regression": ("r2", "mean_absolute_error", "root_mean_squared_error"),
}
_ROWS_AT_ONCE = 16384


def outputs_of(net: rp.Network, x: NDArray[np.float64]) -> NDArray[Any]:
    """Return the outputs of `net` for inputs (m, n_1) as a NumPy array (m, n_L), some rows at a time."""
    parts = [
        net.backend.to_numpy(net.predict(x[start : start + _ROWS_AT_ONCE])) for start in range(0, len(x), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts, axis=0)


def metric_of(name: str) -> Any:
    """Return the metric as the command line means it: the class of a row is its largest output."""
    return rp.metrics.METRICS[name]()


def scores(target: Target, outputs: NDArray[Any], encoded: NDArray[Any]) -> dict[str, float]:
    """Return the metrics of the task, those of a regression in the units of the target.

    Parameters
    ----------
    target : Target
        What was learned.
    outputs : array (m, n_L)
        What the network says.
    encoded : array (m,)
        What is true, as `target.encode` gives it.
    """
    a, y = _comparable(target, outputs, encoded)
    xp = rp.get_backend("numpy").xp
    return {name: float(metric_of(name)(a, y, None, xp)) for name in METRICS[target.task]}


def _comparable(
    target: Target, outputs: NDArray[Any], encoded: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    if target.task == "classification":
        return target.probabilities(outputs).astype(np.float64), encoded
    return target.decode(outputs)[:, None], (encoded * target.scale + target.mean)[:, None]


def confusion(target: Target, predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.intp]:
    """Return how often each true class (row) was predicted as each class (column), shape (k, k)."""
    k = len(target.classes)
    return np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
