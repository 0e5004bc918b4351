"""All pairs of parameters: one that another leaves unread is refused, or is one that scikit-learn ignores there too."""

import contextlib
import io
import itertools
import warnings
from inspect import signature

import numpy as np
import pytest
from sklearn import neural_network

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPRegressor, base, watching
from retroprop.estimators.arrays import to_host

RNG = np.random.RandomState(0)
X = RNG.randn(36, 3)
Y = X.argmax(axis=1)
FAR = np.concatenate([X[:1] * 100.0, X[:1] * 100.0, X[2:]])  # two equal rows of two classes: one loss is clipped
TARGET = np.abs(X[:, :2] + 0.3 * RNG.randn(36, 2))
DATA = {"MLPClassifier": (FAR, np.r_[0, 1, Y[2:]]), "MLPRegressor": (X, TARGET)}
FIGURES = ("n_iter_", "loss_", "loss_curve_", "best_loss_", "validation_scores_", "t_")
BASE = {"hidden_layer_sizes": (3,), "max_iter": 5, "random_state": 0}


def parameters_of(cls):
    """Return the names of the parameters but two, with which a fit is as without them; those have their own tests."""
    return [name for name in signature(cls).parameters if name not in ("checkpoint", "parallel")]


def nearness(estimator, X, y):
    """Return a score that is best after the first epoch."""
    outputs = estimator.activations(X)[-1]
    return -float(np.abs(outputs - vars(estimator).setdefault("first", outputs)).max())


# For each parameter its values here, and the other parameters with which they make a difference.
READ = {
    "hidden_layer_sizes": [((2, 3), {})],
    "activation": [("identity", {}), ("gelu", {})],
    "solver": [("sgd", {}), ("rmsprop", {}), ("lbfgs", {}), (rp.optimizers.SGD(0.05), {})],
    "alpha": [(0.5, {})],
    "batch_size": [(7, {})],
    "learning_rate": [("invscaling", {"solver": "sgd"}), (rp.schedules.Constant(0.03), {})],
    "learning_rate_init": [(0.02, {})],
    "power_t": [(0.7, {"solver": "sgd", "learning_rate": "invscaling"})],
    "max_iter": [(4, {})],
    "shuffle": [(False, {"batch_size": 7})],
    "random_state": [(3, {})],
    "tol": [(1e6, {"n_iter_no_change": 2})],
    "verbose": [(True, {})],
    "warm_start": [(True, {})],
    "momentum": [(0.5, {"solver": "sgd"})],
    "nesterovs_momentum": [(False, {"solver": "sgd"})],
    "early_stopping": [(True, {})],
    "validation_fraction": [(0.3, {"early_stopping": True})],
    "beta_1": [(0.1, {"batch_size": 5})],
    "beta_2": [(0.1, {"batch_size": 5})],
    "epsilon": [(0.1, {})],
    "n_iter_no_change": [(1, {"tol": 1e6})],
    "max_fun": [(1, {"solver": "lbfgs"})],
    "class_weight": [({0: 3.0}, {})],
    "stratify": [(True, {"early_stopping": True, "scoring": "loss"})],
    "l1": [(0.3, {})],
    "dropout": [(0.5, {})],
    "initializer": [("he_normal", {})],
    "clip_norm": [(1e-3, {"batch_size": 5})],
    "scoring": [("loss", {"early_stopping": True})],
    "restore_best": [(True, {"X_val": True, "scoring": nearness})],
    "exact_loss": [(True, {})],
    "predict_batch_size": [(5, {})],
    "device": [("array_api_strict", {})],
    "progress": [(True, {})],
    "quantile": [(0.2, {"loss": "quantile"})],
    "loss": [("huber", {})],
}
# What may leave others unread; X_val and a call are no parameters. The last has the rest, none of which does.
SWITCHES = [
    *({"solver": solver} for solver in ("sgd", "lbfgs", "rmsprop", "lion", rp.optimizers.SGD(0.05))),
    *({"learning_rate": rate} for rate in ("invscaling", "adaptive", rp.schedules.Constant(0.03))),
    {"loss": "huber"},
    {"hidden_layer_sizes": ()},
    {"early_stopping": True},
    {"n_iter_no_change": np.inf, "momentum": 0.0},
    {"X_val": True},
    {"call": "partial_fit"},
]
REST = {*READ} - {"quantile", "tol", "power_t", "max_fun", "device"}.union(*SWITCHES)
SWITCHES.append({name: READ[name][0][0] for name in sorted(REST)} | {"early_stopping": True})
# What is asked for holds anyway, or concerns nothing that is there.
SATISFIED = {
    ("early_stopping", "restore_best"): "early stopping keeps the best weights",
    ("loss", "exact_loss"): "a loss that scikit-learn lacks is reported as it is differentiated",
    ("hidden_layer_sizes", "activation"): "there are no hidden layers, and scikit-learn takes any activation of them",
    ("call", "progress"): "a partial_fit is one epoch, which has no bar",
}


def outcome(cls, options, *, fits=1):
    """Return all that fits and a prediction show, or the error."""
    X, y = DATA[cls.__name__]
    options = {**options}
    more = {"X_val": X[::2], "y_val": y[::2]} if options.pop("X_val", False) else {}
    call, seen = options.pop("call", "fit"), []
    if call == "partial_fit" and cls.__name__ == "MLPClassifier":
        more = {"classes": [0, 1, 2]}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        windows, display = base.windows, watching.display
        patch.setattr(base, "windows", lambda n, size: seen.append(size) or windows(n, size))
        patch.setattr(watching, "display", lambda shown: seen.append(shown) or display(shown))
        try:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                found = cls(**options)
                for _ in range(fits):
                    getattr(found, call)(X, y, **more)
                arrays = [*found.coefs_, *found.intercepts_, found.predict(X)]
        except (ValueError, TypeError, AttributeError) as error:
            return error
    seen += [vars(found).get(name) for name in FIGURES]
    return repr((*(to_host(part).tolist() for part in arrays), seen, type(arrays[0]), printed.getvalue()))


def is_ignored_there(cls, options, name, value):
    """Return whether scikit-learn takes the same options, and ignores the parameter."""
    theirs = getattr(neural_network, cls.__name__)
    without, given = (outcome(theirs, part) for part in (options, {**options, name: value}))
    return isinstance(given, str) and given == without


def faults(cls, names, switches):
    """Yield what is wrong with a pair: the parameter is neither read, nor refused by name, nor ignored there."""
    known = {}

    def shown(options):
        key = repr(sorted(options.items()))
        if key not in known:
            known[key] = outcome(cls, options, fits=2 if "warm_start" in options else 1)
        return known[key]

    own = signature(cls).parameters
    for name, switch in itertools.product(names, switches):
        others = {key: value for key, value in switch.items() if key != name and key in {*own, "X_val", "call"}}
        for value, home in READ[name] if others else ():
            # Of two fits, as `warm_start` needs them, the second is the same without it.
            twice = {"warm_start": False} if name == "warm_start" else {}
            options = {**BASE, **twice, **home, **others}
            if isinstance(refused := shown(options), Exception):  # what the parameter needs, beside the switch
                if "call" not in others and not any(other in str(refused) for other in others):
                    yield name, others, refused
                options = {**BASE, **others}
                if shown(BASE) == shown({**BASE, name: value}):
                    continue  # what leaves it unread is another
            given = shown({**options, name: value})
            if isinstance(given, AttributeError):  # "lbfgs" has no partial_fit
                continue
            if isinstance(given, Exception):
                if name not in str(given) or not ("call" in others or any(other in str(given) for other in others)):
                    yield name, value, others, given
            elif given == shown(options) and not (
                any((other, name) in SATISFIED for other in others) or is_ignored_there(cls, options, name, value)
            ):
                yield name, value, others, "is ignored"


def singles(cls):
    """Return each value of each parameter, with what it needs."""
    return [{**home, name: value} for name in parameters_of(cls) for value, home in READ[name]]


@pytest.mark.parametrize(
    ("cls", "names", "switches"),
    [
        (MLPClassifier, parameters_of(MLPClassifier), SWITCHES),
        (MLPRegressor, ["loss", "quantile", "scoring", "exact_loss"], SWITCHES),
        pytest.param(MLPRegressor, parameters_of(MLPRegressor), SWITCHES, marks=pytest.mark.long),
        *(
            pytest.param(cls, parameters_of(cls), singles(cls), marks=pytest.mark.long)
            for cls in (MLPClassifier, MLPRegressor)
        ),
    ],
)
def test_a_parameter_that_another_leaves_unread_is_refused(cls, names, switches):
    assert [*faults(cls, names, switches)] == []
