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
