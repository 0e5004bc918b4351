"""MLPEnsembleRegressor."""

from typing import Any, ClassVar

from sklearn.base import RegressorMixin

from retroprop.backends import Backend
from retroprop.estimators.base import BaseMLP
from retroprop.estimators.ensembles import BaseEnsemble, statistics
from retroprop.estimators.regressor import MLPRegressor
from retroprop.functions.types import Array


class MLPEnsembleRegressor(RegressorMixin, BaseEnsemble):
    """Several networks for regression, trained together, whose mean is the prediction.

    Parameters
    ----------
    estimator : MLPRegressor or None
        The members are copies of it; None is `MLPRegressor()`.
    n_members : int
        The number of members, each with a seed of its own.
    bootstrap : bool
        Whether a member weighs each row by how often it is among n rows drawn with replacement.
    folds : bool
        Whether the rows are divided into `n_members` folds, and each member is trained on all folds but one.
    random_state : int, RandomState or None
        Draws the seeds of the members, and the rows.
    parallel : Parallel or None
        The engine that connects processes, as `retroprop.scale.MPI()`: each trains some of the members, and all end
        with the same ensemble.

    Attributes
    ----------
    estimators_ : list of MLPRegressor
        The members.
    out_of_fold_ : array (n,) or (n, n_outputs)
        With `folds` or `bootstrap`, the mean prediction of each training row by the members that have not seen it; NaN
        for a row that all have seen.
    networks_ : list of Network
        The networks of the members.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseEnsemble._parameter_constraints,
        "estimator": [MLPRegressor, None],
    }

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the mean of the members' predictions, (n,) or (n, n_outputs).

        With `return_std` also their standard deviation, as scikit-learn's `GaussianProcessRegressor` returns it.
        """
        outputs, backend = self._member_outputs(X, "predict")
        mean, std = (_flat(part, backend) for part in statistics(backend, outputs))
        return (mean, std) if return_std else mean

    def predict_std(self, X: Any) -> Array:
        """Return the standard deviation of the members' predictions, (n,) or (n, n_outputs)."""
        return self.predict(X, return_std=True)[1]

    def member_predictions(self, X: Any) -> Array:
        """Return the prediction of each member, (n_members, n) or (n_members, n, n_outputs)."""
        return _flat(*self._member_outputs(X, "member_predictions"))

    def _template(self) -> BaseMLP:
        return MLPRegressor() if self.estimator is None else self.estimator

    def _splitter(self, y: Any) -> Any:
        from sklearn.model_selection import KFold  # slow to load

        return KFold

    def _as_predicted(self, outputs: Array, backend: Backend) -> Array:
        return _flat(outputs, backend)


def _flat(outputs: Array, backend: Backend) -> Array:
    """Return outputs without their last axis, if it has one entry."""
    return backend.xp.reshape(outputs, outputs.shape[:-1]) if outputs.shape[-1] == 1 else outputs
