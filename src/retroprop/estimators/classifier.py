"""MLPClassifier."""

from typing import Any, ClassVar

import numpy
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d

from retroprop.backends import host_backend
from retroprop.core.parameters import Parameters
from retroprop.estimators import arrays, parameters
from retroprop.estimators.base import BaseMLP, Targets
from retroprop.estimators.validation import Validation
from retroprop.estimators.watching import watched
from retroprop.functions import losses
from retroprop.functions.losses import Loss
from retroprop.functions.types import Array


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multilayer perceptron for classification."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **parameters.CONSTRAINTS,
        "loss": [StrOptions(set(parameters.CLASSIFICATION_LOSSES)), HasMethods(["value", "derivative"])],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "stratify": [StrOptions({"binary"}), "boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        stratify: Any = "binary",
        l1: Any = 0.0,
        dropout: Any = 0.0,
        initializer: Any = None,
        clip_norm: float | None = None,
        scoring: Any = None,
        restore_best: bool = False,
        exact_loss: bool = False,
        predict_batch_size: Any = "auto",
        device: str | None = None,
        progress: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.stratify = stratify
        self.l1 = l1
        self.dropout = dropout
        self.initializer = initializer
        self.clip_norm = clip_norm
        self.scoring = scoring
        self.restore_best = restore_best
        self.exact_loss = exact_loss
        self.predict_batch_size = predict_batch_size
        self.device = device
        self.progress = progress

    @watched
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the network."""
        return self._fit(X, y, sample_weight)

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Run one epoch over the given data."""
        classes = arrays.to_host(classes)
        if _check_partial_fit_first_call(self, classes):
            y = arrays.to_host(y)
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the predicted classes, (n,), or for labels an indicator (n, n_classes)."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict")
        return self._labels(a, backend)

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities (n, n_classes), in the order of `classes_`."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict_proba")
        return backend.xp.concat([1.0 - a, a], axis=1) if a.shape[1] == 1 else a

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict_log_proba")
        with backend.active():
            return backend.xp.log(backend.xp.concat([1.0 - a, a], axis=1) if a.shape[1] == 1 else a)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the predictions."""
        y, weight = arrays.to_host(y), arrays.to_host(sample_weight)
        return float(accuracy_score(y, arrays.to_host(self.predict(X)), sample_weight=weight))

    # Classes ------------------------------------------------------------------------------------------------

    def _labels(self, a: Array, backend: Any) -> Array:
        """Return the classes that outputs stand for, where they live if that library can hold them."""
        if backend == host_backend():
            return self._label_binarizer.inverse_transform(a.ravel() if a.shape[1] == 1 else a)
        xp, indices = backend.xp, "int32"
        with backend.active():
            if self.out_activation_ == "softmax":
                which = xp.argmax(a, axis=1)
            elif a.shape[1] > 1:
                return backend.asarray(a > 0.5, indices)
            else:
                which = backend.asarray(a[:, 0] > 0.5, indices)
            if self.classes_.dtype.kind in "OUS":
                return self.classes_[backend.to_numpy(which)]
            return xp.take(backend.asarray(self.classes_), which, axis=0)

    def _encoded(self, y: Any, *, incremental: bool) -> Targets:
        y = _check_y(y, multi_output=True, estimator=self)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y))
        columns = self._label_binarizer.transform(y).astype(bool)
        n_outputs = columns.shape[1]
        softmax = self._label_binarizer.y_type_ == "multiclass"
        targets = columns.argmax(axis=1) if softmax else columns.astype("float64")
        stratify = self.stratify if isinstance(self.stratify, bool) else n_outputs == 1
        kept = None if not stratify else columns if n_outputs == 1 or not softmax else targets
        return Targets(targets, n_outputs, "softmax" if softmax else "logistic", columns, kept)

    def _check_classes(self, found: Array) -> None:
        known = arrays.to_host(self.classes_)
        if self.warm_start:
            if set(found) != set(known):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {known}, `y` has {found}"
                )
        elif len(numpy.setdiff1d(found, known, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has {found}.")

    def _weights(self, sample_weight: Any, y: Any, n: int) -> Array | None:
        weight = super()._weights(sample_weight, y, n)
        if self.class_weight is None:
            return weight
        of_classes = compute_sample_weight(self.class_weight, arrays.to_host(y))
        return of_classes if weight is None else weight * of_classes

    def _loss(self) -> Loss:
        if self.loss != "log_loss":
            return losses.get(self.loss)
        return losses.CrossEntropy() if self.out_activation_ == "softmax" else losses.BinaryCrossEntropy()

    def _validation_score(self, validation: Validation, loss: float, outputs: Array, fitted: Parameters) -> float:
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == validation.y.argmax(axis=1)
        else:
            right = ((outputs > 0.5) == validation.y).all(axis=1)
        return float(numpy.average(right, weights=validation.weight))

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may ask of this estimator."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
