"""The checks of inputs that scikit-learn has for NumPy's arrays only, or makes slowly."""

from typing import Any

import numpy
from sklearn.utils import check_array
from sklearn.utils.validation import _check_feature_names, _check_n_features

from retroprop.backends import Backend, host
from retroprop.backends.intake.arrays import holds
from retroprop.functions.types import Array

FLOATS = ("float64", "float32")
_FLOAT_DTYPES = frozenset(map(numpy.dtype, FLOATS))


def checked_numbers(x: Any, estimator: Any, name: str) -> Array:
    """Return an array of objects as one of float64; raise ValueError if one of them is missing."""
    return check_array(x, dtype=numpy.float64, ensure_2d=False, input_name=name, estimator=estimator)


def passes(estimator: Any, X: Any) -> bool:
    """Return whether an array certainly passes scikit-learn's checks, which take ten times as long, unchanged."""
    return (
        type(X) is numpy.ndarray
        and X.ndim == 2
        and X.dtype in _FLOAT_DTYPES
        and X.shape[0] > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")  # an array has no names: scikit-learn warns
        and host.all_finite(X)
    )


def checked_there(estimator: Any, backend: Backend, X: Array, *, reset: bool) -> Array:
    """Return an array of a device after the checks, and with the messages, that scikit-learn has for NumPy's."""
    xp = backend.xp
    name = type(estimator).__name__
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead: its shape is {tuple(X.shape)}.")
    for axis, what in enumerate(("sample", "feature")):
        if X.shape[axis] == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={tuple(X.shape)}) while a minimum of 1 is required by {name}."
            )
    if xp.isdtype(X.dtype, "complex floating"):
        raise ValueError("Complex data not supported")
    if backend.dtype_name(X) not in FLOATS:
        X = backend.asarray(X, widest_float(backend))
    if not holds(backend, xp.isfinite(X)):
        found = "infinity or a value too large" if holds(backend, X == X) else "NaN"
        raise ValueError(f"Input X contains {found}.\n{name} does not accept missing values encoded as NaN.")
    _check_feature_names(estimator, X, reset=reset)
    _check_n_features(estimator, X, reset=reset)
    return backend.asarray(X)


def widest_float(backend: Backend) -> str:
    """Return "float64" where the library has it, else "float32"."""
    try:
        backend.dtype("float64")
    except TypeError:
        return "float32"
    return "float64"
