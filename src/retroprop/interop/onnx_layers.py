"""The layers of a plain network in an ONNX graph: products with a constant, biases, and all nodes between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.interop.onnx_constants import FOLDED, attributes_of, constant_of_node, folded
from retroprop.interop.onnx_file import Tensors
from retroprop.persistence.errors import printable

# Operations that leave the input of a network as it is, a matrix with one observation a row.
_PASSING = ("Identity", "Cast", "Flatten")
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")  # an operation of another may have the name of one of these


@dataclass
class AffineLayer:
    """An affine map z = a Θᵀ + b of a file.

    Attributes
    ----------
    a, z : str
        The names of its input and its result.
    theta : array (n_out, n_in)
        Θ.
    bias : array (n_out,) or None
        b.
    at : int
        The index of its last node.
    """

    a: str
    z: str
    theta: NDArray[Any]
    bias: NDArray[Any] | None
    at: int


@dataclass
class GraphParts:
    """The parts of a graph.

    Attributes
    ----------
    layers : list of AffineLayer
        In the order of the nodes.
    nodes : list of NodeProto
        All nodes.
    inputs : set of str
        The input, under all names that it has.
    constants : dict of str to callable
        The constants, each read when it is called.
    """

    layers: list[AffineLayer]
    nodes: list[Any]
    inputs: set[str]
    constants: dict[str, Callable[[], NDArray[Any]]] = field(default_factory=dict)


def layers_of(onnx: Any, graph: Any, tensors: Tensors, folder: Any) -> GraphParts:
    """Return the layers of a graph; ValueError where it is none of a plain network."""
    names = [one.name for one in graph.input if one.name not in tensors]
    if len(names) != 1:
        raise ValueError(f"is no plain network: it has {len(names)} inputs, and not one.")
    found = GraphParts([], list(graph.node), {names[0]})
    found.constants = {name: _reader(tensors, name) for name in tensors}
    known = {*found.inputs, *found.constants}
    uses: dict[str, int] = {}
    for node in found.nodes:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    for one in graph.output:
        uses[one.name] = uses.get(one.name, 0) + 1
    for at, node in enumerate(found.nodes):
        if node.domain not in _DOMAINS:
            of = f"{printable(node.op_type)} of the domain {printable(node.domain)!r}"
            raise ValueError(f"is no plain network: its operation {of} is none of ONNX.")
        _check_order(node, known)
        _take(onnx, found, at, uses, folder)
    return found


def _reader(tensors: Tensors, name: str) -> Callable[[], NDArray[Any]]:
    return lambda: tensors[name]


def _check_order(node: Any, known: set[str]) -> None:
    """Raise ValueError unless the inputs of a node are known, and its outputs new."""
    missing = [name for name in node.input if name and name not in known]
    twice = [name for name in node.output if name in known]
    if missing or twice or not node.output:
        what = (
            f"reads {printable(missing[0])!r}, which nothing makes"
            if missing
            else "makes a value that is there already"
        )
        raise ValueError(
            f"is altered: its operation {printable(node.op_type)} {what if node.output else 'has no result'}."
        )
    known.update(name for name in node.output if name)


def _take(onnx: Any, found: GraphParts, at: int, uses: dict[str, int], folder: Any) -> None:
    """Add one node to the layers found so far."""
    node = found.nodes[at]
    operands = list(node.input)
    constants = [name in found.constants for name in operands]
    if node.op_type == "Constant":
        found.constants[node.output[0]] = constant_of_node(onnx, node, folder)
    elif operands and all(constants) and node.op_type in FOLDED:
        found.constants[node.output[0]] = folded(onnx, node, [found.constants[name] for name in operands])
    elif node.op_type in _PASSING and operands[0] in found.inputs:
        options, floats = attributes_of(onnx, node), (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
        if options.get("axis", 1) != 1 or (node.op_type == "Cast" and options.get("to") not in floats):
            raise ValueError(f"is no plain network: its input goes through a {node.op_type} that changes it.")
        found.inputs.add(node.output[0])
    elif node.op_type in ("MatMul", "Gemm") and any(constants):
        found.layers.append(_product(onnx, node, found, at))
    elif node.op_type == "Cast" and found.layers and (layer := found.layers[-1]).z == operands[0]:
        to = attributes_of(onnx, node).get("to")  # Keras writes a cast to the dtype that a value has
        if uses[operands[0]] == 1 and to == onnx.helper.np_dtype_to_tensor_dtype(layer.theta.dtype):
            layer.z, layer.at = node.output[0], at
    elif node.op_type == "Add" and len(operands) == 2 and any(constants):
        value, bias = operands if constants[1] else operands[::-1]
        if found.layers and (layer := found.layers[-1]).z == value and layer.bias is None and uses[value] == 1:
            layer.bias = _row(found.constants[bias](), len(layer.theta), bias)
            layer.z, layer.at = node.output[0], at


def _product(onnx: Any, node: Any, found: GraphParts, at: int) -> AffineLayer:
    operands, options = list(node.input), attributes_of(onnx, node) if node.op_type == "Gemm" else {}
    name = printable(node.name or node.output[0])
    if len(operands) < 2 or operands[1] not in found.constants or operands[0] in found.constants:
        raise ValueError(
            f"is no plain network: the product {name!r} is not one of rows with a constant on their right."
        )
    if options.get("transA", 0):
        raise ValueError(f"is no plain network: the product {name!r} transposes its rows.")
    weights = found.constants[operands[1]]()
    if weights.ndim != 2 or weights.dtype.kind != "f" or 0 in weights.shape:
        raise ValueError(f"is no plain network: the weights of {name!r} are {weights.dtype}{list(weights.shape)}.")
    theta = weights if options.get("transB", 0) else weights.T
    theta = numpy.ascontiguousarray(theta) * theta.dtype.type(options.get("alpha", 1.0))
    bias = None
    if len(operands) > 2 and operands[2]:
        if operands[2] not in found.constants:
            raise ValueError(f"is no plain network: the bias of {name!r} is no constant.")
        given = found.constants[operands[2]]()
        bias = _row(given * given.dtype.type(options.get("beta", 1.0)), len(theta), operands[2])
    return AffineLayer(operands[0], node.output[0], theta, bias, at)


def _row(bias: NDArray[Any], n: int, name: str) -> NDArray[Any]:
    if bias.ndim > 2 or bias.size not in (1, n) or (bias.ndim == 2 and bias.shape[0] != 1):
        raise ValueError(
            f"is no plain network: {printable(name)!r} is added to {n} neurons, and has the shape {bias.shape}."
        )
    return numpy.ascontiguousarray(numpy.broadcast_to(bias.reshape(-1), (n,)))
