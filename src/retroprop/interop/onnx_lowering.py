"""From a recorded function of rows to the nodes of an ONNX graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.backends.record.graph import Node, number_dtype
from retroprop.backends.record.table import POINTWISE
from retroprop.interop.errors import ExportError
from retroprop.interop.onnx_forms import FORMS, OF_TRUTHS, reshaped
from retroprop.interop.onnx_graph import OnnxGraph, initializer_view
from retroprop.interop.row_graph import RowGraph, constant_of

_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_AS_THEY_ARE = ("astype", "isnan", "isinf", "isfinite")
_OF_TRUTHS = ("logical_and", "logical_or", "logical_not")


def lowered(
    graph: OnnxGraph, of: RowGraph, arguments: Sequence[str | NDArray[Any]], name: str, parameters: Sequence[str] = ()
) -> list[str]:
    """Add a recorded function to a graph, and return the names of its results.

    Parameters
    ----------
    graph : OnnxGraph
        The graph.
    of : RowGraph
        The function.
    arguments : sequence of str or array
        For each of its arguments a value of the graph, or a parameter.
    name : str
        The name of the function, for messages.
    parameters : sequence of str
        The names of the arguments that are parameters, in order.

    Raises
    ------
    ExportError
        If one of its operations has no ONNX form; the message names it.
    """
    arrays: dict[int, NDArray[Any]] = {}
    names: dict[int, str] = {}
    called: dict[int, str] = {}
    for number, (node, value) in enumerate(zip(of.arguments, arguments, strict=True)):
        if isinstance(value, str):
            names[node.index] = value
        else:
            arrays[node.index] = value
            called[node.index] = parameters[number] if number < len(parameters) else ""

    def named(node: Node) -> str:
        if node.index not in names:  # a parameter, or a view of one
            names[node.index] = graph.constant(arrays[node.index], called[node.index])
        return names[node.index]

    for node in of.nodes:
        if node.index in names or node.index in arrays:
            continue
        batch_axes = of.batch_axes[node.index]
        if node.op == "constant":
            names[node.index] = graph.constant(constant_of(node, batch_axes))
        elif (view := _of_parameter(node, arrays)) is not None:
            arrays[node.index], called[node.index] = view, called[node.operands[0].index]
        else:
            names[node.index] = _added(graph, node, _operands(graph, node, named), batch_axes, name)
    return [named(result) for result in of.results]


def _of_parameter(node: Node, arrays: Mapping[int, NDArray[Any]]) -> NDArray[Any] | None:
    """Return a view of a parameter, None for any other node."""
    if len(node.operands) != 1 or node.operands[0].index not in arrays:
        return None
    return initializer_view(node, arrays[node.operands[0].index])


def _added(graph: OnnxGraph, node: Node, operands: list[str], batch_axes: tuple[int, ...], name: str) -> str:
    if node.op == "reshape":
        return reshaped(graph, node, operands[0], batch_axes)
    if node.dtype.kind == "b" and node.op in OF_TRUTHS:
        return graph.apply(OF_TRUTHS[node.op], *operands)
    if node.op not in FORMS:
        raise ExportError(f"{name} has no ONNX form: its operation {node.op} has none.")
    return FORMS[node.op](graph, node, operands)


def _operands(graph: OnnxGraph, node: Node, named: Any) -> list[str]:
    """Return the names of the operands of a node, each in the dtype in which it is computed."""
    found = []
    for place, operand in enumerate(node.inputs):
        dtype = _dtype_of(node, operand, condition=node.op == "where" and place == 0)
        if not isinstance(operand, Node):
            found.append(graph.constant(numpy.asarray(operand, dtype)))
        elif dtype is None or operand.dtype == dtype:
            found.append(named(operand))
        else:
            found.append(graph.cast(named(operand), dtype))
    return found


def _dtype_of(node: Node, operand: Any, *, condition: bool) -> Any:
    """Return the dtype in which a node takes an operand, None for the operand's own."""
    if node.op not in POINTWISE or node.op in _AS_THEY_ARE:
        return numpy.dtype(node.attributes["dtype"]) if node.op == "sum" and node.attributes.get("dtype") else None
    if condition or node.op in _OF_TRUTHS:
        return numpy.dtype(bool)
    if node.op in _COMPARISONS:
        numbers = [i for i in node.inputs if not isinstance(i, Node)]
        return number_dtype(node, numbers[0]) if numbers else numpy.result_type(*(i.dtype for i in node.operands))
    return node.dtype
