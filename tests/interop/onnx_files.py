"""ONNX files as other exporters write them, made by hand after theirs, and models of our own."""

import io
from itertools import pairwise

import numpy as np

import retroprop as rp
from retroprop.interop.onnx_export import onnx_bytes


def model(nodes, weights, *, opset=17, outputs=("y",), inputs=("x",), **options):
    """Return the content of a file with these nodes (op, inputs, output, attributes) and these arrays."""
    import onnx
    from onnx import helper, numpy_helper

    made = [helper.make_node(op, list(given), [out], domain=a.pop("domain", ""), **a) for op, given, out, a in nodes]
    kinds, axes = {"label": onnx.TensorProto.INT64}, {"label": ["m"]}
    values = [
        [helper.make_tensor_value_info(name, kinds.get(name, 1), axes.get(name, ["m", None])) for name in names]
        for names in (inputs, outputs)
    ]
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(made, "g", *values, arrays)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **options).SerializeToString()


def weights_of(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(n_in, n_out)).astype("float32"), rng.normal(size=n_out).astype("float32"))
        for n_in, n_out in pairwise(sizes)
    ]


def as_keras(sizes=(3, 4, 2)):
    """MatMul and Add with kernels (n_in, n_out), as tf2onnx writes a Keras Sequential with relu and softmax."""
    (k1, b1), (k2, b2) = weights_of(sizes)
    nodes = [
        ("MatMul", ("x", "k1"), "m1", {}), ("Add", ("m1", "b1"), "z1", {}), ("Relu", ("z1",), "a1", {}),
        ("MatMul", ("a1", "k2"), "m2", {}), ("Add", ("b2", "m2"), "z2", {}), ("Softmax", ("z2",), "y", {"axis": -1}),
    ]  # fmt: skip
    return model(nodes, {"k1": k1, "b1": b1, "k2": k2, "b2": b2})


def as_torch(sizes=(3, 4, 2)):
    """Gemm with transB, gelu in five operations and a Dropout, as torch.onnx writes a Sequential in evaluation."""
    (k1, b1), (k2, b2) = weights_of(sizes, 1)
    nodes = [
        ("Gemm", ("x", "0.weight", "0.bias"), "z1", {"transB": 1, "alpha": 1.0, "beta": 1.0}),
        ("Div", ("z1", "root"), "d", {}), ("Erf", ("d",), "e", {}), ("Add", ("e", "one"), "p", {}),
        ("Mul", ("z1", "p"), "t", {}), ("Mul", ("t", "half"), "a1", {}), ("Dropout", ("a1",), "a2", {}),
        ("Gemm", ("a2", "2.weight", "2.bias"), "y", {"transB": 1}),
    ]  # fmt: skip
    numbers = {"root": np.float32(2.0**0.5), "one": np.float32(1.0), "half": np.float32(0.5)}
    return model(nodes, {"0.weight": k1.T, "0.bias": b1, "2.weight": k2.T, "2.bias": b2, **numbers})


def as_sklearn(sizes=(3, 4, 1)):
    """Probabilities of two classes, their label and a ZipMap, as skl2onnx writes an MLPClassifier."""
    (k1, b1), (k2, b2) = weights_of(sizes, 2)
    nodes = [
        ("Cast", ("x",), "c", {"to": 1}), ("MatMul", ("c", "k1"), "m1", {}), ("Add", ("m1", "b1"), "z1", {}),
        ("Tanh", ("z1",), "a1", {}), ("MatMul", ("a1", "k2"), "m2", {}), ("Add", ("m2", "b2"), "z2", {}),
        ("Sigmoid", ("z2",), "p", {}), ("Sub", ("unity", "p"), "q", {}), ("Concat", ("q", "p"), "y", {"axis": 1}),
        ("ArgMax", ("y",), "i", {"axis": 1}),
        ("ArrayFeatureExtractor", ("classes", "i"), "f", {"domain": "ai.onnx.ml"}),
        ("Reshape", ("f", "flat"), "label", {}),
    ]  # fmt: skip
    others = {"unity": np.float32(1.0), "classes": np.array([0, 1]), "flat": np.array([-1])}
    arrays = {"k1": k1, "b1": b1[None, :], "k2": k2, "b2": b2[None, :], **others}
    return model(nodes, arrays, outputs=("label", "y"))


def ours():
    """Networks of our own as files."""
    made = [
        ([3, 4, 2], {"hidden": "gelu", "output": "softmax", "loss": "cross_entropy"}),
        ([2, 5, 3, 1], {"hidden": ["elu", "leaky_relu"], "bias": False, "dtype": "float64"}),
        ([3, 2], {"output": "sigmoid", "loss": "binary_cross_entropy"}),
    ]
    return [onnx_bytes(rp.Network(sizes, seed=1, backend="numpy", **options)) for sizes, options in made]


def of_torch(module):
    """Return the file that torch itself exports."""
    import torch

    file, n = io.BytesIO(), module[0].in_features
    axes = {"x": {0: "m"}}
    torch.onnx.export(module.eval(), (torch.zeros(1, n),), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    return file.getvalue()
