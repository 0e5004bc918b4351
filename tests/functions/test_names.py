"""A name that is not known gets the near match and the whole list."""

import pytest

from retroprop.functions import activations, initializers, losses, metrics, names
from retroprop.training import optimizers

SQUARED = losses.SquaredError()


@pytest.mark.parametrize(
    ("look_up", "wrong", "near", "kind"),
    [
        (activations.get, "rleu", "relu", "activation"),
        (activations.get, "Sigmoid", "sigmoid", "activation"),
        (activations.get, "leakyrelu", "leaky_relu", "activation"),
        (activations.get, "swish", "silu", "activation"),
        (activations.get, "Swish", "silu", "activation"),
        (activations.get, "linear", "identity", "activation"),
        (activations.get, "logistic", "sigmoid", "activation"),
        (losses.get, "mse", "squared_error", "loss"),
        (losses.get, "MSELoss", "squared_error", "loss"),
        (losses.get, "mean_squared_error", "squared_error", "loss"),
        (losses.get, "mae", "absolute_error", "loss"),
        (losses.get, "bce", "binary_cross_entropy", "loss"),
        (losses.get, "binary_crossentropy", "binary_cross_entropy", "loss"),
        (losses.get, "crossentropy", "cross_entropy", "loss"),
        (losses.get, "categorical_crossentropy", "cross_entropy", "loss"),
        (losses.get, "sparse-categorical-crossentropy", "cross_entropy", "loss"),
        (losses.get, "nll", "cross_entropy", "loss"),
        (losses.get, "log_loss", "cross_entropy", "loss"),
        (losses.get, "smooth_l1", "huber", "loss"),
        (losses.get, "pinball", "quantile", "loss"),
        (initializers.get, "xavier", "glorot_uniform", "initializer"),
        (initializers.get, "kaiming_normal", "he_normal", "initializer"),
        (lambda name: metrics.get(name, SQUARED), "acc", "accuracy", "metric"),
        (lambda name: metrics.get(name, SQUARED), "rmse", "root_mean_squared_error", "metric"),
        (optimizers.get, "nesterov", "sgd", "optimizer"),
        (optimizers.get, "L-BFGS", "lbfgs", "optimizer"),
        (losses.get, "cross-entropy", "cross_entropy", "loss"),
        (losses.get, "squared_eror", "squared_error", "loss"),
        (initializers.get, "glorot_unifrom", "glorot_uniform", "initializer"),
        (initializers.get, "Orthogonal", "orthogonal", "initializer"),
        (lambda name: metrics.get(name, SQUARED), "acuracy", "accuracy", "metric"),
        (optimizers.get, "adamm", "adam", "optimizer"),
        (optimizers.get, "SGD", "sgd", "optimizer"),
    ],
)
def test_the_near_match_is_suggested(look_up, wrong, near, kind):
    with pytest.raises(ValueError) as caught:
        look_up(wrong)
    message = str(caught.value)
    assert f"unknown {kind} {wrong!r}" in message
    assert f"Did you mean {near!r}?" in message


TABLES = {
    "activation": activations.ACTIVATIONS,
    "loss": losses.LOSSES,
    "optimizer": optimizers.OPTIMIZERS,
    "initializer": initializers.INITIALIZERS,
    "metric": metrics.METRICS,
}


@pytest.mark.parametrize("kind", names.SYNONYMS)
def test_a_synonym_is_suggested_and_never_accepted(kind):
    table = TABLES[kind]
    for other, ours in names.SYNONYMS[kind].items():
        assert ours in table
        assert other not in table, f"{other} is an entry of its own"
        with pytest.raises(ValueError, match=rf"unknown {kind} '{other}'\. Did you mean '{ours}'\?"):
            names.from_name(kind, other, table)


def test_a_synonym_of_what_is_not_accepted_is_not_suggested():
    assert "Did you mean" not in str(names.unknown("loss", "mse", ["poisson"]))


def test_without_a_near_match_the_list_alone():
    with pytest.raises(ValueError) as caught:
        activations.get("zzzzzzzz")
    message = str(caught.value)
    assert "Did you mean" not in message
    for name in activations.ACTIVATIONS:
        assert name in message


@pytest.mark.parametrize("thing", [3, None, {"relu": 1}])
def test_what_is_no_name_is_a_type_error(thing):
    for look_up in (initializers.get, optimizers.get, lambda x: metrics.get(x, SQUARED)):
        with pytest.raises(TypeError):
            look_up(thing)


@pytest.mark.parametrize("thing", [{}, ["relu"]])
def test_what_cannot_be_hashed_is_a_type_error_too(thing):
    with pytest.raises(TypeError):
        names.from_name("loss", thing, losses.LOSSES)


@pytest.mark.parametrize(
    ("thing", "kind", "table", "parameters"),
    [
        (activations.LeakyReLU(0.3), "activation", activations.ACTIVATIONS, {"slope": 0.3}),
        (activations.ELU(2.0), "activation", activations.ACTIVATIONS, {"alpha": 2.0}),
        (activations.Tanh(), "activation", activations.ACTIVATIONS, {}),
        (losses.Huber(0.7), "loss", losses.LOSSES, {"delta": 0.7}),
        (losses.Quantile(0.9), "loss", losses.LOSSES, {"q": 0.9}),
    ],
)
def test_plain_data_and_back(thing, kind, table, parameters):
    plain = names.to_plain(thing)
    assert plain == {"name": thing.name, **parameters}
    again = names.from_plain(kind, plain, table)
    assert again == thing
    assert type(again) is type(thing)


def test_plain_data_with_an_unknown_name():
    with pytest.raises(ValueError, match="Did you mean 'huber'"):
        names.from_plain("loss", {"name": "hubber", "delta": 1.0}, losses.LOSSES)
