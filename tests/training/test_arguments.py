"""Arguments of `fit` that other libraries have, and those it has and cannot use: what the message tells to do."""

import inspect

import numpy as np
import pytest

import retroprop as rp
from retroprop.training.pointers import POINTERS

X, Y = np.ones((6, 3)), np.ones((6, 2))


def network():
    return rp.Network([3, 4, 2], seed=0, backend="numpy")


class Metric:
    greater_is_better = True

    def __init__(self, name):
        self.name = name

    def __call__(self, a, y, weight, xp):
        return xp.mean(a)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_split": 0.2}, r"fit has no argument validation_split=0\.2: .*validation_data=\(x, y\)"),
        ({"class_weight": "balanced"}, r"class_weight='balanced': pass sample_weight=.*MLPClassifier\(class_weight"),
        ({"learning_rate": 0.1}, r"learning_rate=0\.1: .*optimizer=rp\.optimizers\.Adam\(0\.001\)"),
        ({"lr": 0.1}, r"lr=0\.1: .*optimizer=rp\.optimizers\.Adam\(0\.001\)"),
        ({"verbose": 1}, r"verbose=1: .*progress=True"),
        ({"n_epochs": 5}, "n_epochs=5: .*is epochs"),
        ({"max_iter": 5}, "max_iter=5: .*is epochs"),
        ({"random_state": 0}, "random_state=0: .*drawn from seed"),
        ({"patience": 3}, r"patience=3: .*rp\.EarlyStopping\(patience"),
        ({"bach_size": 3}, "fit has no argument bach_size=3: it takes net, x, y, optimizer, epochs, batch_size"),
        ({"bach_size": 3}, "Did you mean 'batch_size'?"),
        ({"epoch": 3}, "Did you mean 'epochs'?"),
        ({"callback": []}, "Did you mean 'callbacks'?"),
        ({"lr": np.zeros(99)}, r"fit has no argument lr=array\(\[.* \.\.\.: "),
        (
            {"early_stopping": True},
            r"not True: leave it out for none, pass early_stopping=rp\.EarlyStopping\(\) with validation_data=\(x, y\)",
        ),
        ({"validation_data": 0.2}, r"validation_data must be \(x, y\) or \(x, y, sample_weight\), not float"),
        ({"validation_data": (X,)}, "not tuple of 1"),
    ],
)
def test_an_argument_fit_does_not_take_points_to_the_one_it_does(options, message):
    net = network()
    before = [leaf.copy() for leaf in net.parameters.leaves]
    with pytest.raises(TypeError, match=message):
        rp.fit(net, X, Y, **options)
    for leaf, kept in zip(net.parameters.leaves, before, strict=True):
        np.testing.assert_array_equal(leaf, kept)


def test_no_pointer_hides_an_argument_and_the_signature_is_that_of_fit():
    names = inspect.signature(rp.fit).parameters
    assert list(names)[:5] == ["net", "x", "y", "optimizer", "epochs"]
    assert not set(POINTERS) & set(names)
    assert rp.fit.__name__ == "fit"
    assert not any(p.kind is p.VAR_KEYWORD for p in names.values())


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["r2", "error", "r2"], "metrics has 2 metrics named 'r2', .* pass each once"),
        ([Metric("mine"), Metric("mine"), Metric("mine")], "3 metrics named 'mine', .* different names"),
        ([Metric("cost")], r"named 'cost', and history\.cost is the training's own: give the metric another name"),
        ([Metric("validation_cost")], r"named 'validation_cost', and history\.validation_cost"),
    ],
)
def test_a_name_of_a_metric_that_is_taken(metrics, message):
    net = rp.Network([3, 4, 2], seed=0, backend="numpy")
    metrics = [metric if metric != "error" else "mean_absolute_error" for metric in metrics]
    with pytest.raises(ValueError, match=message):
        rp.fit(net, X, Y, metrics=metrics)


def test_a_network_of_several_models_says_which_axes_those_are():
    net = rp.Network.from_parameters([np.zeros((5, 4, 2, 3))], dtype="float64", backend="numpy")
    with pytest.raises(ValueError, match=r"shape \(5, 4, 2, 3\), where \(2, 3\) is a single model and \(5, 4\) are the "
                       r"model axes\. Pass net\.unstack"):  # fmt: skip
        rp.fit(net, X, Y)
