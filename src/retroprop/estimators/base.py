"""The base class of the classifier and the regressor: the fit, by any solver, and forward propagation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted

from retroprop.backends import Backend, host_backend
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.estimators import arrays, lbfgs, parameters, randomness
from retroprop.estimators.common_device import OnOneDevice, on_one_device
from retroprop.estimators.conversion import Conversion
from retroprop.estimators.inspection import Inspection
from retroprop.estimators.moving import Moving, unchanged_before_an_update
from retroprop.estimators.prepared_fit import PreparedFit
from retroprop.estimators.ranks import generator_of, ranks_of
from retroprop.estimators.samples import Samples, chunk_rows, windows
from retroprop.estimators.targets import Targets
from retroprop.estimators.validation import Validation, score_of
from retroprop.estimators.watching import Callbacks, warn, warn_of_another_range
from retroprop.functions import initializers
from retroprop.functions.losses import Loss
from retroprop.functions.types import Array
from retroprop.inference import output_of
from retroprop.network import Network
from retroprop.training.course import are_finite
from retroprop.training.job import Job

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed. The estimator keeps the last weights with a finite loss."
)

Good = Callable[[], Parameters] | None


class BaseMLP(Moving, Conversion, Inspection, Callbacks, BaseEstimator, ABC):
    """The fit and the forward propagation of both estimators; use `MLPClassifier` or `MLPRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = parameters.CONSTRAINTS
    _form: Architecture  # of the last fit, whatever the estimator's parameters are set to now
    # `Any` stands for None: the parameters say which of them are there
    best_loss_: float | Any
    best_validation_score_: float | Any
    validation_scores_: list[float] | Any
    validation_loss_curve_: list[float] | Any

    # The differences between the two ---------------------------------------------------------------------------------

    @abstractmethod
    def _encoded(self, y: Any, *, role: str) -> Targets:
        """Return y, on the host and checked, for a "fit", "partial_fit", "batch" or "validation"."""

    @abstractmethod
    def _loss(self) -> Loss:
        """Return the loss of the output layer, of the current or the last fit."""

    @abstractmethod
    def _output_activation(self) -> Any:
        """Return its activation."""

    @abstractmethod
    def _validation_score(self, outputs: Array, scored: Array, weight: Array | None) -> float:
        """Return the accuracy or R² of outputs, all on the host; NaN if a prediction is not finite."""

    # The fit ------------------------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
        rows: Array | None = None,
    ) -> Any:
        with unchanged_before_an_update(self), ranks_of(self) as job:
            return self._fitted(X, y, sample_weight, incremental=incremental, validation=validation, rows=rows, job=job)

    def _fitted(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        incremental: bool,
        validation: tuple[Any, Any, Any],
        rows: Array | None = None,
        job: Job | None = None,
    ) -> Any:
        """Check everything, draw the weights, and train.

        Of some `rows` of the data, on the host, the classes are those of all.
        """
        parameters.check_together(self, incremental=incremental, validation=validation)
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        given, role = (X, y, sample_weight), "partial_fit" if incremental else "fit"
        x, lives_on, targets, weight = self._taken(*given, role=role, reset=first_pass)
        backend = arrays.working_backend(self.device, lives_on)
        dtype = str(x.dtype).rpartition(".")[2]
        # scikit-learn's order of draws: the weights, the validation split, then the order of each epoch.
        rng = generator_of(job, check_random_state(self.random_state))
        architecture = self._prepared(x, targets, backend, dtype, rng, first_pass=first_pass)
        # SciPy computes in float64, whatever the dtype of its input.
        works_in = "float64" if self.solver == "lbfgs" and backend == host_backend() else dtype
        if self.solver == "lbfgs":
            if rows is not None:
                x = arrays.rows_of(x, rows, backend, works_in)
                targets, weight = targets._replace(y=targets.y[rows]), None if weight is None else weight[rows]
            lbfgs.fit(self, architecture, Samples(backend, works_in, x, targets.y, weight), dtype, given)
            return self
        samples = Samples(backend, works_in, x, targets.y, weight)
        with backend.active():
            held_out = None
            if validation[0] is not None:
                held_out = self._given_validation(validation, backend, dtype, x)
            elif self.early_stopping:
                own = numpy.arange(samples.n) if rows is None else rows
                classes = None if targets.stratify is None else targets.stratify[own]
                parts = randomness.split(rng, len(own), self.validation_fraction, classes)
                rows, validation_rows = (own[part] for part in parts)
                if weight is not None and not weight[validation_rows].any():
                    raise ValueError(
                        "all rows that early_stopping splits off for validation have weight 0: raise "
                        "validation_fraction, set another random_state, or pass X_val and y_val."
                    )
                scored = score_of(self, targets, weight, validation_rows, given)
                held_out = Validation(samples, validation_rows, scored)
            n = samples.n if rows is None else len(rows)
            if self.batch_size != "auto" and self.batch_size > n:
                warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
            order = randomness.Shuffled(rows, n, self._batch_rows(n), shuffle=self.shuffle)
        PreparedFit(
            self, samples, order, architecture, rng, held_out, n=n, given=given, incremental=incremental, job=job
        ).train()
        return self

    def _prepared(
        self, x: Any, targets: Targets, backend: Backend, dtype: str, rng: Any, *, first_pass: bool
    ) -> Architecture:
        """Draw the weights, or move the present ones to the data; return the architecture for the training."""
        hidden = parameters.hidden_sizes(self.hidden_layer_sizes)
        sizes = (x.shape[1], *hidden, targets.n_outputs)
        self.n_outputs_ = targets.n_outputs
        if first_pass:
            self.out_activation_ = targets.out_activation
        elif sizes != self._layer_sizes():
            raise ValueError(
                f"a further fit needs the layers of the one before, {self._layer_sizes()}; "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} and y make {sizes}."
            )
        architecture = parameters.architecture_of(self, sizes, self._output_activation(), self._loss())
        if first_pass:
            self._begin(rng, sizes, backend, dtype)
        else:
            self._move_to(backend, dtype)
        # `predict` uses this form: a parameter set after the fit does not change the fitted network.
        self._form = parameters.without_training(architecture)
        return architecture if self.exact_loss else parameters.as_reported(architecture)

    def _taken(
        self, X: Any, y: Any, sample_weight: Any, *, role: str, reset: bool
    ) -> tuple[Any, Backend, Targets, Array | None]:
        """Return X, its backend, the targets and the weights, all checked."""
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        x, backend = arrays.taken_inputs(self, X, reset=reset)
        targets = self._encoded(arrays.to_host(y), role=role)
        if x.shape[0] != targets.y.shape[0]:
            check_consistent_length(x, targets.y)
        weight = self._sample_weights(sample_weight, x.shape[0], some=role != "batch")
        return x, backend, targets, self._weights(weight, y, begins=role != "batch")

    def _check_outputs(self, targets: Targets, role: str) -> Targets:
        """Return the targets of a later batch or of validation data, which must have as many outputs as the network."""
        if targets.n_outputs != self.n_outputs_:
            raise ValueError(
                f"y of a {role} makes {targets.n_outputs} outputs, and the network has {self.n_outputs_}: its columns "
                "must be those of the y of fit."
            )
        return targets

    def _weights(self, weight: Array | None, y: Any, *, begins: bool = False) -> Array | None:
        """Return the weights of the observations with those of their classes; `begins` with the y of the training."""
        return weight

    def _sample_weights(self, sample_weight: Any, n: int, *, some: bool = True) -> Array | None:
        """Return the weights of the observations, on the host, checked; `some` of them must be above 0."""
        if sample_weight is None:
            return None
        given = numpy.asarray(arrays.numbers(sample_weight, "sample_weight"))
        nothing = not some and not given.any()  # scikit-learn's check refuses that, from 1.9 on
        weight = _check_sample_weight(given + nothing, numpy.empty((n, 1)), ensure_non_negative=True) - nothing
        if some and not weight.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        return weight

    def _begin(self, rng: Any, sizes: tuple[int, ...], backend: Backend, dtype: str) -> None:
        """Draw the weights, and reset the counts."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(sizes)
        initializer = None if self.initializer is None else initializers.get(self.initializer)
        drawn = randomness.initial_weights(rng, sizes, initializer, logistic=parameters.is_logistic(self.activation))
        self.coefs_, self.intercepts_ = ([backend.asarray(part, dtype) for part in parts] for parts in drawn)
        self._best = self._parameters()
        # New weights: the moments of an earlier solver do not belong to them.
        self.__dict__.pop("_optimizer", None)
        for name in ("loss_curve_", "best_loss_"):  # L-BFGS has none
            self.__dict__.pop(name, None)
        if self.solver != "lbfgs":
            self.loss_curve_: list[float] = []
            self.best_loss_ = self.best_validation_score_ = self.validation_scores_ = self.validation_loss_curve_ = None

    def _begin_course(self, *, validates: bool, incremental: bool) -> float:
        """Begin the figures of a fit; return the least loss of the fits before that `best_loss_` reports too.

        Only `partial_fit` is measured against the fits before it: they may have had other data.
        """
        own = self.__dict__
        for name in ("loss_curve_", *(("validation_scores_", "validation_loss_curve_") if validates else ())):
            own[name] = own.get(name) or []
        least: float | None = own.get("best_loss_")
        if incremental and least is not None:
            return least
        self._no_improvement_count, self._best = 0, self._parameters()
        self.best_loss_ = None if self.early_stopping else numpy.inf
        self.best_validation_score_ = -numpy.inf if validates else None
        # The best weights, where they are kept, have the best figure.
        return numpy.inf if least is None or validates or self.restore_best else least

    def _given_validation(
        self, given: tuple[Any, Any, Any], backend: Backend, dtype: str, trained_on: Any = None
    ) -> Validation:
        """Return the validation data passed to `fit`."""
        X, y, sample_weight = given
        x, lives_on = arrays.taken_inputs(self, X, reset=False)
        warn_of_another_range(trained_on, x)
        if lives_on not in (backend, host_backend()):
            raise ValueError(f"X_val must live where X does, on {backend}, or on the host; it lives on {lives_on}.")
        if y is None:
            raise ValueError("X_val needs y_val, and y_val is None.")
        y = arrays.to_host(y)
        targets = self._check_outputs(self._encoded(y, role="validation"), "validation")
        check_consistent_length(x, targets.y)
        weight = self._weights(self._sample_weights(sample_weight, x.shape[0]), y)
        samples = Samples(backend, dtype, x, targets.y, weight)
        return Validation(samples, None, score_of(self, targets, weight, None, given))

    def _batch_rows(self, n: int) -> int:
        if self.batch_size != "auto":
            return int(min(self.batch_size, n))
        # A batch counts by its own weights: in a small last one, a row of a heavy class would be most of an update.
        return -(-n // -(-n // 200)) if n and self._weighs_classes() else min(200, n)

    def _weighs_classes(self) -> bool:
        """Return whether the classes have weights other than 1."""
        return False

    def _settle(self, found: Parameters, backend: Backend, dtype: str, *, good: Good = None) -> None:
        """Store the parameters that a solver has found; raise ValueError if they are not finite."""
        # The last good parameters are stored before the error is raised: the estimator stays usable.
        if not self._store(found, backend, dtype, good=good):
            raise ValueError(NOT_FINITE)

    def _store(self, found: Parameters, backend: Backend, dtype: str, *, good: Good = None) -> bool:
        """Store parameters, if they are not finite the last good ones; return whether they are."""
        is_finite = are_finite(found, backend)
        kept = found if is_finite else good and good()
        own: dict[str, Any] = {"_has_updated": True}
        if kept:  # else the initial parameters
            own["coefs_"] = [backend.asarray(theta.mT, dtype) for theta in kept.thetas]
            own["intercepts_"] = [backend.asarray(bias, dtype) for bias in kept.biases]
        self.__dict__.update(own)  # at once: Ctrl-C comes at any place
        return is_finite

    # The fitted network -------------------------------------------------------------------------------------

    def _fitted_with(self, found: Parameters) -> dict[str, Any]:
        """Return the attributes of an estimator that has these parameters."""
        return {"coefs_": [theta.mT for theta in found.thetas], "intercepts_": list(found.biases)}

    def _parameters(self) -> Parameters:
        return Parameters(tuple(coef.mT for coef in self.coefs_), tuple(self.intercepts_))

    def _layer_sizes(self) -> tuple[int, ...]:
        return (self.coefs_[0].shape[0], *(coef.shape[1] for coef in self.coefs_))

    @property
    def network_(self) -> Network:
        """The fitted network, as one of retroprop's own: copies of its parameters, no penalties, no dropout."""
        check_is_fitted(self)
        a, found = self._form, self._parameters()
        return Network.from_parameters(
            found.thetas, found.biases, hidden=a.hidden, output=a.output.activation, loss=a.output.loss
        )

    def _on_one_device(self, X: Any, method: str) -> OnOneDevice:
        """Return X and the fitted network on one device."""
        x, given = arrays.taken_inputs(self, X, reset=False, floats=False)
        return on_one_device(self, x, given, self._parameters(), self._form, method)

    def _outputs(self, X: Any, method: str) -> tuple[Array, Backend]:
        """Return a^(L) of X, one observation per row, on the device of X, and its backend."""
        here = self._on_one_device(X, method)
        # In chunks of rows: the activations of large inputs need not fit in memory at once.
        size = self.predict_batch_size
        size = chunk_rows(here.architecture.layer_sizes) if size == "auto" else size
        outputs = []
        with here.backend.active():
            for window in windows(here.n, size):
                x = here.rows(None if here.n <= size else window)
                outputs.append(output_of(here.backend, here.architecture, here.parameters, x))
            a = outputs[0] if len(outputs) == 1 else here.backend.xp.concat(outputs, axis=0)
        return here.to_input_device(a), here.given

    # The protocols of scikit-learn and Python ------------------------------------------------------------------------

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags of this estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.array_api_support = True
        return tags
