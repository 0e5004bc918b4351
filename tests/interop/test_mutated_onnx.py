"""Thousands of mutated ONNX files: our own error, or the network that the file describes."""

import random
import tracemalloc
import warnings
from contextlib import suppress

import numpy as np
import pytest
from onnx_files import as_keras, as_sklearn, as_torch, ours

import retroprop as rp

pytestmark = pytest.mark.needs("onnx")
BESIDES = 64e6  # bytes that reading may take
OPS = ("Relu", "Sigmoid", "Tanh", "MatMul", "Gemm", "Add", "Mul", "Identity", "Neg", "Ceil", "Transpose", "ReduceSum",
       "Softmax", "Loop", "Expand", "Max")  # fmt: skip
NUMBERS = (0, 1, 2, 3, -1, 7, 2**31, 2**62, 10**6)


def reorder(items, rng):
    """Remove, double or move one item of a repeated field."""
    at, kind = rng.randrange(len(items)), rng.randrange(3)
    one = type(items[at])()
    one.CopyFrom(items[at])
    if kind != 1:
        del items[at]
    if kind:
        items.insert(rng.randrange(len(items) + 1), one)


def mutate(model, rng):
    """Change one place of a model in place."""
    graph, kind = model.graph, rng.randrange(8)
    node, tensor = rng.choice(graph.node), rng.choice(graph.initializer)
    if kind == 0:
        reorder(rng.choice((graph.node, graph.initializer, graph.input, graph.output)), rng)
    elif kind == 1:
        node.op_type = rng.choice(OPS)
    elif kind == 2 and node.input:
        names = [name for other in graph.node for name in (*other.input, *other.output)]
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif kind == 3 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif kind == 4 and tensor.raw_data:
        flipped = bytearray(tensor.raw_data)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        tensor.raw_data = bytes(flipped)
    elif kind == 5 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i, attribute.f = rng.choice(NUMBERS), rng.choice((0.0, 1.0, -1.0, 0.5, 1e30, float("nan")))
        attribute.type = rng.choice((attribute.type, 1, 2, 3, 7, 77))
    elif kind == 6:
        tensor.data_type = rng.choice((0, 1, 7, 9, 10, 11, 99))
    else:
        rng.choice(model.opset_import).version = rng.choice((1, 6, 7, 12, 13, 18, 20, 99, -1))


def mutated(contents, rng):
    """Return a file with one to three mutations of its structure, or of its bytes."""
    import onnx

    content = rng.choice(contents)
    if rng.random() < 0.6:
        model = onnx.load_model_from_string(content)
        for _ in range(rng.choice((1, 1, 2, 3))):
            with suppress(IndexError, ValueError):  # nothing is left to mutate
                mutate(model, rng)
        return model.SerializeToString()
    damaged, at = bytearray(content), rng.randrange(len(content))
    if rng.random() < 0.2:
        return bytes(damaged[:at])
    damaged[at : at + rng.choice((0, 1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
    return bytes(damaged)


def reference(content, net):
    """Return the outputs of the file that have the form of the network's, by ONNX's reference evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    x = np.random.default_rng(0).normal(size=(5, net.layer_sizes[0])).astype(net.dtype)
    model = onnx.load_model_from_string(content)
    arrays = {tensor.name for tensor in model.graph.initializer}
    (name,) = [one.name for one in model.graph.input if one.name not in arrays]
    found = []
    for out in [one.name for one in model.graph.output]:
        with suppress(Exception):  # the labels, which a network leaves out, may be damaged
            found += ReferenceEvaluator(sliced(model, out)).run([out], {name: x})
    numbers = [one for one in found if np.ndim(one) == 2 and one.dtype.kind == "f"]
    return [one[:, -net.layer_sizes[-1] :] for one in numbers], net.predict(x)


def sliced(model, out):
    """Return the part of a model that makes one output."""
    part = type(model)()
    part.CopyFrom(model)
    wanted, nodes = {out}, []
    for node in reversed(model.graph.node):
        if wanted & {*node.output}:
            nodes.insert(0, node)
            wanted |= {*node.input}
    for name, kept in (
        ("node", nodes),
        ("initializer", [one for one in model.graph.initializer if one.name in wanted]),
        ("output", [one for one in model.graph.output if one.name == out]),
    ):
        part.graph.ClearField(name)
        getattr(part.graph, name).extend(kept)
    return part


@pytest.mark.parametrize("n", [150, pytest.param(2000, marks=pytest.mark.long)])
def test_mutated_files(n, tmp_path):
    rng, contents = random.Random(20), [as_keras(), as_torch(), as_sklearn(), *ours()]
    path, refused = tmp_path / "m.onnx", 0
    for number in range(n):
        path.write_bytes(content := mutated(contents, rng))
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy, within the reference evaluator
            try:
                net = rp.interop.load_onnx(path, backend="numpy")
            except rp.ModelFileError as error:
                refused += "\n" not in str(error)
                continue
            finally:
                most = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert most < BESIDES, number
            theirs, own = reference(content, net)
        assert theirs, number
        for one in theirs:
            np.testing.assert_allclose(one, own, rtol=1e-4, atol=1e-5, err_msg=str(number))
    assert 0.2 * n < refused < 0.95 * n
