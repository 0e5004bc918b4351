"""MLPEnsembleClassifier."""

from typing import Any, ClassVar

import numpy
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import type_of_target

from retroprop.backends import Backend
from retroprop.estimators.arrays import to_host
from retroprop.estimators.base import BaseMLP
from retroprop.estimators.classifier import MLPClassifier
from retroprop.estimators.ensembles import BaseEnsemble, statistics
from retroprop.functions.types import Array


class MLPEnsembleClassifier(ClassifierMixin, BaseEnsemble):
    """Several networks for classification, trained together, whose mean probabilities decide.

    Parameters
    ----------
    estimator : MLPClassifier or None
        The members are copies of it; None is `MLPClassifier()`.
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
    estimators_ : list of MLPClassifier
        The members.
    classes_ : array, or list of array for several columns
        The classes.
    out_of_fold_ : array (n, n_classes), or list of them for several columns
        With `folds` or `bootstrap`, the probabilities of the training rows, each of the members that have not seen it;
        NaN for a row that all have seen.
    networks_ : list of Network
        The networks of the members.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseEnsemble._parameter_constraints,
        "estimator": [MLPClassifier, None],
    }

    def predict(self, X: Any) -> Array:
        """Return the classes with the largest mean probabilities, in the form of `MLPClassifier.predict`."""
        outputs, backend = self._member_outputs(X, "predict")
        with backend.active():
            return self._coding.labels(backend.xp.mean(outputs, axis=0), backend)

    def predict_proba(self, X: Any) -> Any:
        """Return the mean probabilities (n, n_classes); a list of them for several columns."""
        outputs, backend = self._member_outputs(X, "predict_proba")
        with backend.active():
            return self._coding.probabilities(backend.xp.mean(outputs, axis=0), backend)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the mean probabilities."""
        outputs, backend = self._member_outputs(X, "predict_log_proba")
        with backend.active():
            found = self._coding.probabilities(backend.xp.mean(outputs, axis=0), backend)
            return list(map(backend.xp.log, found)) if isinstance(found, list) else backend.xp.log(found)

    def predict_std(self, X: Any) -> Any:
        """Return the standard deviation of the members' probabilities, in the form of `predict_proba`."""
        outputs, backend = self._member_outputs(X, "predict_std")
        found = statistics(backend, outputs)[1]
        # Of one output p the probabilities are 1 − p and p, whose deviations are equal.
        if found.shape[1] == 1:
            return backend.xp.concat([found, found], axis=1)
        return self._coding.probabilities(found, backend)

    def member_probabilities(self, X: Any) -> Any:
        """Return the probabilities (n_members, n, n_classes) of each member; a list of them for several columns."""
        outputs, backend = self._member_outputs(X, "member_probabilities")
        with backend.active():
            found = [self._coding.probabilities(outputs[i, ...], backend) for i in range(len(self.estimators_))]
            if isinstance(found[0], list):
                return [backend.xp.stack(column) for column in zip(*found, strict=True)]
            return backend.xp.stack(found)

    def member_predictions(self, X: Any) -> Array:
        """Return the classes (n_members, n) that each member predicts; for labels and columns (n_members, n, ...)."""
        outputs, backend = self._member_outputs(X, "member_predictions")
        with backend.active():
            found = [self._coding.labels(outputs[i, ...], backend) for i in range(len(self.estimators_))]
            return (numpy if isinstance(found[0], numpy.ndarray) else backend.xp).stack(found)

    def disagreement(self, X: Any) -> Array:
        """Return for each row the fraction of the members (n,) that predict another class than the ensemble."""
        own, together = to_host(self.member_predictions(X)), to_host(self.predict(X))
        differs = own != together
        return numpy.mean(differs if differs.ndim == 2 else differs.any(axis=-1), axis=0)

    score = MLPClassifier.score

    @property
    def _coding(self) -> Any:
        return self.estimators_[0]._coding

    @property
    def classes_(self) -> Any:
        """The classes, on the host."""
        return self.estimators_[0].classes_

    def _template(self) -> BaseMLP:
        return MLPClassifier() if self.estimator is None else self.estimator

    def _splitter(self, y: Any) -> Any:
        from sklearn.model_selection import KFold, StratifiedKFold  # slow to load

        return StratifiedKFold if type_of_target(to_host(y)) in ("binary", "multiclass") else KFold

    def _as_predicted(self, outputs: Array, backend: Backend) -> Any:
        return self._coding.probabilities(outputs, backend)

    def __sklearn_tags__(self) -> Any:
        """Return the tags by which scikit-learn knows this estimator's abilities."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
