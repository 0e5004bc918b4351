"""The figures of a regression, by scikit-learn's definitions, right for numbers of any magnitude."""

import numpy as np
from numpy.typing import NDArray


def regression_figures(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> dict[str, float | None]:
    """Return the figures of a part by name, errors in the unit of the target; R² is None where the target is constant.

    Parameters
    ----------
    predicted, true : float64 array (m,)
        Numbers in the unit of the target.
    """
    # Divided by a power of two, which changes no digit: squares neither overflow nor vanish.
    unit = float(np.ldexp(1.0, int(np.clip(np.frexp(np.abs(true).max() or 1.0)[1], -1000, 1000))))
    residual, spread = predicted / unit - true / unit, true / unit - (true / unit).mean()
    total = float((spread**2).sum())
    return {
        "r2": 1.0 - float((residual**2).sum()) / total if total > 0.0 else None,
        "mean_absolute_error": float(np.abs(residual).mean()) * unit,
        "root_mean_squared_error": float(np.sqrt((residual**2).mean())) * unit,
    }
