"""ONNX files of ours and of others become networks with the same outputs, or one line that says why not."""

import os
import warnings

import numpy as np
import pytest
from onnx_files import as_keras, as_sklearn, as_torch, model, of_torch, ours, weights_of
from runtime import outputs

import retroprop as rp
from retroprop.functions.activations import ACTIVATIONS
from retroprop.interop.onnx_export import onnx_bytes

pytestmark = [pytest.mark.needs("onnx"), pytest.mark.needs("onnxruntime")]


def loaded(folder, content, **options):
    (folder / "m.onnx").write_bytes(content)
    return rp.interop.load_onnx(folder / "m.onnx", backend="numpy", **options)


def refusal(folder, content):
    with pytest.raises(rp.ModelFileError) as error:
        loaded(folder, content)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(folder / "m.onnx"))
    return str(error.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_round_trip_of_every_activation(name, dtype, tmp_path):
    hidden = name if ACTIVATIONS[name].elementwise else "tanh"
    net = rp.Network([4, 7, 3], hidden=hidden, output=name, seed=1, dtype=dtype, backend="numpy")
    again = loaded(tmp_path, onnx_bytes(net))
    assert again.dtype == dtype
    assert [f.name for f in again.architecture.activations] == [hidden, name]
    for one, other in zip(again.parameters.leaves, net.parameters.leaves, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_round_trip_with_parameters_of_activations(tmp_path):
    fs = [rp.activations.LeakyReLU(0.25), rp.activations.ELU(0.5), rp.activations.ELU(3.0)]
    net = rp.Network([2, 4, 4, 4, 1], hidden=fs, bias=False, seed=0, backend="numpy")
    again = loaded(tmp_path, onnx_bytes(net), loss="huber")
    assert list(again.architecture.hidden) == fs
    assert again.biases == []
    assert again.architecture.output.loss.name == "huber"


def test_the_loss_is_the_one_of_the_output(tmp_path):
    assert [loaded(tmp_path, content).architecture.output.loss.name for content in ours()] == [
        "cross_entropy",
        "squared_error",
        "binary_cross_entropy",
    ]


@pytest.mark.parametrize("make", [as_keras, as_torch, as_sklearn])
def test_files_of_others(make, tmp_path):
    net, x = loaded(tmp_path, make()), np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    theirs = outputs(make(), x=x)["y"][:, -net.layer_sizes[-1] :]
    np.testing.assert_allclose(net.predict(x), theirs, rtol=0, atol=1e-6)


@pytest.mark.long
@pytest.mark.needs("torch")
def test_what_torch_exports(tmp_path):
    from torch import manual_seed, nn, tensor

    manual_seed(0)
    fs = [nn.ReLU(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.ELU(0.5), nn.LeakyReLU(0.2)]
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    for f in fs:
        module = nn.Sequential(nn.Linear(4, 5), f, nn.Dropout(0.1), nn.Linear(5, 2, bias=False), nn.Softmax(-1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's older exporter needs no further package
            content = of_torch(module)
        net = loaded(tmp_path, content)
        np.testing.assert_allclose(net.predict(x), module(tensor(x)).detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.long
@pytest.mark.needs("skl2onnx")
@pytest.mark.needs("sklearn")
def test_what_skl2onnx_exports(tmp_path):
    import sklearn.neural_network as theirs
    from skl2onnx import to_onnx

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype("float32")
    for kind, y, activation in (
        ("Classifier", rng.integers(0, 3, 60), "relu"),
        ("Classifier", rng.integers(0, 2, 60), "logistic"),
        ("Classifier", (rng.random((60, 3)) > 0.5).astype(int), "tanh"),
        ("Regressor", rng.normal(size=60), "identity"),
    ):
        estimator = getattr(theirs, f"MLP{kind}")(hidden_layer_sizes=(5, 3), max_iter=2, activation=activation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(x, y)
        net = loaded(tmp_path, to_onnx(estimator, x[:1]).SerializeToString())
        p = estimator.predict_proba(x) if kind == "Classifier" else estimator.predict(x)[:, None]
        np.testing.assert_allclose(net.predict(x), p[:, -net.layer_sizes[-1] :], rtol=0, atol=1e-6)


def test_the_labels_of_our_own_classifier_are_left_out(tmp_path):
    from retroprop.estimators import MLPClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier = MLPClassifier((4,), max_iter=2).fit(x, y)
    net = loaded(tmp_path, onnx_bytes(classifier))
    np.testing.assert_array_equal(net.predict(x)[:, 0], classifier.predict_proba(x)[:, 1])


def test_gemm_with_factors_and_folded_constants(tmp_path):
    ((k, b),) = weights_of((3, 2))
    nodes = [
        ("Transpose", ("k",), "t", {"perm": [1, 0]}),
        ("Constant", (), "two", {"value_float": 2.0}),
        ("Gemm", ("x", "t", "b"), "z", {"transB": 1, "alpha": 0.5, "beta": 3.0}),
        ("Mul", ("z", "s"), "u", {}),
        ("Identity", ("z",), "y", {}),
    ]
    content = model(nodes, {"k": k, "b": b, "s": np.float32(1.0)})
    net = loaded(tmp_path, content)
    np.testing.assert_array_equal(net.thetas[0], (0.5 * k).T)
    np.testing.assert_array_equal(net.biases[0], 3.0 * b)


def linear(*nodes, opset=17, weights=None, **options):
    ((k, b),) = weights_of((3, 2))
    return model(list(nodes), weights or {"k": k, "b": b}, opset=opset, **options)


PLAIN = ("Gemm", ("x", "k", "b"), "y", {})
REFUSED = {
    "no ONNX file": (b"\x00\x01", "is no ONNX file"),
    "is no ONNX file: it has no graph": (b"", "is no ONNX file: it has no graph"),
    "newer opset": (lambda: linear(PLAIN, opset=999), "is of opset 999; 7 to"),
    "older opset": (lambda: linear(PLAIN, opset=6), "is of opset 6; 7 to"),
    "transA": (lambda: linear(("Gemm", ("x", "k", "b"), "y", {"transA": 1})), "transposes its rows"),
    "two inputs": (lambda: linear(PLAIN, inputs=("x", "w")), "it has 2 inputs, and not one"),
    "convolution": (
        lambda: linear(("Gemm", ("x", "k", "b"), "z", {}), ("Conv", ("z", "k"), "y", {})),
        "its outputs (y) are made in another way",
    ),
    "another domain": (
        lambda: linear(("Gemm", ("x", "k", "b"), "y", {"domain": "com.example"})),
        "its operation Gemm of the domain 'com.example' is none of ONNX",
    ),
    "another domain at the end": (
        lambda: linear(("Gemm", ("x", "k", "b"), "z", {}), ("Identity", ("z",), "y", {"domain": "com.example"})),
        "its operation Identity of the domain 'com.example' is none of ONNX",
    ),
    "between": (
        lambda: model(
            [
                ("MatMul", ("x", "k"), "z", {}),
                ("LayerNormalization", ("z", "s"), "a", {}),
                ("MatMul", ("a", "l"), "y", {}),
            ],
            {"k": np.ones((3, 2), "float32"), "l": np.ones((2, 1), "float32"), "s": np.ones(2, "float32")},
        ),
        "LayerNormalization stands between layer 1 and the next",
    ),
    "unknown activation": (
        lambda: model(
            [("MatMul", ("x", "k"), "z", {}), ("HardSigmoid", ("z",), "a", {}), ("MatMul", ("a", "l"), "y", {})],
            {"k": np.ones((3, 2), "float32"), "l": np.ones((2, 1), "float32")},
        ),
        "has an activation that no network here has: HardSigmoid, between layer 1",
    ),
    "shapes": (
        lambda: model(
            [("MatMul", ("x", "k"), "z", {}), ("MatMul", ("z", "l"), "y", {})],
            {"k": np.ones((3, 2), "float32"), "l": np.ones((3, 1), "float32")},
        ),
        "layer 1 has 2 neurons, and layer 2 takes 3",
    ),
    "dtypes": (
        lambda: model(
            [("MatMul", ("x", "k"), "z", {}), ("MatMul", ("z", "l"), "y", {})],
            {"k": np.ones((3, 2), "float32"), "l": np.ones((2, 1), "float64")},
        ),
        "layer 2 is float64",
    ),
    "halves": (
        lambda: linear(PLAIN, weights={"k": np.ones((3, 2), "float16"), "b": np.ones(2, "float16")}),
        "has numbers of another kind",
    ),
    "infinite": (
        lambda: linear(PLAIN, weights={"k": np.full((3, 2), np.inf, "float32"), "b": np.ones(2, "float32")}),
        "NaN or infinite, in layer 1",
    ),
    "bias": (
        lambda: linear(PLAIN, weights={"k": np.ones((3, 2), "float32"), "b": np.ones((5, 2), "float32")}),
        "'b' is added to 2 neurons, and has the shape (5, 2)",
    ),
    "order": (
        lambda: linear(("Relu", ("z",), "y", {}), ("Gemm", ("x", "k", "b"), "z", {})),
        "reads 'z', which nothing",
    ),
    "no product": (lambda: linear(("Relu", ("x",), "y", {})), "no product with constant weights"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    content, words = REFUSED[name]
    assert words in refusal(tmp_path, content if isinstance(content, bytes) else content())


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model file"):
        rp.interop.load_onnx(tmp_path / "m.onnx")


def external(content, folder, location, **entries):
    """Return the model with its first array in another file of `folder`, named by `location`."""
    import onnx

    proto = onnx.load_model_from_string(content)
    tensor = proto.graph.initializer[0]
    (folder / "data.bin").write_bytes(b"--" + tensor.raw_data)
    given = {"location": location, "offset": "2", "length": str(len(tensor.raw_data)), **entries}
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    for key, value in given.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return proto.SerializeToString()


def test_external_data_stays_within_the_folder(tmp_path):
    content, inside = as_keras(), tmp_path / "in"
    inside.mkdir()
    plain = loaded(inside, content)
    again = loaded(inside, external(content, inside, "data.bin"))
    np.testing.assert_array_equal(again.thetas[0], plain.thetas[0])
    outside = "names external data outside its folder"
    assert outside in refusal(inside, external(content, tmp_path, "../data.bin"))
    assert outside in refusal(inside, external(content, tmp_path, str(tmp_path / "data.bin")))
    if hasattr(os, "symlink"):
        (inside / "link").symlink_to(tmp_path / "data.bin")
        assert outside in refusal(inside, external(content, tmp_path, "link"))
    assert "lacks its file" in refusal(inside, external(content, inside, "none.bin"))
    assert "bytes of 'data.bin'" in refusal(inside, external(content, inside, "data.bin", length="999999999999"))
    assert "bytes of 'data.bin'" in refusal(inside, external(content, inside, "data.bin", offset="3"))
    assert "is no number" in refusal(inside, external(content, inside, "data.bin", offset="x"))
