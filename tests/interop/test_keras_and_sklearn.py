"""Weight lists of Keras, in both orders, and scikit-learn's estimators."""

import warnings
from pathlib import Path

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


def keras_made(name, layers, folder):
    """Write a Sequential of real Keras as ONNX, and its weights, inputs and outputs: so the files here were made."""
    import keras

    rng = np.random.default_rng(0)
    dense = [keras.layers.Dense(n, activation=f) for n, f in layers]
    model = keras.Sequential([keras.Input((4,)), *dense])
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    x = rng.normal(size=(6, 4)).astype("float32")
    np.savez(folder / f"{name}.npz", *model.get_weights(), x=x, y=model.predict(x, verbose=0))
    model.export(folder / f"{name}.onnx", format="onnx", verbose=False)
    return model


OF_KERAS = {
    "relu_softmax": [(7, "relu"), (3, "softmax")],
    "tanh_gelu_linear": [(5, "tanh"), (6, "gelu"), (2, None)],
    "silu_softplus_mish": [(4, "silu"), (4, "softplus"), (3, "mish")],
}


# Keras and torch's exporter warn of their own calls; the files that are stored have the same calls of ours, and none.
MADE_ANEW = [pytest.mark.long, pytest.mark.needs("keras"), pytest.mark.filterwarnings("ignore")]


@pytest.mark.needs("onnx")
@pytest.mark.parametrize("name", OF_KERAS)
@pytest.mark.parametrize("made", [False, pytest.param(True, marks=MADE_ANEW)])
def test_files_and_weights_of_real_keras(name, made, tmp_path):
    """Files that Keras 3.15 over PyTorch has written; in the long run also new ones, where Keras is installed."""
    folder = tmp_path if made else Path(__file__).with_name("keras_3_15")
    model = keras_made(name, OF_KERAS[name], folder) if made else None
    stored = np.load(folder / f"{name}.npz")
    weights = [stored[f"arr_{i}"] for i in range(len(stored.files) - 2)]
    net = rp.interop.load_onnx(folder / f"{name}.onnx", backend="numpy")
    activations = [one.name for one in net.architecture.activations]
    assert activations == [{None: "identity"}.get(f, f) for _, f in OF_KERAS[name]]
    np.testing.assert_allclose(net.predict(stored["x"]), stored["y"], rtol=0, atol=1e-6)
    own = rp.interop.from_keras(
        weights, hidden=activations[:-1], output=activations[-1], order="in_out", backend="numpy"
    )
    np.testing.assert_allclose(own.predict(stored["x"]), stored["y"], rtol=0, atol=1e-6)
    for back in (rp.interop.to_keras(net), rp.interop.to_keras(own)):
        for one, other in zip(back, weights, strict=True):
            np.testing.assert_array_equal(one, other)
    if model is not None:
        model.set_weights([np.zeros_like(w) for w in weights])
        model.set_weights(rp.interop.to_keras(net))
        np.testing.assert_array_equal(model.predict(stored["x"], verbose=0), stored["y"])


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
