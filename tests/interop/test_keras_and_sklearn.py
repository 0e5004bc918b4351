"""Weight lists of Keras, in both orders, and scikit-learn's estimators."""

import warnings

import numpy as np
import pytest

import retroprop as rp


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_round_trips_to_the_last_bit(dtype, bias):
    net = rp.Network([3, 5, 2], hidden="gelu", bias=bias, seed=0, dtype=dtype, backend="numpy")
    weights = rp.interop.to_keras(net)
    assert [array.shape for array in weights] == ([(3, 5), (5,), (5, 2), (2,)] if bias else [(3, 5), (5, 2)])
    again = rp.interop.from_keras(weights, hidden="gelu", backend="numpy")
    turned = [array.T for array in weights]
    other = rp.interop.from_keras(turned, hidden="gelu", backend="numpy")
    for one in (again, other):
        assert one.architecture == net.architecture
        for a, b in zip(one.parameters.leaves, net.parameters.leaves, strict=True):
            np.testing.assert_array_equal(a, b)


def test_an_order_that_the_shapes_do_not_tell():
    square = [np.arange(4.0).reshape(2, 2), np.zeros(2)]
    with pytest.raises(ValueError, match="both orders fit these shapes"):
        rp.interop.from_keras(square)
    assert rp.interop.from_keras(square, order="in_out", backend="numpy").thetas[0].tolist() == [[0, 2], [1, 3]]
    assert rp.interop.from_keras(square, order="out_in", backend="numpy").thetas[0].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("weights", "options", "words"),
    [
        ([np.ones((3, 4)), np.ones((5, 2))], {}, "layer 1 has 4 neurons, and layer 2 takes 5"),
        ([np.ones((3, 4)), np.ones(5)], {}, "layer 1 has 4 neurons, and its bias 5 numbers"),
        ([np.ones(3)], {}, r"weights\[0\] has the shape \(3,\)"),
        ([np.ones((3, 4)), np.ones((1, 1, 4))], {}, r"weights\[1\] has the shape \(1, 1, 4\)"),
        ([np.ones((3, 4), int)], {}, r"weights\[0\] must hold numbers of a floating dtype, not int64\[3, 4\]"),
        ([], {}, "weights is empty"),
        ([np.ones((3, 4)), np.ones((4, 1))], {"hidden": ["relu", "tanh"]}, "hidden must be one, or one for each of 1"),
        ([np.ones((3, 4))], {"order": "F"}, "order must be 'in_out', 'out_in' or None, not 'F'"),
        ([np.ones((3, 4)), np.ones((4, 1))], {"order": "out_in"}, "layer 1 has 3 neurons, and layer 2 takes 1"),
    ],
)
def test_lists_that_are_refused(weights, options, words):
    with pytest.raises(ValueError, match=words):
        rp.interop.from_keras(weights, **options)


@pytest.mark.needs("sklearn")
def test_estimators_of_sklearn():
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two epochs do not converge
        theirs = MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0).fit(x, y)
    ours = rp.interop.from_sklearn(theirs)
    again = rp.interop.to_sklearn(ours)
    for one, other in zip(theirs.coefs_ + theirs.intercepts_, again.coefs_ + again.intercepts_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.predict(x), theirs.predict(x))
    assert ours.network_.layer_sizes == (3, 5, 1)
    for convert in (rp.interop.to_sklearn, rp.interop.from_sklearn):
        with pytest.raises(TypeError, match="takes an MLPClassifier or MLPRegressor of"):
            convert("estimator")
