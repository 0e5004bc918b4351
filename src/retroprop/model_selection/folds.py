"""The training rows of the folds of a search: taken from the data once, and preprocessed once for each setting."""

from typing import Any

import numpy
from joblib import hash as hashed
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from retroprop.backends import host
from retroprop.estimators.prepared_fit import PreparedFit
from retroprop.estimators.samples import Samples
from retroprop.functions.types import Array


class Folds:
    """The folds of one round of a search."""

    def __init__(self) -> None:
        self._known: dict[int, Fold] = {}

    def of(self, X: Any, y: Any, train: Any, fit_params: Any) -> "Fold":
        """Return the fold of these training rows; its first candidate takes them from the data."""
        if id(train) not in self._known:
            self._known[id(train)] = Fold(X, y, train, fit_params)
        return self._known[id(train)]


class Fold:
    """The training rows of a fold.

    Parameters
    ----------
    X, y
        All the data.
    train : integer array
        Its training rows.
    fit_params : dict or None
        The arguments of `fit`, of all rows.
    """

    def __init__(self, X: Any, y: Any, train: Any, fit_params: Any) -> None:
        self.train = train  # held, as its identity is the key of the fold
        self.X = _safe_indexing(X, train)
        self.y = None if y is None else _safe_indexing(y, train)
        self.fit_params = _check_method_params(X, params=fit_params or {}, indices=train)
        self._preprocessed: dict[Any, tuple[list[Any], Any]] = {}
        self._arrays: list[Array] = []

    def fit(self, estimator: Any) -> None:
        """Fit an estimator to these rows, as scikit-learn's search does."""
        targets = () if self.y is None else (self.y,)
        estimator.fit(self.X, *targets, **self.fit_params)

    def fit_pipeline(self, pipeline: Pipeline) -> None:
        """Fit a pipeline; the steps before the last are those of an earlier candidate that had the same setting."""
        *before, (name, last) = pipeline.steps
        key = _setting(before, pipeline)
        if key is None or not before or self.fit_params:
            self.fit(pipeline)
            return
        if key not in self._preprocessed:
            head = Pipeline(before, memory=pipeline.memory)
            self._preprocessed[key] = head.steps, head.fit_transform(self.X, self.y)
        steps, inputs = self._preprocessed[key]
        pipeline.steps = [*steps, (name, last)]
        last.fit(inputs, self.y)

    def share(self, fit: PreparedFit) -> None:
        """Let a prepared fit have the arrays of one before it where they hold the same values."""
        source = fit.source
        if isinstance(source, Samples) and not source.sparse and host.is_host(source.data.x):
            source.data = source.data._replace(x=self._once(source.data.x), y=self._once(source.data.y))

    def _once(self, array: Array) -> Array:
        for known in self._arrays:
            if known is array or (
                known.dtype == array.dtype and known.shape == array.shape and numpy.array_equal(known, array)
            ):
                return known
        self._arrays.append(array)
        return array


def _setting(before: list[Any], pipeline: Pipeline) -> str | None:
    """Return a key of the steps before the last with all their parameters; None where they cannot be shared."""
    if pipeline.verbose or getattr(pipeline, "transform_input", None) is not None:
        return None
    try:
        return str(hashed(before))
    except Exception:  # a step that cannot be pickled, such as a lambda
        return None
