"""One device for a fitted network and new data: host data move to the model, a model on the host to the data."""

from typing import Any, NamedTuple

from scipy import sparse
from sklearn import get_config

from retroprop.backends import Backend, host_backend
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.estimators.arrays import rows_of
from retroprop.estimators.checks import FLOATS
from retroprop.functions.types import Array


class OnOneDevice(NamedTuple):
    """Inputs X and a fitted network on one device.

    Attributes
    ----------
    x : array or sparse matrix
        As given.
    given, backend : Backend
        The backend of X, and the one they are moved to.
    dtype : str
        The dtype they are cast to.
    parameters, architecture
        The network on `backend`.
    """

    x: Any
    given: Backend
    backend: Backend
    dtype: str
    parameters: Parameters
    architecture: Architecture

    @property
    def n(self) -> int:
        """The number of rows."""
        return int(self.x.shape[0])

    def rows(self, window: slice | None) -> Array:
        """Return some rows of X, or all, on `backend`."""
        return rows_of(self.x, window, self.backend, self.dtype)

    def to_input_device(self, a: Array) -> Array:
        """Return a result moved to the device of X."""
        return a if self.backend == self.given else self.given.asarray(self.backend.to_numpy(a))


def on_one_device(
    estimator: Any, x: Any, given: Backend, parameters: Parameters, architecture: Architecture, method: str
) -> OnOneDevice:
    """Return X, which lives on `given`, and the fitted network on one device, in the wider of their dtypes."""
    fitted = estimator._backend()
    backend = common_backend(estimator, fitted, given, method)
    own = fitted.dtype_name(parameters.leaves[0])
    dtype = result_dtype(x, own)
    if backend != fitted or dtype != own:
        moved = (leaf if backend == fitted else fitted.to_numpy(leaf) for leaf in parameters.leaves)
        parameters = parameters.like([backend.asarray(leaf, dtype) for leaf in moved])
    if sparse.issparse(x):
        x = x.tocsr()  # a CSC matrix is searched as a whole for its rows
    return OnOneDevice(x, given, backend, dtype, parameters, architecture)


def common_backend(estimator: Any, fitted: Backend, given: Backend, method: str) -> Backend:
    """Return the backend for a model on `fitted` and data on `given`.

    Host data are moved to the model; the parameters of a model on the host, to the data.

    Raises
    ------
    ValueError
        For two devices, or two libraries other than NumPy; and for any two backends if scikit-learn's
        `array_api_dispatch` is on, as in scikit-learn.
    """
    if fitted == given:
        return fitted
    strict = get_config().get("array_api_dispatch", False) and estimator.device is None
    on_host = host_backend()
    if not strict and on_host in (fitted, given):
        return given if fitted == on_host else fitted
    raise ValueError(
        f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same device as "
        f"those passed to fit(): the model lives on {fitted}, and X on {given}. Take the model there with "
        f"estimator.to({str(given)!r})."
    )


def result_dtype(x: Any, parameters_dtype: str) -> str:
    """Return the dtype of the outputs: the wider of X's, where it is of floats, and the parameters'."""
    given = str(x.dtype).rpartition(".")[2]
    return given if given in FLOATS and parameters_dtype == "float32" else parameters_dtype
