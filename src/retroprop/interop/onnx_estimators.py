"""The ONNX graph of an estimator: probabilities and labels, or the numbers of a regression."""

from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.interop.errors import ExportError
from retroprop.interop.onnx_graph import OnnxGraph
from retroprop.interop.onnx_network import outputs_of_network


def estimator_graph(estimator: Any) -> OnnxGraph:
    """Return the graph of a fitted estimator, or of an ensemble of them; see `save_onnx`."""
    members = getattr(estimator, "networks_", None)
    net = estimator.network_ if members is None else members[0]
    graph = OnnxGraph("retroprop", ["X"])
    x = graph.input("X", net.dtype, ["m", net.layer_sizes[0]])
    if members is None:
        a = outputs_of_network(graph, net, x)
    else:
        own = [outputs_of_network(graph, member, x, f"member.{k}.") for k, member in enumerate(members)]
        # Not Mean, of which onnxruntime has no form in float64.
        share = graph.constant(numpy.asarray(1.0 / len(members), net.dtype))
        a = graph.apply("Mul", graph.apply("Sum", *own), share)
    n_outputs = net.layer_sizes[-1]
    coding = getattr(estimator, "_coding", None)
    if coding is None:
        one = n_outputs == 1  # as `predict`, which returns one number a row then
        found = graph.apply("Reshape", a, graph.constant(numpy.asarray([-1], numpy.int64))) if one else a
        graph.output("prediction", net.dtype, ["m"] if one else ["m", n_outputs], found)
    elif isinstance(coding.classes, list):
        end = 0
        for k, (classes, size) in enumerate(zip(coding.classes, coding.sizes, strict=True)):
            part = _columns(graph, a, end, end + len(classes))
            end += size
            _classes_of(graph, part, classes, net.dtype, f"_{k}")
    elif coding.out_activation == "softmax":
        _classes_of(graph, a, coding.classes, net.dtype)
    elif n_outputs == 1:
        both = graph.apply("Concat", graph.apply("Sub", graph.constant(numpy.ones(1, net.dtype)), a), a, axis=1)
        labelled(
            graph, _above_half(graph, a, only_one=len(coding.classes) == 1, dtype=net.dtype), coding.classes, "label"
        )
        graph.output("probabilities", net.dtype, ["m", 2], both)
    else:
        graph.output("label", "int64", ["m", n_outputs], graph.cast(_above(graph, a, 0.5, net.dtype), "int64"))
        graph.output("probabilities", net.dtype, ["m", n_outputs], a)
    return graph


def labelled(graph: OnnxGraph, indices: str, classes: NDArray[Any], name: str) -> None:
    """Add an output with the classes at these indices (m,)."""
    if classes.dtype.kind == "O" and all(isinstance(label, str) for label in classes.tolist()):
        classes = classes.astype(str)
    if classes.dtype.kind not in "biufU":
        raise ExportError(f"labels of the dtype {classes.dtype} have no ONNX form: it has numbers, booleans and texts.")
    dtype = str if classes.dtype.kind == "U" else classes.dtype
    graph.output(name, dtype, ["m"], graph.apply("Gather", graph.constant(classes), indices, axis=0))


def largest(graph: OnnxGraph, probabilities: str) -> str:
    """Return the index of the largest column of each row, the first of equal ones."""
    return graph.apply("ArgMax", probabilities, axis=1, keepdims=0)


def _classes_of(graph: OnnxGraph, a: str, classes: NDArray[Any], dtype: str, suffix: str = "") -> None:
    labelled(graph, largest(graph, a), classes, f"label{suffix}")
    graph.output(f"probabilities{suffix}", dtype, ["m", len(classes)], a)


def _columns(graph: OnnxGraph, a: str, begin: int, end: int) -> str:
    bounds = (graph.constant(numpy.asarray([n], numpy.int64)) for n in (begin, end, 1))
    return graph.apply("Slice", a, *bounds)


def _above(graph: OnnxGraph, a: str, limit: float, dtype: str) -> str:
    return graph.apply("Greater", a, graph.constant(numpy.asarray(limit, dtype)))


def _above_half(graph: OnnxGraph, a: str, *, only_one: bool, dtype: str) -> str:
    """Return the index of the class of each row (m,); where there is only one class, it is that one."""
    chosen = graph.cast(_above(graph, a, numpy.inf if only_one else 0.5, dtype), "int64")
    return graph.apply("Reshape", chosen, graph.constant(numpy.asarray([-1], numpy.int64)))
