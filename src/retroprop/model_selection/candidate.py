"""One fit of a search: a candidate on the training rows of a fold, prepared, and then scored by scikit-learn."""

from itertools import pairwise
from time import perf_counter
from typing import Any

from sklearn.base import clone
from sklearn.model_selection._validation import _fit_and_score
from sklearn.pipeline import Pipeline

from retroprop.estimators import MLPClassifier, MLPRegressor
from retroprop.estimators.prepared_fit import PreparedFit, collected
from retroprop.model_selection.folds import Folds

as_it_is = "a call of another kind"
"""Of calls that are no fit of a search: whatever else runs in parallel."""
_FITS = (MLPClassifier.fit, MLPRegressor.fit)


class CandidateFit:
    """One call of `_fit_and_score`, scikit-learn's own evaluation of a candidate on a fold.

    Parameters
    ----------
    place : int
        Its place among the calls of the round.
    call : tuple
        The function, its arguments and its keyword arguments.

    Attributes
    ----------
    fits : list of PreparedFit
        The fit that is to be trained; empty where the preparation failed.
    error : Exception or None
        The error of the preparation.
    seconds : float
        The duration of its fit, without its scores.
    """

    def __init__(self, place: int, call: Any) -> None:
        self.place, self.call = place, call
        self.estimator: Any = call[1][0]
        self.fits: list[PreparedFit] = []
        self.error: Exception | None = None
        self.seconds = 0.0

    @staticmethod
    def reason_against(call: Any) -> str | None:
        """Return why a call cannot be prepared and trained with others; None where it can."""
        function, args, keywords = call
        if getattr(function, "function", function) is not _fit_and_score:
            return as_it_is
        estimator, parameters = args[0], keywords["parameters"]
        try:
            estimator.set_params(**clone(parameters or {}, safe=False))
        except Exception as error:  # scikit-learn raises it at its own place
            return f"{type(error).__name__} for the parameters"
        return _reason_against(estimator)

    def prepare(self, folds: Folds) -> None:
        """Do all of the fit that comes before its training; an error is that of the fit."""
        _, (_, X, y), keywords = self.call
        began = perf_counter()
        try:
            fold = folds.of(X, y, keywords["train"], keywords["fit_params"])
            with collected([network_of(self.estimator)]) as self.fits:
                if isinstance(self.estimator, Pipeline):
                    fold.fit_pipeline(self.estimator)
                else:
                    fold.fit(self.estimator)
            for fit in self.fits:
                fold.share(fit)
        except Exception as error:
            self.error, self.fits = error, []
        self.seconds = perf_counter() - began

    @property
    def n_bytes(self) -> int:
        """The estimated memory of its training."""
        return sum(map(_n_bytes, self.fits))

    def result(self, error: BaseException | None) -> Any:
        """Return the result of the call, scored by scikit-learn, with the estimator as it was trained."""
        function, args, keywords = self.call
        estimator, own = self.estimator, vars(self.estimator)

        def trained(*_: Any, **__: Any) -> Any:
            """Take the place of `fit`."""
            for name in ("fit", "set_params"):
                own.pop(name, None)
            if error is not None:
                raise error
            return estimator

        own["fit"] = trained
        own["set_params"] = lambda **_: estimator  # it has them, and steps that were trained
        result = function(*args, **keywords)
        if "fit_time" in result:
            result["fit_time"] += self.seconds
        return result

    def release(self) -> None:
        """Forget the estimator and its data; the estimator itself too, which the caller still holds."""
        vars(self.estimator).clear()
        self.call, self.estimator, self.fits = None, None, []


def network_of(estimator: Any) -> Any:
    """Return the last step of a pipeline, within it if that is one too; any other estimator itself."""
    return network_of(estimator.steps[-1][1]) if type(estimator) is Pipeline and estimator.steps else estimator


def _reason_against(estimator: Any) -> str | None:
    estimator = network_of(estimator)
    name = type(estimator).__name__
    if getattr(type(estimator), "fit", None) not in _FITS:
        return f"{name} is no MLPClassifier or MLPRegressor of retroprop, nor a Pipeline that ends with one"
    if isinstance(estimator.solver, str) and estimator.solver == "lbfgs":
        return "solver='lbfgs'"
    for option in ("checkpoint", "parallel", "progress", "verbose"):
        if getattr(estimator, option):
            return f"{option}={getattr(estimator, option)!r}"
    return "callbacks" if getattr(estimator, "_skl_callbacks", None) else None


def _n_bytes(fit: PreparedFit) -> int:
    """Return an estimate of the memory of a training."""
    sizes = fit.architecture.layer_sizes
    parameters = sum(a * b + b for a, b in pairwise(sizes))
    rows = max((window.stop - window.start for window in fit.order.windows), default=0)
    # Parameters, gradients, two moments, the last, the good and the best ones; activations, deltas and masks; targets.
    elements = 8 * parameters + 3 * rows * sum(sizes) + fit.n * sizes[-1]
    return elements * (4 if fit.source.dtype == "float32" else 8)
