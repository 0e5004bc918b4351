"""scikit-learn estimators of raw tables: the preprocessing and training of `tabular.fit` behind `fit` and `predict`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, _num_samples, check_consistent_length, check_is_fitted, validate_data

from retroprop.network import Network
from retroprop.tabular.card import columns_of
from retroprop.tabular.cells import Cells
from retroprop.tabular.preprocessing import Preprocessing
from retroprop.tabular.raw import RawTable
from retroprop.tabular.raw_target import RawTarget
from retroprop.tabular.reading import read
from retroprop.tabular.schema import Schema, find_schema
from retroprop.tabular.splitting import set_aside
from retroprop.tabular.targets import TargetColumn
from retroprop.tabular.training import VALIDATION_FRACTION, loss_of, outputs_of, train
from retroprop.tabular.training_options import TrainingOptions


class _TabularEstimator(BaseEstimator):  # type: ignore[misc]
    """The fit that both estimators share; use `TabularClassifier` or `TabularRegressor`."""

    network_: Network
    _schema: Schema
    _preprocessing: Preprocessing
    _target: TargetColumn

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (100,),
        activation: Any = "relu",
        loss: str | None = None,
        optimizer: str = "adam",
        learning_rate: float | None = None,
        schedule: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        dropout: float = 0.0,
        l2: float = 1e-3,
        l1: float = 0.0,
        initializer: str = "glorot_uniform",
        clip_norm: float | None = None,
        early_stopping: bool = False,
        patience: int | None = None,
        missing: str = "fill",
        categorical: Sequence[str | int] = (),
        dtype: str = "float32",
        backend: Any = None,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.dropout = dropout
        self.l2 = l2
        self.l1 = l1
        self.initializer = initializer
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.patience = patience
        self.missing = missing
        self.categorical = categorical
        self.dtype = dtype
        self.backend = backend
        self.random_state = random_state

    def _fit(self, X: Any, raw_target: RawTarget, target: TargetColumn | None, class_weight: Any = None) -> None:
        """Train on X (m, n) and a target without missing values; `target` is None for a regression."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        own = {name: value for name, value in self.get_params(deep=False).items() if name in _OPTIONS}
        task = "regression" if target is None else "classification"
        options = TrainingOptions(
            **{**own, "hidden": tuple(self.hidden), "class_weight": class_weight}, seed=seed, task=task, test_size=0.0
        )
        options.check()
        raw = _features(X)
        self._schema = _schema_without_target(raw, columns_of(self.categorical, raw.columns))
        typed = self._schema.typed(raw, want_target=False)
        classes = None if target is None else target.encode(raw_target)
        fraction = VALIDATION_FRACTION if options.stops_early else 0.0
        rng = np.random.default_rng((seed, 1))
        rows, aside = set_aside(np.arange(typed.n_rows), classes, fraction, rng)
        self._preprocessing = Preprocessing.of_schema(self._schema, typed, rows, options.missing)
        if target is None:
            target = TargetColumn.of_numbers(raw_target, rows, loss_of(self.loss, task), typed.where)
        self._target = target
        x, y = self._preprocessing(typed), target.encode(raw_target)
        trained = train(options, target, x[rows], y[rows], (x[aside], y[aside]) if aside.size else None)
        self.network_ = trained.network
        self.n_iter_ = len(trained.history)
        self.loss_curve_ = list(trained.history.cost)
        self.notes_ = list(self._schema.notes)

    def _outputs(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self, "network_")
        raw = _features(self._checked(X, reset=False), self._schema)
        typed = self._schema.typed(raw, want_target=False)
        if self.missing == "refuse":
            self._preprocessing.refuse_missing(typed)
        return outputs_of(self.network_, self._preprocessing(typed))

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Return X as scikit-learn checks it: a frame as it is, anything else as an array of numbers, NaN allowed."""
        if hasattr(X, "columns") and hasattr(X, "__getitem__"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        if _has_texts(X):
            validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
            return {str(j): np.asarray(X, dtype=object)[:, j] for j in range(np.shape(X)[1])}
        return validate_data(self, X, reset=reset, ensure_all_finite="allow-nan")

    def _checked_pair(self, X: Any, y: Any, *, numeric: bool) -> tuple[Any, NDArray[Any]]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        X = self._checked(X, reset=True)
        y = _check_y(y, multi_output=False, y_numeric=numeric, estimator=self)
        rows = X if not isinstance(X, dict) else next(iter(X.values()))
        check_consistent_length(rows, y)
        if _num_samples(rows) < 2:
            raise ValueError("n_samples=1: a training needs at least two samples.")
        return X, y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "fill"
        tags.non_deterministic = False
        return tags


_OPTIONS = frozenset(TrainingOptions.__dataclass_fields__) - {"hidden"}


class TabularClassifier(ClassifierMixin, _TabularEstimator):  # type: ignore[misc]
    """A classifier of raw tables: numbers, categories, booleans and dates, with missing values.

    X is a pandas or polars frame, or an array. The types of its columns, medians and categories are found in `fit`; a
    category that `fit` did not see counts as missing. Identifiers and constant columns are left out.

    Parameters
    ----------
    class_weight : "balanced", dict or None
        The weights of the classes in the cost.
    hidden, activation, loss, optimizer, learning_rate, schedule, epochs, batch_size, dropout, l2, l1, initializer, \
clip_norm, early_stopping, patience, missing, categorical, dtype, backend
        As for `retroprop.tabular.fit`.
    random_state : int, RandomState or None
        Draws the validation rows, the parameters, the batches and the masks.

    Attributes
    ----------
    classes_ : array (k,)
        The labels, exactly as y held them.
    network_ : Network
        The trained network, which takes standardised inputs.
    n_features_in_, feature_names_in_
        Of the data seen in `fit`.
    n_iter_, loss_curve_
        The number of epochs, and the cost of each.
    notes_ : list of str
        One line for everything that was left out or read in an unusual way.
    """

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (100,),
        activation: Any = "relu",
        loss: str | None = None,
        optimizer: str = "adam",
        learning_rate: float | None = None,
        schedule: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        dropout: float = 0.0,
        l2: float = 1e-3,
        l1: float = 0.0,
        initializer: str = "glorot_uniform",
        clip_norm: float | None = None,
        class_weight: Any = None,
        early_stopping: bool = False,
        patience: int | None = None,
        missing: str = "fill",
        categorical: Sequence[str | int] = (),
        dtype: str = "float32",
        backend: Any = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            hidden=hidden,
            activation=activation,
            loss=loss,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            epochs=epochs,
            batch_size=batch_size,
            dropout=dropout,
            l2=l2,
            l1=l1,
            initializer=initializer,
            clip_norm=clip_norm,
            early_stopping=early_stopping,
            patience=patience,
            missing=missing,
            categorical=categorical,
            dtype=dtype,
            backend=backend,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (m, n), a frame or an array, and the labels y (m,)."""
        X, y = self._checked_pair(X, y, numeric=False)
        if y.dtype.kind == "O" and any(label is None for label in y):
            raise ValueError("y holds None: leave the rows without a label out.")
        check_classification_targets(y)
        self.classes_, which = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}; there is nothing to learn.")
        target = TargetColumn(name="y", task="classification", classes=tuple(range(len(self.classes_))))
        self._fit(X, _raw_target("category", None, which.tolist()), target, self._weights_by_index())
        return self

    def _weights_by_index(self) -> Any:
        """Return `class_weight` with the indices of the classes in place of the labels."""
        if not isinstance(self.class_weight, dict):
            return self.class_weight
        known = self.classes_.tolist()
        unknown = [label for label in self.class_weight if label not in known]
        if unknown:
            raise ValueError(f"class_weight has {unknown}, not among the classes {known}.")
        return {known.index(label): weight for label, weight in self.class_weight.items()}

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of every class (m, k); the columns are `classes_`."""
        outputs = self._outputs(X)
        return self._target.probabilities(outputs)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the labels (m,), of the dtype of y."""
        which = np.argmax(self.predict_proba(X), axis=1)
        return np.asarray(self.classes_[which])


class TabularRegressor(RegressorMixin, _TabularEstimator):  # type: ignore[misc]
    """A regressor of raw tables: numbers, categories, booleans and dates, with missing values.

    X is a pandas or polars frame, or an array, read as `TabularClassifier` reads it. y is standardised in float64, so
    that targets of any magnitude can be learned.

    Parameters
    ----------
    hidden, activation, loss, optimizer, learning_rate, schedule, epochs, batch_size, dropout, l2, l1, initializer, \
clip_norm, early_stopping, patience, missing, categorical, dtype, backend
        As for `retroprop.tabular.fit`.
    random_state : int, RandomState or None
        Draws the validation rows, the parameters, the batches and the masks.

    Attributes
    ----------
    network_ : Network
        The trained network, which takes and returns standardised numbers.
    n_features_in_, feature_names_in_
        Of the data seen in `fit`.
    n_iter_, loss_curve_
        The number of epochs, and the cost of each.
    notes_ : list of str
        One line for everything that was left out or read in an unusual way.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (m, n), a frame or an array, and the numbers y (m,)."""
        X, y = self._checked_pair(X, y, numeric=True)
        self._fit(X, _raw_target("number", np.asarray(y, dtype=np.float64), [None] * len(y)), None)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the numbers (m,), float64, in the unit of y."""
        outputs = self._outputs(X)
        return self._target.numbers(outputs)


def _has_texts(X: Any) -> bool:
    """Return whether X is an array of rows and columns that holds texts."""
    if not isinstance(X, np.ndarray) or X.ndim != 2:
        return False
    return X.dtype.kind == "U" or (X.dtype.kind == "O" and any(isinstance(value, str) for value in X.flat))


def _features(X: Any, schema: Schema | None = None) -> RawTable:
    """Return X as a table of features alone: the last column of an array is no target here."""
    return replace(read(X, layout=None if schema is None else schema.layout), target=None)


def _raw_target(kind: str, values: NDArray[np.float64] | None, labels: list[Any]) -> RawTarget:
    return RawTarget(name="y", kind=kind, values=values, labels=labels, missing=np.zeros(len(labels), dtype=bool))


def _schema_without_target(raw: RawTable, categorical: list[str]) -> Schema:
    """Return the schema of features alone: that of the table with one more column, whose name no other has."""
    name = "y"
    while name in raw.columns:
        name += "_"
    columns = {**raw.columns, name: Cells(np.arange(raw.n_rows))}
    return find_schema(replace(raw, columns=columns), target=name, categorical=categorical)
