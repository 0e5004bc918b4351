"""MLPRegressor."""

from math import isfinite
from numbers import Real
from typing import Any, ClassVar

import numpy
from scipy import sparse
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d

from retroprop.estimators import arrays, parameters
from retroprop.estimators.base import BaseMLP
from retroprop.estimators.checks import checked_numbers
from retroprop.estimators.parameters import NamedParameters
from retroprop.estimators.streaming import fit_stream, is_stream
from retroprop.estimators.targets import Targets
from retroprop.estimators.watching import watched
from retroprop.functions import losses
from retroprop.functions.losses import Loss
from retroprop.functions.types import Array


class MLPRegressor(RegressorMixin, NamedParameters, BaseMLP):
    """A multilayer perceptron for regression: scikit-learn's `MLPRegressor` with more options.

    Parameters
    ----------
    loss : str or object
        The name of an entry of `retroprop.losses.LOSSES` whose `tasks` include regression: "squared_error", "poisson"
        (whose outputs are e^z), "quantile", ...; an object of `retroprop.losses`, or any object with `value` and
        `derivative`.
    hidden_layer_sizes : int or sequence of int
        Neurons of the hidden layers; `()` has none.
    activation : str, object, or a list of them
        f of the hidden layers, for all or one for each: "identity", "logistic" (here also "sigmoid"), "tanh", "relu"
        and every other elementwise entry of `retroprop.activations.ACTIVATIONS`, by its name.
    solver : str or object
        "lbfgs", "sgd", "adam" and every other entry of `retroprop.optimizers.OPTIMIZERS`, by its name; or an object of
        `retroprop.optimizers`, which has its own learning rate.
    alpha : float, or sequence of float
        Strength of the L2 penalty, for all layers of weights or one for each; divided by the rows of the batch, or by
        the sum of their weights.
    batch_size : int or "auto"
        Rows a step; "auto" is min(200, n_samples). "lbfgs" takes all; an iterator of batches has its own sizes.
    learning_rate : str or Schedule
        "constant", "invscaling" or "adaptive", which "adam" and "lbfgs" take no notice of, as in scikit-learn; or one
        of `retroprop.schedules`, for every solver but "lbfgs".
    learning_rate_init : float
        η at the beginning, unless a schedule or an object of `retroprop.optimizers` gives it.
    power_t : float
        The exponent of "invscaling".
    max_iter : int
        Epochs; iterations of "lbfgs".
    shuffle : bool
        Whether the rows are shuffled at each epoch; an iterator of batches has its own order.
    random_state : int, RandomState or None
        Draws weights, validation split, orders and dropout; the same gives the same model as scikit-learn's.
    tol : float
        The least improvement of the loss or the validation score that counts.
    verbose : bool or int
        Whether a line is printed for each epoch.
    warm_start : bool
        Whether `fit` goes on from the last one.
    momentum, nesterovs_momentum
        Of "sgd", and of any other solver by name whose optimizer has a momentum.
    early_stopping : bool
        Whether to stop when the validation score no longer improves; the best weights are kept then. "lbfgs" takes no
        notice of it, as in scikit-learn.
    validation_fraction : float
        The fraction split off for it, unless `fit` is given X_val.
    beta_1, beta_2, epsilon : float
        Of every solver by name whose optimizer has such a parameter ("adam" has all three).
    n_iter_no_change : int or inf
        Consecutive epochs without improvement that are tolerated.
    max_fun : int
        Evaluations of "lbfgs" at most.
    quantile : float
        The quantile that loss="quantile" estimates, in (0, 1).
    l1 : float, or sequence of float
        Strength of the L1 penalty, as `alpha` is of L2.
    dropout : float, or sequence of float
        The fraction of the neurons of all hidden layers, or of each, masked at each step.
    initializer : str, object or None
        Of `retroprop.initializers`; None is scikit-learn's.
    clip_norm : float or None
        The largest Euclidean norm of all gradients together.
    scoring : str, callable or None
        The validation score, where rows are split off or X_val is given: a scorer of scikit-learn, "loss", or
        None for R².
    restore_best : bool
        Whether the weights of the best epoch are kept without early stopping too: by the validation score if there is
        one, else by the training loss.
    exact_loss : bool
        Whether the loss is reported as it is differentiated; scikit-learn reports the squared error of several outputs
        as their mean, and differentiates the sum.
    predict_batch_size : int or "auto"
        Rows propagated at once outside `fit`; "auto" keeps the activations within 64 MiB.
    device : str or None
        The backend on which host data are computed ("auto", "cupy", "torch:cuda:0", ...); None is NumPy. Arrays on a
        device are computed there.
    progress : bool
        Whether a bar is shown, on standard error where that is a terminal.
    checkpoint : Checkpoint or None
        Where a fit is stored as it goes on, and whether it goes on from there. With it "lbfgs" is retroprop's own on
        the host too, since SciPy's has no state that could be stored: the iterations round differently.
    parallel : Parallel or None
        The engine that connects the processes that share a fit, as `retroprop.scale.MPI()`: each passes all rows, and
        has the same fitted estimator.

    Attributes
    ----------
    coefs_, intercepts_ : list of array
        Weights (n_in, n_out) and biases (n_out,) of the layers, where the data lived.
    loss_, loss_curve_, best_loss_, n_iter_, t_ : as in scikit-learn
        The last loss, that of each epoch, the best (None with early stopping), epochs, and samples seen.
    validation_scores_, best_validation_score_, validation_loss_curve_
        The score of each epoch, the best, and the loss without penalties; None without validation data.
    n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        The form of the network.
    network_ : Network
        The fitted network, as retroprop's own.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **parameters.CONSTRAINTS,
        "loss": [parameters.TableNames("loss", parameters.regression_losses), HasMethods(["value", "derivative"])],
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
        checkpoint: Any = None,
        parallel: Any = None,
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
        self.checkpoint = checkpoint
        self.parallel = parallel

    @watched
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the network.

        Parameters
        ----------
        X : array, sparse matrix or frame (n_samples, n_features)
            Of any array library; or an iterator of batches (X, y) or (X, y, sample_weight), which is one epoch, or a
            function that returns one for each epoch.
        y : array
            Values, (n_samples,) or (n_samples, n_outputs).
        sample_weight : array (n_samples,), optional
            The weight of each row, 0 or above.
        X_val, y_val, sample_weight_val : array, optional
            Data that are evaluated after each epoch; with early stopping nothing is split off then.

        Returns
        -------
        MLPRegressor
            Itself. Ctrl-C ends the fit with the current weights.

        Raises
        ------
        ValueError
            For bad parameters or data; and where weights become infinite: the last good ones are kept.
        """
        if is_stream(X, y):
            return fit_stream(self, X, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Run one epoch over the given data, going on from the last.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the predicted values, (n,) or (n, n_outputs), where X lives."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict")
        return backend.xp.reshape(a, (-1,)) if a.shape[1] == 1 else a

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R² of the predictions."""
        y, weight = arrays.numbers(y, "y"), arrays.numbers(sample_weight, "sample_weight")
        return _r2(y, arrays.to_host(self.predict(X)), weight)

    def _encoded(self, y: Any, *, role: str) -> Targets:
        given = arrays.numbers(y, "y")
        y = _check_y(given, multi_output=True, y_numeric=True, estimator=self)
        if sparse.issparse(y):
            raise TypeError("y is a sparse matrix: pass y.toarray().")
        # In lists, frames and objects that check does not see every missing value.
        if type(given) is not numpy.ndarray or given.dtype == object:
            checked_numbers(y, self, "y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = y.reshape(-1, 1) if y.ndim == 1 else y
        loss = self._loss()
        least = loss.target_range[0]
        if isfinite(least) and numpy.any(columns < least):
            raise ValueError(f"loss={loss.name!r} needs y >= {least:g}; the least is {numpy.min(columns)}.")
        # A loss of classes keeps the output it always had here, and is refused for it.
        out = loss.link if loss.link is not None and "regression" in loss.tasks else "identity"
        return Targets(columns, columns.shape[1], out, y)

    def _set_classes(self, classes: Any, y: Any, *, reset: bool) -> None:
        """Do nothing: the values of later batches need not be known beforehand."""

    def _loss(self) -> Loss:
        return losses.Quantile(self.quantile) if self.loss == "quantile" else losses.get(self.loss)

    def _output_activation(self) -> Any:
        return self.out_activation_

    def _validation_score(self, outputs: Array, scored: Array, weight: Array | None) -> float:
        if not numpy.isfinite(outputs).all():
            return float("nan")
        predicted = outputs.ravel() if outputs.shape[1] == 1 else outputs
        return _r2(scored, predicted, weight)


def _r2(y: Array, predicted: Array, weight: Array | None) -> float:
    from sklearn.metrics import r2_score  # slow to load, as in scikit-learn's own `score`

    return float(r2_score(y, predicted, sample_weight=weight))
