"""The constructor's parameters: their accepted values, and their conversion to retroprop's own objects."""

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from inspect import signature
from numbers import Integral, Real
from typing import Any

import numpy
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, InvalidParameterError, Options, StrOptions

from retroprop.backends import host
from retroprop.core.architecture import Architecture, build
from retroprop.estimators.sklearn_names import SKLEARN_NAMES, THEIRS, ours
from retroprop.estimators.validating import validating
from retroprop.functions import activations, custom, initializers, losses, names, schedules
from retroprop.functions.losses import Loss
from retroprop.functions.outputs import AveragedOutput, ClippedOutput, PairedOutput
from retroprop.functions.schedules import Schedule
from retroprop.training import optimizers
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.optimizers import UpdateRule

# The parameters of an optimizer that an estimator has under a name of scikit-learn's
OF_OPTIMIZERS = {
    "learning_rate": "learning_rate_init",
    "momentum": "momentum",
    "nesterov": "nesterovs_momentum",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "epsilon": "epsilon",
}


def activation_names() -> list[str]:
    """Return the accepted names of a hidden activation: scikit-learn's and ours."""
    return [*SKLEARN_NAMES["activation"], *activations.elementwise_names()]


def classification_losses() -> list[str]:
    """Return the names of the losses of a classifier: scikit-learn's and ours."""
    return [*SKLEARN_NAMES["loss"], *losses.names("classification")]


def regression_losses() -> list[str]:
    """Return the names of the losses of a regressor."""
    return losses.names("regression")


def scorer_names() -> list[str]:
    """Return the names of the validation scores: scikit-learn's and ours."""
    from sklearn.metrics import get_scorer_names

    return ["loss", *get_scorer_names()]


class TableNames(StrOptions):
    """The names of a table, read at every check, so that a row added to the table is accepted.

    Parameters
    ----------
    kind : str
        The kind of the entries, as `functions.names.SYNONYMS` has it.
    names : callable
        Returns the accepted names.
    """

    def __init__(self, kind: str, names: Callable[[], Collection[str]]) -> None:
        self.type, self.deprecated, self.hidden = str, set[str](), False
        self.kind, self.names = kind, names

    @property
    def options(self) -> set[str]:
        """The accepted names."""
        return set(self.names())

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is an accepted name."""
        return isinstance(val, str) and val in self.names()

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, sorted(self.names())))}}}"


class NamedParameters(BaseEstimator):
    """The check of an estimator's parameters, whose errors suggest the name that was meant."""

    @classmethod
    def _get_param_names(cls) -> list[str]:
        # scikit-learn reads the signature anew for every clone, which a search makes several times a fit.
        own: Any = cls
        return list(_parameter_names(own))

    def _validate_params(self) -> None:
        with validating(self):
            try:
                super()._validate_params()
            except InvalidParameterError as error:
                raise InvalidParameterError(f"{error}{self._suggestion(str(error))}") from None

    def _suggestion(self, message: str) -> str:
        """Return the suggestion for the parameter that the message is about, or an empty text."""
        for parameter, constraints in self._parameter_constraints.items():
            for one in constraints:
                given = getattr(self, parameter)
                if isinstance(one, TableNames) and isinstance(given, str) and f"{parameter!r} parameter" in message:
                    return names.suggestion(given, one.options, names.SYNONYMS.get(one.kind, {}))
        return ""


_FUNCTION = HasMethods(["value", "derivative"])
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [TableNames("activation", activation_names), list, tuple, _FUNCTION],
    "solver": [TableNames("optimizer", optimizers.OPTIMIZERS.keys), UpdateRule],
    "alpha": [_NOT_NEGATIVE, "array-like"],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [_NOT_NEGATIVE],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_NOT_NEGATIVE],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {numpy.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    # Beyond scikit-learn
    "l1": [_NOT_NEGATIVE, "array-like"],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "initializer": [
        TableNames("initializer", initializers.INITIALIZERS.keys),
        initializers.Initializer,
        None,
    ],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "scoring": [TableNames("scorer", scorer_names), callable, None],
    "restore_best": ["boolean"],
    "exact_loss": ["boolean"],
    "predict_batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "device": [str, None],
    "progress": ["boolean"],
    "checkpoint": [Checkpoint, None],
    "parallel": [HasMethods(["open"]), None],
}


def check_together(estimator: Any, *, incremental: bool, validation: tuple[Any, Any, Any]) -> None:
    """Raise for parameters that a fit would ignore.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator to fit.
    incremental : bool
        Whether by `partial_fit`.
    validation : tuple
        X_val, y_val, sample_weight_val.

    Raises
    ------
    ValueError
        For `partial_fit` with early stopping or the best weights, two learning rates, validation targets without
        inputs, and options that "lbfgs" does not support.
    """
    e = estimator
    validates = validation[0] is not None
    for name, part in zip(("y_val", "sample_weight_val"), validation[1:], strict=True):
        if part is not None and not validates:
            raise ValueError(f"{name} needs X_val, and X_val is None.")
    if e.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    if e.restore_best and incremental:
        # The losses of two chunks of data do not compare: a harder one would never change the weights.
        raise ValueError("partial_fit does not support restore_best=True")
    if isinstance(e.solver, UpdateRule) and not (isinstance(e.learning_rate, str) and e.learning_rate == "constant"):
        raise ValueError(
            f"learning_rate={e.learning_rate!r} was given together with solver={e.solver!r}, which has a learning rate "
            f"of its own. Pass it there, as in {type(e.solver).__name__}(learning_rate) with a number or one of "
            "retroprop.schedules, or give the solver by name, as in solver='sgd'."
        )
    if e.checkpoint is not None and (incremental or e.warm_start):
        name = "partial_fit" if incremental else "warm_start=True"
        raise ValueError(f"{name} does not support checkpoint: a fit that goes on begins with weights of its own.")
    if e.parallel is not None and (incremental or e.parallel.shard):
        given = "partial_fit" if incremental else "shard=True"
        raise ValueError(f"{given} does not go with parallel: an estimator divides rows that every rank passes to fit.")
    if e.solver == "lbfgs":
        _check_lbfgs(e, validates=validates)
    for name, why in unread(e, validates=validates):
        raise ValueError(f"{name}={getattr(e, name)!r} would not be read: {why}. Leave it at its default.")


def _check_lbfgs(e: Any, *, validates: bool) -> None:
    for name, given in (
        ("dropout", numpy.any(e.dropout)),
        ("l1", numpy.any(e.l1)),
        ("clip_norm", e.clip_norm is not None),
        ("learning_rate", not isinstance(e.learning_rate, str)),
        ("restore_best", e.restore_best),
        ("scoring", e.scoring is not None),
        ("parallel", e.parallel is not None),
        ("X_val", validates),
    ):
        if given:
            shown = "" if name == "X_val" else f"={getattr(e, name)!r}"
            raise ValueError(
                f"solver='lbfgs' does not go with {name}{shown}: use one of {', '.join(optimizers.minibatch_names())}."
            )


def unread(estimator: Any, *, validates: bool) -> Iterator[tuple[str, str]]:
    """Yield the parameters that are not at their default and that a fit would not read, each with the reason.

    What scikit-learn accepts is accepted here, where both the parameter and what leaves it unread are scikit-learn's:
    "adam" with a momentum, `validation_fraction` without early stopping.
    """
    e = estimator
    own: Any = type(e)
    defaults = _defaults(own)
    given = {name for name in defaults if not _is(getattr(e, name), defaults[name])}
    of_rules = [*OF_OPTIMIZERS.values(), "power_t"]
    if isinstance(e.solver, UpdateRule):
        for name in of_rules:
            if name in given:
                yield name, f"solver={e.solver!r} has options of its own"
    elif e.solver not in THEIRS["solver"]:
        rule = optimizers.OPTIMIZERS[e.solver]
        for ours, theirs in OF_OPTIMIZERS.items():
            if theirs in given and not hasattr(rule, ours):
                yield theirs, f"solver={e.solver!r} has no {ours}"
    if "max_fun" in given and e.solver not in THEIRS["solver"]:
        yield "max_fun", f"it is of solver='lbfgs', and solver={e.solver!r}"
    if isinstance(e.learning_rate, Schedule):
        for name in ("learning_rate_init", "power_t"):
            if name in given:
                yield name, f"learning_rate={e.learning_rate!r} gives the learning rate"
    if "quantile" in given and e.loss != "quantile":
        yield "quantile", f"it is of loss='quantile', and loss={e.loss!r}"
    if "scoring" in given and not (validates or e.early_stopping):
        yield "scoring", "there are no validation data: pass X_val and y_val, or set early_stopping=True"
    whole = [why for why, holds in (("solver='lbfgs'", e.solver == "lbfgs"), ("X_val is given", validates),
                                    ("early_stopping=False", not e.early_stopping)) if holds]  # fmt: skip
    for name in ("stratify", *(("validation_fraction",) if validates else ())):
        if name in given and whole:
            yield name, f"no rows are split off for validation, as {whole[0]}"
    if numpy.any(e.dropout) and not hidden_sizes(e.hidden_layer_sizes):
        yield "dropout", f"hidden_layer_sizes={e.hidden_layer_sizes!r} has no hidden layers"


@lru_cache(maxsize=64)
def _defaults(cls: type) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in signature(cls).parameters.items()}


def _is(value: Any, default: Any) -> bool:
    """Return whether a parameter is at its default, which a search may pass as a scalar of NumPy's."""
    plain = value.item() if isinstance(value, numpy.generic) else value
    return type(plain) is type(default) and bool(plain == default)


def hidden_sizes(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """Return the sizes of the hidden layers.

    Raises
    ------
    ValueError
        If one is no whole number, or not above 0.
    """
    sizes = list(hidden_layer_sizes) if hasattr(hidden_layer_sizes, "__iter__") else [hidden_layer_sizes]
    if any(isinstance(size, bool) or not hasattr(size, "__index__") for size in sizes):
        raise InvalidParameterError(f"hidden_layer_sizes must hold whole numbers, got {sizes}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return tuple(int(size) for size in sizes)


def architecture_of(estimator: Any, layer_sizes: tuple[int, ...], output: Any, loss: Loss) -> Architecture:
    """Return the network an estimator trains, with α and λ₁ as they are given: for the sum over the observations.

    Raises
    ------
    ValueError, TypeError
        For an invalid network, and for a custom function whose derivative is not that of its value.
    """
    n_hidden = len(layer_sizes) - 2
    given = estimator.activation
    # A single name was checked with the other parameters.
    fs = [_checked(f) for f in given] if isinstance(given, (list, tuple)) else [given] * n_hidden
    if len(fs) != n_hidden:
        raise ValueError(f"activation must be one, or one for each of {n_hidden} hidden layers, not {len(fs)}.")
    _check_alpha(estimator.alpha, n_hidden + 1)
    architecture = build(
        layer_sizes,
        hidden=[ours("activation", f) for f in fs],
        output=output,
        loss=loss,
        bias=True,
        l2=_plain(estimator.alpha),
        l1=_plain(estimator.l1),
        dropout=_plain(estimator.dropout),
    )
    rng = host.generator(0)
    for f in architecture.activations:
        custom.check_activation(f, rng, host.xp)
    custom.check_loss(architecture.output.loss, layer_sizes[-1], rng, host.xp)
    return architecture


def without_training(architecture: Architecture) -> Architecture:
    """Return the network without penalties and dropout."""
    return architecture._replace(l2=0.0, l1=0.0, dropout=(0.0,) * len(architecture.dropout))


def _checked(f: Any) -> Any:
    """Return a hidden activation of a list; raise ValueError for an unknown name."""
    if isinstance(f, str) and f not in activation_names():
        raise names.unknown("activation", f, activation_names())
    return f


def _check_alpha(alpha: Any, n: int) -> None:
    """Raise unless alphas are one for each of the n matrices of weights; a single alpha was checked before."""
    if not hasattr(alpha, "__len__"):
        return
    if len(alpha) != n:
        raise ValueError(f"alpha must be one number, or one for each of {n} matrices of weights, not {len(alpha)}.")
    for value in alpha:
        if not 0.0 <= names.number("alpha", value) < numpy.inf:
            raise ValueError(f"alpha must be 0 or above and finite, not {value!r}.")


def _plain(given: Any) -> Any:
    return [float(value) for value in given] if hasattr(given, "__len__") else float(given)


def as_reported(architecture: Architecture) -> Architecture:
    """Return the network with its loss reported as scikit-learn reports it; gradients are the same.

    Log-losses use probabilities clipped to [ε, 1 − ε], the squared error is averaged over the outputs, and a loss that
    scikit-learn lacks is reported unchanged.
    """
    output = architecture.output
    if not isinstance(output, PairedOutput):
        return architecture
    if isinstance(output.loss, (losses.CrossEntropy, losses.BinaryCrossEntropy)):
        return architecture._replace(output=ClippedOutput(*output))
    if isinstance(output.loss, losses.SquaredError) and architecture.layer_sizes[-1] > 1:
        return architecture._replace(output=AveragedOutput(*output))
    return architecture


def is_logistic(activation: Any) -> bool:
    """Return whether every hidden layer is logistic by scikit-learn's name, whose weights it draws in another range."""
    given = activation if isinstance(activation, (list, tuple)) else [activation]
    return len(given) > 0 and all(isinstance(f, str) and f == "logistic" for f in given)


def optimizer_of(estimator: Any) -> UpdateRule:
    """Return the update rule of a minibatch solver, with those of its parameters that the estimator has."""
    e = estimator
    if isinstance(e.solver, UpdateRule):
        return e.solver
    rule: Any = optimizers.OPTIMIZERS[e.solver]
    # A row can be made without arguments, so a parameter of it is an attribute of its class: the default.
    options = {name: getattr(e, theirs) for name, theirs in OF_OPTIMIZERS.items() if hasattr(rule, name)}
    options["learning_rate"] = float(options["learning_rate"])
    if "nesterov" in options:
        # Nesterov's look-ahead without momentum is the plain step.
        options["nesterov"] = bool(options["nesterov"] and options["momentum"])
    found: UpdateRule = rule(**options)
    return found


def schedule_of(estimator: Any) -> Schedule | None:
    """Return the schedule of the learning rate, None for one of scikit-learn's three."""
    if isinstance(estimator.learning_rate, Schedule):
        return estimator.learning_rate.start()
    if isinstance(estimator.solver, UpdateRule):
        return schedules.get(estimator.solver.learning_rate).start()
    return None


@lru_cache(maxsize=64)
def _parameter_names(cls: Any) -> tuple[str, ...]:
    of_sklearn: Any = super(NamedParameters, cls)
    return tuple(of_sklearn._get_param_names())
