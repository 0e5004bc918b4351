"""The device of a user's arrays: checking inputs there, and moving data between it and the host."""

from typing import Any

import numpy
from scipy import sparse
from sklearn.utils.validation import _check_feature_names, _check_n_features, validate_data

from retroprop.backends import Backend, backend_of, get_backend, host, host_backend
from retroprop.backends.intake.arrays import holds
from retroprop.functions.types import Array

FORMATS = ("csr", "csc")
FLOATS = ("float64", "float32")
_FLOAT_DTYPES = frozenset(map(numpy.dtype, FLOATS))


def backend_holding(x: Any) -> Backend | None:
    """Return the backend an array lives on; None for host data: NumPy's arrays, lists, frames, sparse matrices."""
    if host.is_host(x) or not (hasattr(x, "__array_namespace__") or hasattr(x, "__dlpack__")):
        return None
    return backend_of(x)


def to_host(x: Any) -> Any:
    """Return an array of a device as a NumPy array, and host data unchanged."""
    backend = backend_holding(x)
    return x if backend is None else backend.to_numpy(x)


def taken_inputs(estimator: Any, X: Any, *, reset: bool, floats: bool = True) -> tuple[Any, Backend]:
    """Return X, checked, and its backend.

    Parameters
    ----------
    estimator : BaseMLP
        Its number and names of features are set, or compared with those of X.
    X : array, sparse matrix or frame (n_samples, n_features)
        Float32 and float64 keep their dtype.
    reset : bool
        Whether the features are set, not compared.
    floats : bool
        Whether other dtypes become float64 (the widest the library has).

    Raises
    ------
    ValueError
        For NaN, inf, a wrong shape, or features that differ from those of `fit`.
    """
    if not reset and _passes(estimator, X):
        return X, host_backend()
    backend = backend_holding(X)
    if backend is None:
        dtype: Any = (numpy.float64, numpy.float32) if floats else "numeric"
        checked = validate_data(estimator, X, accept_sparse=list(FORMATS), dtype=dtype, reset=reset)
        return checked, host_backend()
    with backend.active():
        return _taken_there(estimator, backend, X, reset=reset), backend


def _passes(estimator: Any, X: Any) -> bool:
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


def _taken_there(estimator: Any, backend: Backend, X: Array, *, reset: bool) -> Array:
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


def working_backend(device: Any, backend: Backend) -> Backend:
    """Return the backend of the computation: `device` for host data, their own for arrays of a device."""
    if device is None or backend != host_backend():
        return backend
    if device.partition(":")[0] == "cuda":
        raise ValueError(f"device={device!r} names no library: write 'cupy', 'torch:{device}' or 'jax:{device}'.")
    return get_backend(device)


def rows_of(x: Any, rows: Any, backend: Backend, dtype: str) -> Array:
    """Return rows of X, dense, in that dtype on that backend."""
    some = x if rows is None else x[rows] if isinstance(rows, numpy.ndarray) else x[rows, :]
    return backend.asarray(some.toarray() if sparse.issparse(some) else some, dtype)
