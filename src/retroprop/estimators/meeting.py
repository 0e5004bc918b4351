"""Where a fitted network and new data meet: host data go to the model, a model of the host goes to the data."""

from typing import Any, NamedTuple

from scipy import sparse
from sklearn import get_config

from retroprop.backends import Backend, host_backend
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.estimators.arrays import FLOATS, rows_of
from retroprop.functions.types import Array


class Meeting(NamedTuple):
    """X and a fitted network, in one place.

    Attributes
    ----------
    x : array or sparse matrix
        As it was given.
    given, backend : Backend
        Where that is, and where they meet.
    dtype : str
        In which they meet.
    parameters, architecture
        The network, there.
    """

    x: Any
    given: Backend
    backend: Backend
    dtype: str
    parameters: Parameters
    architecture: Architecture

    @property
    def n(self) -> int:
        """How many rows there are."""
        return int(self.x.shape[0])

    def rows(self, window: slice | None) -> Array:
        """Return some rows of X, or all, where they meet."""
        return rows_of(self.x, window, self.backend, self.dtype)

    def given_back(self, a: Array) -> Array:
        """Return a result where X lives."""
        return a if self.backend == self.given else self.given.asarray(self.backend.to_numpy(a))


def met(
    estimator: Any, x: Any, given: Backend, parameters: Parameters, architecture: Architecture, method: str
) -> Meeting:
    """Return where inputs that live on `given` meet the parameters, in the wider of their dtypes."""
    fitted = estimator._backend()
    backend = meeting_place(estimator, fitted, given, method)
    own = fitted.dtype_name(parameters.leaves[0])
    dtype = result_dtype(x, own)
    if backend != fitted or dtype != own:
        moved = (leaf if backend == fitted else fitted.to_numpy(leaf) for leaf in parameters.leaves)
        parameters = parameters.like([backend.asarray(leaf, dtype) for leaf in moved])
    if sparse.issparse(x):
        x = x.tocsr()  # to find rows of a CSC matrix all of it is looked through
    return Meeting(x, given, backend, dtype, parameters, architecture)


def meeting_place(estimator: Any, fitted: Backend, given: Backend, method: str) -> Backend:
    """Return where a model that lives on `fitted` meets data that live on `given`.

    Host data are moved to the model; the parameters of a model on the host, to the data.

    Raises
    ------
    ValueError
        For two devices, or two libraries other than NumPy; and always where they differ while scikit-learn's
        `array_api_dispatch` is on, as that is its rule.
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
