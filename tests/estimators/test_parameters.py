"""What the estimators refuse before they begin, by the names of their own parameters."""

import inspect
import re

import numpy as np
import pytest
from sklearn.datasets import load_iris

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPRegressor
from retroprop.estimators.parameters import optimizer_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


class Upwards:
    """A custom loss whose derivative has the wrong sign."""

    def value(self, a, y, xp):
        return xp.sum((a - y) ** 2, axis=-1)

    def derivative(self, a, y, xp):
        return -2.0 * (a - y)


class PerOutput(Upwards):
    """A custom loss that does not sum over the outputs."""

    def value(self, a, y, xp):
        return (a - y) ** 2


class Twice:
    """A custom activation whose derivative is half of what it should be."""

    needs_z = True

    def value(self, z, xp):
        return 2.0 * z

    def derivative(self, z, a, xp):
        return xp.ones_like(z)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_custom_functions_are_checked(estimator, solver):
    for options, message in (
        ({"loss": Upwards()}, "derivative of the loss 'Upwards' is not that of its value"),
        ({"loss": PerOutput()}, r"value\(a, y, xp\) of the loss 'PerOutput' .* has the shape"),
        ({"activation": Twice()}, "derivative of the activation 'Twice' is not that of its value"),
    ):
        mlp = estimator(solver=solver, **options)
        with pytest.raises(ValueError, match=message):
            mlp.fit(X, Y)
        assert not hasattr(mlp, "coefs_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": [1.0, -1.0]}, "alpha must be 0 or above and finite, not -1.0"),
        ({"alpha": [1.0]}, "alpha must be one number, or one for each of 2 matrices"),
        ({"activation": ["tanh", "relu"]}, "activation must be one, or one for each of 1 hidden layers, not 2"),
        ({"loss": "mse"}, "'loss' parameter .* a str among {.*'squared_error'}.* Did you mean 'squared_error'"),
        ({"activation": "swish"}, "'activation' parameter .* Did you mean 'silu'"),
        ({"solver": "nesterov"}, "'solver' parameter .* Did you mean 'sgd'"),
        ({"initializer": "xavier"}, "'initializer' parameter .* Did you mean 'glorot_uniform'"),
        ({"activation": ["swish"]}, "unknown activation 'swish'. Did you mean 'silu'"),
        ({"activation": ["softmac"]}, r"unknown activation 'softmac'\. Accepted: (?!.*softmax)"),
        ({"activation": ["tahn"]}, "unknown activation 'tahn'. Did you mean 'tanh'"),
        ({"hidden_layer_sizes": (10.7,)}, r"hidden_layer_sizes must hold whole numbers, got \[10.7\]"),
        ({"hidden_layer_sizes": ("a",)}, r"hidden_layer_sizes must hold whole numbers, got \['a'\]"),
        ({"hidden_layer_sizes": (True,)}, r"hidden_layer_sizes must hold whole numbers, got \[True\]"),
        (
            {"solver": rp.optimizers.SGD(0.1), "learning_rate": rp.schedules.Constant(0.01)},
            r"solver=SGD.*, which has a learning rate of its own. Pass it there, as in SGD\(learning_rate\)",
        ),
    ],
)
def test_bad_parameters_are_told_by_their_names(options, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**options).fit(X, Y)


def test_sizes_may_be_numpys():
    assert MLPRegressor(hidden_layer_sizes=np.asarray([3, 2]), max_iter=1).fit(X, Y).n_layers_ == 4


@pytest.mark.parametrize("name", ["y_val", "sample_weight_val"])
def test_validation_targets_need_inputs(name):
    with pytest.raises(ValueError, match=f"{name} needs X_val, and X_val is None"):
        MLPRegressor().fit(X, Y, **{name: Y})


def test_partial_fit_does_not_restore_the_best():
    with pytest.raises(ValueError, match="partial_fit does not support restore_best=True"):
        MLPRegressor(restore_best=True).partial_fit(X, Y)


def test_a_fitted_model_predicts_with_what_was_fitted():
    options = {"hidden_layer_sizes": (5,), "activation": "tanh", "max_iter": 3, "random_state": 0}
    mlp = MLPClassifier(**options).fit(X, Y)
    expected = mlp.predict_proba(X)
    mlp.set_params(alpha=[1.0, 2.0, 3.0], dropout=[0.1, 0.2], activation="relu", loss="huber")
    np.testing.assert_array_equal(mlp.predict_proba(X), expected)
    assert mlp.network_.architecture.hidden[0].name == "tanh"


# What is about classes or numbers is told in other words.
OWN = {"loss", "class_weight", "stratify", "quantile"}
OWN_WORDS = {"scoring", "exact_loss"}


def told(estimator):
    """Return what the docstring of an estimator says of each parameter."""
    section = inspect.getdoc(estimator).partition("----------\n")[2].partition("\nAttributes")[0]
    entries = re.split(r"\n(?=\w)", section)
    heads = {tuple(entry.partition("\n")[0].partition(" : ")[0].strip().split(", ")): entry for entry in entries}
    return {name: entry.strip() for names, entry in heads.items() for name in names}


def test_the_two_estimators_share_parameters_defaults_and_words():
    classifier, regressor = (dict(inspect.signature(e).parameters) for e in (MLPClassifier, MLPRegressor))
    shared = [name for name in classifier if name not in OWN]
    assert shared == [name for name in regressor if name not in OWN]
    assert {*classifier} ^ {*regressor} == OWN - {"loss"}
    docs, others = told(MLPClassifier), told(MLPRegressor)
    for name in shared:
        assert classifier[name] == regressor[name]
        assert docs[name] == others[name] or name in OWN_WORDS
    assert {*docs} == {*classifier}
    assert {*others} == {*regressor}


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_the_accepted_names_are_those_of_the_tables(estimator):
    task = "classification" if estimator is MLPClassifier else "regression"
    own = {"log_loss"} if estimator is MLPClassifier else set()
    accepted = {name: kinds[0].options for name, kinds in estimator._parameter_constraints.items()
                if name in ("activation", "loss", "solver", "initializer")}  # fmt: skip
    assert accepted["loss"] == own | {name for name, loss in rp.losses.LOSSES.items() if task in loss.tasks}
    assert accepted["activation"] == {"logistic"} | set(rp.activations.ACTIVATIONS) - {"softmax"}
    assert accepted["solver"] == set(rp.optimizers.OPTIMIZERS)
    assert accepted["initializer"] == set(rp.initializers.INITIALIZERS)
    for name in accepted["solver"] - {"lbfgs"}:
        found = optimizer_of(estimator(solver=name, learning_rate_init=0.03, beta_1=0.8, epsilon=0.1, momentum=0.7))
        assert type(found) is rp.optimizers.OPTIMIZERS[name]
        given = {"learning_rate": 0.03, "beta1": 0.8, "epsilon": 0.1, "momentum": 0.7, "nesterov": True}
        assert all(value == given.get(key, value) for key, value in vars(found).items())


def test_our_name_of_a_loss_of_scikit_learns_is_the_same_loss():
    one, other = (
        MLPClassifier(loss=loss, max_iter=3, random_state=0).fit(X, Y) for loss in ("log_loss", "cross_entropy")
    )
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
    assert one.loss_curve_ == other.loss_curve_
