"""MLPClassifier."""

from typing import Any, ClassVar

import numpy
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target
from sklearn.utils.validation import check_is_fitted

from retroprop.estimators import arrays, parameters
from retroprop.estimators.classes import Classes
from retroprop.estimators.moving import unchanged_before_an_update
from retroprop.estimators.parameters import NamedParameters
from retroprop.estimators.sklearn_names import ours
from retroprop.estimators.streaming import fit_stream, is_stream
from retroprop.estimators.targets import LabelColumns, Labels, are_columns
from retroprop.estimators.watching import watched
from retroprop.functions import losses
from retroprop.functions.losses import Loss
from retroprop.functions.types import Array
from retroprop.training.arguments import shortened


class MLPClassifier(ClassifierMixin, NamedParameters, Classes):
    """A multilayer perceptron for classification: scikit-learn's `MLPClassifier` with more options.

    One column of classes, several (each with a softmax of its own), or a multilabel indicator.

    Parameters
    ----------
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
    loss : str or object
        "log_loss" (here also "cross_entropy"), or another loss of the probabilities: the name of an entry of
        `retroprop.losses.LOSSES` whose `tasks` include classification, an object of `retroprop.losses`, or any object
        with `value` and `derivative`.
    class_weight : dict, list of dict, "balanced" or None
        The weight of each class, 1 where the dict has none; for several columns a list of one dict a column. For an
        iterator of batches and `partial_fit` it must be a dict. The validation loss and the default validation score
        follow it, as the training does, and of epochs of one score that of the least loss is the best, and a lower loss
        counts as an improvement; `scoring` chooses a score that does not follow it. Where the weights are not all 1,
        batch_size="auto" divides the rows into equal batches of at most 200.
    stratify : bool or "binary"
        Whether the validation split keeps the fractions of the classes; "binary" does so for two classes only, as in
        scikit-learn.
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
        None for accuracy.
    restore_best : bool
        Whether the weights of the best epoch are kept without early stopping too: by the validation score if there is
        one, else by the training loss.
    exact_loss : bool
        Whether the loss is reported as it is differentiated; scikit-learn reports log-losses of probabilities clipped
        to [ε, 1 − ε].
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
    classes_ : array, or list of array for several columns
        The classes, on the host.
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
        "loss": [parameters.TableNames("loss", parameters.classification_losses), HasMethods(["value", "derivative"])],
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
        checkpoint: Any = None,
        parallel: Any = None,
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
        classes: Any = None,
    ) -> Any:
        """Fit the network.

        Parameters
        ----------
        X : array, sparse matrix or frame (n_samples, n_features)
            Of any array library; or an iterator of batches (X, y) or (X, y, sample_weight), which is one epoch, or a
            function that returns one for each epoch.
        y : array
            Labels (n_samples,), several columns of them, or a multilabel indicator.
        sample_weight : array (n_samples,), optional
            The weight of each row, 0 or above.
        X_val, y_val, sample_weight_val : array, optional
            Data that are evaluated after each epoch; with early stopping nothing is split off then.
        classes : array, optional
            All the classes, where X gives batches.

        Returns
        -------
        MLPClassifier
            Itself. Ctrl-C ends the fit with the current weights.

        Raises
        ------
        ValueError
            For bad parameters or data; and where weights become infinite: the last good ones are kept.
        """
        if is_stream(X, y):
            validation = X_val, y_val, sample_weight_val
            return fit_stream(self, X, sample_weight, classes=classes, validation=validation)
        if classes is not None:
            raise ValueError(
                f"fit(X, y, classes={shortened(classes)}): classes are for X that is an iterator of batches, or a "
                "function that returns one. With y they are those in y: leave classes out."
            )
        return self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Run one epoch over the given data, going on from the last.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array, optional
            All the classes; needed at the first call. For several columns a list of them.
        """
        y, classes = arrays.to_host(y), arrays.to_host(classes)
        self._refuse_balanced("partial_fit")
        with unchanged_before_an_update(self):  # the classes too
            if are_columns(classes):
                self._set_classes(classes, y, reset=not hasattr(self, "classes_"))
            elif _check_partial_fit_first_call(self, classes):
                self._coding = Labels(y if type_of_target(y).startswith("multilabel") else classes)
            return self._fitted(X, y, sample_weight, incremental=True, validation=(None, None, None))

    def predict(self, X: Any) -> Array:
        """Return the predicted classes, (n,), for labels an indicator (n, n_classes), (n, n_columns) for several."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict")
        with backend.active():
            return self._coding.labels(a, backend)

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities (n, n_classes), in the order of `classes_`; a list of them for several columns."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict_proba")
        with backend.active():
            return self._coding.probabilities(a, backend)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the probabilities."""
        check_is_fitted(self)
        a, backend = self._outputs(X, "predict_log_proba")
        log = backend.xp.log
        with backend.active():
            found = self._coding.probabilities(a, backend)
            return [log(part) for part in found] if isinstance(found, list) else log(found)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the predictions; of several columns, the fraction of rows right in all of them."""
        y, weight = arrays.to_host(y), arrays.numbers(sample_weight, "sample_weight")
        predicted = arrays.to_host(self.predict(X))
        if isinstance(self._coding, LabelColumns):
            y = numpy.asarray(y)
            if y.shape != predicted.shape:
                raise ValueError(f"y must have the shape {predicted.shape}, a label a row and column, not {y.shape}.")
            return float(numpy.average((predicted == y).all(axis=1), weights=weight))
        from sklearn.metrics import accuracy_score  # slow to load, as in scikit-learn's own `score`

        return float(accuracy_score(y, predicted, sample_weight=weight))

    def _loss(self) -> Loss:
        loss = ours("loss", self.loss)
        # Of a single probability, −y log p is not the log-loss: the coding of the labels has the right one.
        if loss == "cross_entropy" or type(loss) is losses.CrossEntropy:
            return self._coding.loss()
        return losses.get(loss)

    def _output_activation(self) -> Any:
        return self._coding.output_activation()

    def _validation_score(self, outputs: Array, scored: Array, weight: Array | None) -> float:
        return float(numpy.average(self._coding.right(outputs, scored), weights=weight))

    def __sklearn_tags__(self) -> Any:
        """Return the tags by which scikit-learn knows this estimator's abilities."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
