"""What the classifier and the regressor share: one fit, by any solver, and propagation of data through the result."""

import warnings
from abc import ABC, abstractmethod
from copy import copy
from math import prod
from typing import Any, ClassVar

import numpy
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted

from retroprop.backends import Backend, backend_of, get_backend, host_backend
from retroprop.backends.backend import Demands
from retroprop.core.architecture import Architecture
from retroprop.core.forward import forward
from retroprop.core.parameters import Parameters
from retroprop.estimators import arrays, drawing, lbfgs, moving, parameters
from retroprop.estimators.descent import Descent, finite
from retroprop.estimators.samples import Minibatches, Samples, chunk_rows, windows
from retroprop.estimators.stopping import Solver
from retroprop.estimators.targets import Targets
from retroprop.estimators.validation import Validation, score_of
from retroprop.estimators.watching import Callbacks, Watching
from retroprop.functions import initializers
from retroprop.functions.losses import Loss
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.training.step import Step, bind

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed. The estimator keeps the last weights with a finite loss."
)


class BaseMLP(Callbacks, BaseEstimator, ABC):
    """The fit and the propagation both estimators have; use `MLPClassifier` or `MLPRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = parameters.CONSTRAINTS
    best_loss_: float | None
    best_validation_score_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None

    # What the two differ in ---------------------------------------------------------------------------------

    @abstractmethod
    def _encoded(self, y: Any, *, role: str) -> Targets:
        """Return y, on the host and checked, as the fit takes it; the role is "fit", "partial_fit" or "validation"."""

    @abstractmethod
    def _loss(self) -> Loss:
        """Return the loss of the fitted (or begun) output layer."""

    @abstractmethod
    def _output_activation(self) -> Any:
        """Return its activation."""

    @abstractmethod
    def _validation_score(self, outputs: Array, scored: Array, weight: Array | None) -> float:
        """Return the accuracy or R² of outputs, all on the host; NaN where a prediction is not finite."""

    # The fit ------------------------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> Any:
        hidden = parameters.hidden_sizes(self.hidden_layer_sizes)
        parameters.check_together(self, incremental=incremental, validates=validation[0] is not None)
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        given = (X, y, sample_weight)
        x, lives_on, targets, weight = self._taken(X, y, sample_weight, incremental=incremental, reset=first_pass)
        backend = arrays.working_backend(self.device, lives_on)
        dtype = str(x.dtype).rpartition(".")[2]
        sizes = (x.shape[1], *hidden, targets.n_outputs)
        rng = check_random_state(self.random_state)
        self.n_outputs_ = targets.n_outputs
        if first_pass:
            self._begin(rng, sizes, targets.out_activation, backend, dtype)
        else:
            self._move_to(backend, dtype)
        architecture = self._architecture()
        reported = architecture if self.exact_loss else parameters.as_reported(architecture)
        on_host = backend == host_backend()
        # SciPy works in float64 whatever it is given.
        works_in = "float64" if self.solver == "lbfgs" and on_host else dtype
        samples = Samples(backend, works_in, x, targets.y, weight)
        if self.solver == "lbfgs":
            minimize = lbfgs.fit_on_host if on_host else lbfgs.fit_on_device
            self._settle(minimize(self, reported, self._parameters(), samples), backend, dtype)
            return self
        with backend.active():
            held_out = None
            if validation[0] is not None:
                held_out = self._given_validation(validation, backend, dtype)
            self._descend(samples, targets, weight, reported, rng, given, held_out, incremental=incremental)
        return self

    def _taken(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, reset: bool
    ) -> tuple[Any, Backend, Targets, Array | None]:
        """Return X, where it lives, the targets and the weights, all checked."""
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        x, backend = arrays.taken_inputs(self, X, reset=reset)
        targets = self._encoded(arrays.to_host(y), role="partial_fit" if incremental else "fit")
        check_consistent_length(x, targets.y)
        weight = self._weights(arrays.to_host(sample_weight), y, x.shape[0])
        return x, backend, targets, weight

    def _weights(self, sample_weight: Any, y: Any, n: int) -> Array | None:
        """Return the weights of the observations, on the host."""
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, numpy.empty((n, 1)), ensure_non_negative=True)

    def _begin(self, rng: Any, sizes: tuple[int, ...], out_activation: str, backend: Backend, dtype: str) -> None:
        """Draw the weights, and start counting."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(sizes)
        self.out_activation_ = out_activation
        initializer = None if self.initializer is None else initializers.get(self.initializer)
        drawn = drawing.initial_weights(rng, sizes, initializer, logistic=parameters.is_logistic(self.activation))
        self.coefs_, self.intercepts_ = ([backend.asarray(part, dtype) for part in parts] for parts in drawn)
        self._best = self._parameters()
        self.__dict__.pop("_optimizer", None)
        if self.solver == "lbfgs":
            return
        self.loss_curve_: list[float] = []
        self._no_improvement_count = 0
        self.best_loss_ = self.best_validation_score_ = self.validation_scores_ = self.validation_loss_curve_ = None

    def _begin_course(self, *, validates: bool) -> None:
        """Begin the figures that this fit has and those before it had not."""
        if not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = numpy.inf
        if validates and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
            self.best_validation_score_ = -numpy.inf

    def _descend(
        self,
        samples: Samples,
        targets: Targets,
        weight: Array | None,
        architecture: Architecture,
        rng: Any,
        given: tuple[Any, Any, Any],
        validation: Validation | None,
        *,
        incremental: bool,
    ) -> None:
        """Run a stochastic solver."""
        solver = getattr(self, "_optimizer", None)
        if solver is None or not incremental:
            solver = self._optimizer = Solver.of(self)
        rows = None
        if self.early_stopping and validation is None:
            rows, looked_at = drawing.split(rng, samples.n, self.validation_fraction, targets.stratify)
            validation = Validation(samples, looked_at, score_of(self, targets, weight, looked_at, given))
        self._begin_course(validates=validation is not None)
        n = samples.n if rows is None else len(rows)
        order = drawing.Shuffled(rows, n, self._batch_rows(n), shuffle=self.shuffle)
        numbers = n * sum(architecture.layer_sizes) + len(order.windows) * sum(map(prod, architecture.shapes))
        if incremental:
            step = self._kept_step(samples, architecture, solver)
        else:
            step = self._step(samples.backend, architecture, solver, work=float(self.max_iter * numbers))
        watching = Watching(self, self.max_iter, n, given, incremental=incremental)
        batches = Minibatches(samples, order)
        descent = Descent(self, architecture, step, solver, self._parameters(), batches, rng, validation)
        try:
            descent.run(self.max_iter, watching)
        finally:
            watching.end()
        restores = self.early_stopping or self.restore_best
        self._settle(self._best if restores else descent.last, samples.backend, samples.dtype, good=descent.good)

    def _given_validation(self, given: tuple[Any, Any, Any], backend: Backend, dtype: str) -> Validation:
        """Return validation data given to `fit`."""
        X, y, sample_weight = given
        x, lives_on = arrays.taken_inputs(self, X, reset=False)
        if lives_on not in (backend, host_backend()):
            raise ValueError(f"X_val must live where X does, on {backend}, or on the host; it lives on {lives_on}.")
        if y is None:
            raise ValueError("X_val needs y_val, and y_val is None.")
        targets = self._encoded(arrays.to_host(y), role="validation")
        check_consistent_length(x, targets.y)
        weight = self._weights(arrays.to_host(sample_weight), None, x.shape[0])
        samples = Samples(backend, dtype, x, targets.y, weight)
        return Validation(samples, None, score_of(self, targets, weight, None, given))

    def _batch_rows(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        return int(min(self.batch_size, n))

    def _step(self, backend: Backend, architecture: Architecture, solver: Solver, *, work: float) -> Step:
        return bind(
            backend,
            architecture,
            solver.rule,
            clip_norm=self.clip_norm,
            penalties_of_sum=True,
            demands=Demands(work=work),
        )

    def _kept_step(self, samples: Samples, architecture: Architecture, solver: Solver) -> Step:
        """Return the step of the last `partial_fit` where nothing has changed: it is bound and recorded once."""
        wanted = (samples.backend, samples.dtype, architecture, solver.rule, self.clip_norm)
        if getattr(self, "_bound", (None, None))[0] != wanted:
            self._bound = wanted, self._step(samples.backend, architecture, solver, work=0.0)
        return self._bound[1]

    def _settle(self, found: Parameters, backend: Backend, dtype: str, *, good: Parameters | None = None) -> None:
        """Keep what a solver has found, if it is finite."""
        is_finite = finite(found, backend)
        kept = found if is_finite else good
        if kept is not None:  # else those it started with
            self.coefs_ = [backend.asarray(theta.mT, dtype) for theta in kept.thetas]
            self.intercepts_ = [backend.asarray(bias, dtype) for bias in kept.biases]
        if not is_finite:
            raise ValueError(NOT_FINITE)

    # The fitted network -------------------------------------------------------------------------------------

    def _fitted_with(self, found: Parameters) -> dict[str, Any]:
        """Return the attributes of an estimator that has these parameters."""
        return {"coefs_": [theta.mT for theta in found.thetas], "intercepts_": list(found.biases)}

    def _parameters(self) -> Parameters:
        return Parameters(tuple(coef.mT for coef in self.coefs_), tuple(self.intercepts_))

    def _architecture(self) -> Architecture:
        sizes = (self.coefs_[0].shape[0], *(coef.shape[1] for coef in self.coefs_))
        return parameters.architecture_of(self, sizes, self._output_activation(), self._loss())

    def _backend(self) -> Backend:
        return backend_of(self.coefs_[0])

    def _move_to(self, backend: Backend, dtype: str) -> None:
        """Take the parameters where the data of a further fit live."""
        old = self._backend()

        def moved(array: Array) -> Array:
            return backend.asarray(array if old == backend else old.to_numpy(array), dtype)

        if old != backend or old.dtype_name(self.coefs_[0]) != dtype:
            for name in moving.ATTRIBUTES:
                if hasattr(self, name):
                    setattr(self, name, moving.with_arrays(getattr(self, name), moved))

    def to(self, backend: Any) -> Any:
        """Return a copy of this fitted estimator that lives on another backend ("numpy", "torch:cuda:0", ...)."""
        check_is_fitted(self)
        moved = copy(self)
        moved._move_to(get_backend(backend), self._backend().dtype_name(self.coefs_[0]))
        return moved

    @property
    def network_(self) -> Network:
        """The fitted network, as retroprop's own; its parameters are copies."""
        check_is_fitted(self)
        a, found = self._architecture(), self._parameters()
        return Network.from_parameters(
            found.thetas, found.biases, hidden=a.hidden, output=a.output.activation, loss=a.output.loss
        )

    def _outputs(self, X: Any, method: str) -> tuple[Array, Backend]:
        """Return a^(L) of X, with one row an observation, where X lives, and which backend that is."""
        x, given = arrays.taken_inputs(self, X, reset=False, floats=False)
        fitted = self._backend()
        meets = arrays.meeting_place(self, fitted, given, method)
        dtype = arrays.result_dtype(x, fitted.dtype_name(self.coefs_[0]))
        found = self._parameters()
        if meets != fitted or dtype != fitted.dtype_name(self.coefs_[0]):
            moved = (leaf if meets == fitted else fitted.to_numpy(leaf) for leaf in found.leaves)
            found = found.like([meets.asarray(leaf, dtype) for leaf in moved])
        architecture, operations, outputs = self._architecture(), meets.operations(), []
        size = self.predict_batch_size
        size = chunk_rows(architecture.layer_sizes) if size == "auto" else size
        n = x.shape[0]
        with meets.active():
            for window in windows(n, size):
                batch = arrays.rows_of(x, None if n <= size else window, meets, dtype)
                outputs.append(forward(operations, architecture, found, batch).a[-1])
            a = outputs[0] if len(outputs) == 1 else meets.xp.concat(outputs, axis=0)
        return (a if meets == given else given.asarray(meets.to_numpy(a))), given

    # scikit-learn's own questions -----------------------------------------------------------------------------

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: all arrays on the host, so that it loads where no device is."""
        state: dict[str, Any] = {**super().__getstate__()}
        state.pop("_bound", None)
        return moving.on_host(state)

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may ask of this estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags
