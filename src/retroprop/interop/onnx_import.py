"""`load_onnx`: a plain multilayer perceptron from an ONNX file, whoever wrote it."""

import os
from pathlib import Path
from typing import Any

import numpy

from retroprop.functions.activations import Activation, Identity
from retroprop.interop.errors import needed
from retroprop.interop.onnx_file import Tensors, check_size, read_model
from retroprop.interop.onnx_layers import AffineLayer, GraphParts, layers_of
from retroprop.interop.onnx_outputs import output_of_network
from retroprop.interop.onnx_probing import ELEMENTWISE, activation_of, evaluator
from retroprop.interop.rebuilding import network_of
from retroprop.network import Network
from retroprop.persistence.errors import ModelFileError, printable


def load_onnx(path: str | os.PathLike[str], *, loss: Any = None, backend: Any = None) -> Network:
    """Return the network of an ONNX file, as `save_onnx` and the exporters of scikit-learn, torch and Keras write it.

    The file must be a chain of products with constant weights (MatMul and Add, or Gemm) and of activations that
    `retroprop.activations` has, in whatever form they are written: between two layers they are found by their values.
    The labels that a classifier has after its probabilities are left out.

    Parameters
    ----------
    path : path
        The file. External data must lie within its folder.
    loss : str or object, optional
        The loss, which a file does not hold; by default the one whose output the activation is.
    backend : str, Backend or None
        The backend of the network; see `get_backend`.

    Returns
    -------
    Network
        In the dtype of the file, float32 or float64, without dropout and penalties.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If onnx is not installed.
    ModelFileError
        If it is no such network, damaged, of a newer opset, or names data outside its folder; the message says where.
    """
    onnx, name = needed("onnx", by="rp.interop.load_onnx"), os.fspath(path)
    model = read_model(path)
    try:
        graph = model.graph
        for tensor in graph.initializer:
            check_size(onnx, tensor)
        tensors = Tensors(onnx, _by_name(graph.initializer), Path(name).parent)
        found = layers_of(onnx, graph, tensors, Path(name).parent)
        _check_chain(found)
        activations = _activations(onnx, model, found)
    except ValueError as error:
        raise ModelFileError(f"{name} {printable(error)}") from error
    try:
        return network_of(
            [layer.theta for layer in found.layers],
            [layer.bias for layer in found.layers],
            list(activations),
            [0.0] * (len(activations) - 1),
            loss=loss,
            backend=backend,
        )
    except ValueError as error:
        raise ModelFileError(f"{name} makes no network: {printable(error)}") from error


def _by_name(tensors: Any) -> dict[str, Any]:
    found = {tensor.name: tensor for tensor in tensors}
    if len(found) != len(tensors):
        raise ValueError("is altered: two of its arrays have one name.")
    return found


def _check_chain(found: GraphParts) -> None:
    """Raise ValueError unless the shapes and dtypes of the layers follow from each other."""
    layers = found.layers
    if not layers:
        raise ValueError("is no plain network: it has no product with constant weights.")
    if layers[0].a not in found.inputs:
        raise ValueError(f"is no plain network: something comes before its first layer, {printable(layers[0].z)!r}.")
    for k, layer in enumerate(layers):
        arrays = [layer.theta] if layer.bias is None else [layer.theta, layer.bias]
        if {str(array.dtype) for array in arrays} != {str(layers[0].theta.dtype)}:
            raise ValueError(f"has layers of different dtypes: layer {k + 1} is {arrays[-1].dtype}.")
        if not all(numpy.isfinite(array).all() for array in arrays):
            raise ValueError(f"has numbers that are NaN or infinite, in layer {k + 1}.")
        if k and layer.theta.shape[1] != len(layers[k - 1].theta):
            raise ValueError(
                f"has shapes that do not follow: layer {k} has {len(layers[k - 1].theta)} neurons, and layer {k + 1} "
                f"takes {layer.theta.shape[1]}."
            )


def _activations(onnx: Any, model: Any, found: GraphParts) -> list[Activation]:
    layers, n_nodes = found.layers, len(found.nodes)
    ends = [*(layer.at for layer in layers[1:]), n_nodes]
    activations = [
        _between(onnx, model, found, layer, after.a, end)
        for layer, after, end in zip(layers, layers[1:], ends, strict=False)
    ]
    last = layers[-1]
    out = output_of_network(onnx, found, last, [one.name for one in model.graph.output])
    return [*activations, _between(onnx, model, found, last, out, n_nodes)]


def _between(onnx: Any, model: Any, found: GraphParts, layer: AffineLayer, out: str, end: int) -> Activation:
    """Return the activation between a layer and the value `out`."""
    if out == layer.z:
        return Identity()
    wanted, nodes = {out}, list[Any]()
    for at in range(end - 1, layer.at, -1):
        node = found.nodes[at]
        if wanted & set(node.output):
            nodes.insert(0, node)
            wanted |= set(node.input)
    wanted -= {""}
    made = {name for node in nodes for name in node.output}
    ops = ", ".join(dict.fromkeys(printable(node.op_type) for node in nodes)) or "nothing"
    place = f"between layer {found.layers.index(layer) + 1} and the next"
    if wanted - made - {layer.z} - set(found.constants):
        raise ValueError(f"is no plain network: {place}, a value comes from elsewhere ({ops}).")
    strange = [n.op_type for n in nodes if n.op_type not in ELEMENTWISE or n.domain not in ("", "ai.onnx")]
    if strange or layer.z not in wanted:
        raise ValueError(f"is no plain network: {printable((strange or [ops])[0])} stands {place}.")
    constants = []
    for name in sorted(wanted & set(found.constants) - made):
        array = found.constants[name]()
        if array.size > len(layer.theta):
            raise ValueError(f"is no plain network: {printable(name)!r} {place} has the shape {array.shape}.")
        constants.append(onnx.numpy_helper.from_array(array, name))
    dtype = str(layer.theta.dtype)
    run = evaluator(onnx, model, nodes, constants, layer.z, out, dtype)
    try:
        f = activation_of(run, len(layer.theta), dtype)
    except Exception as error:  # of the evaluator, whose operations raise errors of every kind
        raise ValueError(f"is no plain network: {ops} {place} cannot be evaluated ({printable(error)}).") from error
    if f is None:
        raise ValueError(f"has an activation that no network here has: {ops}, {place}.")
    return f
