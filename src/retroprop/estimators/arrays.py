"""The device of a user's arrays: checking inputs there, and moving data between it and the host."""

from contextlib import suppress
from typing import Any

import numpy
from scipy import sparse
from sklearn.utils.validation import validate_data

from retroprop.backends import Backend, backend_of, get_backend, host, host_backend
from retroprop.backends.intake.arrays import refuse_tensor
from retroprop.estimators.checks import checked_numbers, checked_there, passes
from retroprop.functions.types import Array
from retroprop.training.row_source import is_source

FORMATS = ("csr", "csc")
_TIMES = ("date", "time", "duration", "period")  # the first letters of the dtypes of NumPy, pandas and polars


def backend_holding(x: Any, name: str = "y") -> Backend | None:
    """Return the backend an array lives on; None for host data: NumPy's arrays, lists, frames, sparse matrices.

    Raises
    ------
    TypeError
        For masked entries, sparse tensors, and tensors that require a gradient; the message has the user's `name`.
    """
    refuse_tensor(x, name)
    if host.has_masked(x):
        raise TypeError(f"{name} is a masked array: fill its masked entries, or leave their rows out.")
    if host.is_host(x) or not (hasattr(x, "__array_namespace__") or hasattr(x, "__dlpack__")):
        return None
    return backend_of(x)


def to_host(x: Any, name: str = "y") -> Any:
    """Return an array of a device as a NumPy array, and host data unchanged; see `backend_holding`."""
    backend = backend_holding(x, name)
    if backend is not None and backend.dtype_name(x) == "bfloat16":
        x = backend.asarray(x, "float32")  # NumPy has no such dtype, and this one has all its values
    return x if backend is None else backend.to_numpy(x)


def numbers(x: Any, name: str) -> Any:
    """Return data as `to_host` does.

    Raises
    ------
    TypeError
        For dates and times, which NumPy would read as numbers, and for a source of rows.
    """
    if is_source(x):
        raise TypeError(
            f"{name} is a source of rows, and an estimator takes arrays, or batches: pass fit(rp.scale.Batches(X, y, "
            "batch_size=200), classes=[...]), rp.fit with a Network, or numpy.asarray of it to load all rows."
        )
    x = to_host(x, name)
    if host.is_frame(x):
        kinds = [(f"its column {column!r}", dtype) for column, dtype in host.columns(x)]
    else:
        seen = x
        if isinstance(x, (list, tuple)):
            with suppress(ValueError, TypeError, RuntimeError):  # scikit-learn has the message
                seen = numpy.asarray(x)
        kinds = [("this", str(getattr(seen, "dtype", "")))]
    for what, dtype in kinds:
        if dtype.startswith(_TIMES):
            raise TypeError(f"{name} must hold real numbers; {what} is {dtype}.")
    return x


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
    if not reset and passes(estimator, X):
        return X, host_backend()
    backend = backend_holding(X, "X")
    if backend is None:
        dtype: Any = (numpy.float64, numpy.float32) if floats else "numeric"
        checked = validate_data(estimator, numbers(X, "X"), accept_sparse=list(FORMATS), dtype=dtype, reset=reset)
        # Of objects scikit-learn has not seen which are missing.
        return (checked_numbers(checked, estimator, "X") if checked.dtype == object else checked), host_backend()
    with backend.active():
        return checked_there(estimator, backend, X, reset=reset), backend


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
