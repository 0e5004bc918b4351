"""MLPRegressor."""

from numbers import Real
from typing import Any, ClassVar

import numpy
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d

from retroprop.estimators import arrays, parameters
from retroprop.estimators.base import BaseMLP
from retroprop.estimators.targets import Targets
from retroprop.estimators.watching import watched
from retroprop.functions import losses
from retroprop.functions.losses import Loss
from retroprop.functions.types import Array


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multilayer perceptron for regression."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **parameters.CONSTRAINTS,
        "loss": [StrOptions(set(parameters.REGRESSION_LOSSES)), HasMethods(["value", "derivative"])],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
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
        quantile: float = 0.5,
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
        self.loss = loss
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
        self.quantile = quantile
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
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the network."""
        return self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Run one epoch over the given data."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the predicted values, (n,) or (n, n_outputs), where X lives."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict")
        return backend.xp.reshape(a, (-1,)) if a.shape[1] == 1 else a

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R² of the predictions."""
        y, weight = arrays.to_host(y), arrays.to_host(sample_weight)
        return float(r2_score(y, arrays.to_host(self.predict(X)), sample_weight=weight))

    def _encoded(self, y: Any, *, role: str) -> Targets:
        y = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = y.reshape(-1, 1) if y.ndim == 1 else y
        if self.loss == "poisson" and numpy.any(columns < 0):
            raise ValueError(f"loss='poisson' needs y >= 0; the least is {numpy.min(columns)}.")
        out = "exp" if self.loss == "poisson" else "identity"
        return Targets(columns, columns.shape[1], out, y)

    def _loss(self) -> Loss:
        return losses.Quantile(self.quantile) if self.loss == "quantile" else losses.get(self.loss)

    def _output_activation(self) -> Any:
        return self.out_activation_

    def _validation_score(self, outputs: Array, scored: Array, weight: Array | None) -> float:
        if not numpy.isfinite(outputs).all():
            return float("nan")
        predicted = outputs.ravel() if outputs.shape[1] == 1 else outputs
        return float(r2_score(scored, predicted, sample_weight=weight))
