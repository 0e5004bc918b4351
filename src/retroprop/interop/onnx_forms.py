"""The ONNX form of every operation that a recorded forward propagation may have: one row each.

The operations are those of `retroprop.backends.record.table`. `NO_FORM` lists the ones that ONNX cannot express, or
that belong to training; a test holds that every operation is in one of the two, but for `reshape`, whose form depends
on the batch axis.
"""

from collections.abc import Callable
from math import log

import numpy

from retroprop.backends.record.graph import Node
from retroprop.backends.record.table import subscript
from retroprop.interop.onnx_graph import OnnxGraph

Form = Callable[[OnnxGraph, Node, list[str]], str]
"""Adds the form of a node whose operands have these names, in their right dtypes; returns the name of its result."""

NO_FORM = frozenset({"hypot", "copysign", "signbit", "bfloat16", "widened", "part", "overwrite", "gather", "join"})
GIVEN = frozenset({"input", "number", "constant"})


def _number(graph: OnnxGraph, node: Node, value: float) -> str:
    return graph.constant(numpy.asarray(value, node.dtype))


def _one(op: str) -> Form:
    return lambda graph, node, of: graph.apply(op, *of)


def _expm1(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    # e^x − 1 = tanh(x/2) (e^x + 1), which keeps the digits of a small x
    half = graph.apply("Tanh", graph.apply("Mul", of[0], _number(graph, node, 0.5)))
    return graph.apply("Mul", half, graph.apply("Add", graph.apply("Exp", of[0]), _number(graph, node, 1.0)))


def log1p(graph: OnnxGraph, node: Node, x: str) -> str:
    """Return log(1 + x) with the digits of a small x: log(u) x/(u − 1) with u = 1 + x, x where u is 1 (W. Kahan)."""
    one = _number(graph, node, 1.0)
    u = graph.apply("Add", x, one)
    rounded = graph.apply("Sub", u, one)
    whole = graph.apply("Equal", rounded, x)  # an infinite x too
    ratio = graph.apply("Where", whole, one, graph.apply("Div", x, rounded))
    value = graph.apply("Mul", graph.apply("Log", u), ratio)
    return graph.apply("Where", graph.apply("Equal", rounded, _number(graph, node, 0.0)), x, value)


def _logaddexp(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    # max(x, y) + log(1 + e^−|x − y|)
    distance = graph.apply("Abs", graph.apply("Sub", *of))
    return graph.apply(
        "Add", graph.apply("Max", *of), log1p(graph, node, graph.apply("Exp", graph.apply("Neg", distance)))
    )


def _over(base: float) -> Form:
    def form(graph: OnnxGraph, node: Node, of: list[str]) -> str:
        return graph.apply("Mul", graph.apply("Log", *of), _number(graph, node, 1.0 / log(base)))

    return form


def _trunc(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    return graph.apply("Mul", graph.apply("Sign", *of), graph.apply("Floor", graph.apply("Abs", *of)))


def _isfinite(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    return graph.apply("Not", graph.apply("Or", graph.apply("IsNaN", *of), graph.apply("IsInf", *of)))


def _reduced(op: str) -> Form:
    def form(graph: OnnxGraph, node: Node, of: list[str]) -> str:
        axes = graph.constant(numpy.asarray(node.attributes["axes"], numpy.int64))
        return graph.apply(op, of[0], axes, keepdims=int(node.attributes["keepdims"]))

    return form


def _of_truths(op: str) -> Form:
    def form(graph: OnnxGraph, node: Node, of: list[str]) -> str:
        return graph.cast(_reduced(op)(graph, node, [graph.cast(of[0], "int32")]), "bool")

    return form


def _transpose(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    return graph.apply("Transpose", of[0], perm=[*range(node.ndim - 2), node.ndim - 1, node.ndim - 2])


def _index(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    """Slices first, then the integers and the new axes."""
    (operand,), key = node.operands, list(subscript(node.attributes["key"]))
    if Ellipsis in key:
        at = next(i for i, part in enumerate(key) if part is Ellipsis)
        missing = operand.ndim - sum(part is not None and part is not Ellipsis for part in key)
        key[at : at + 1] = [slice(None)] * missing
    key += [slice(None)] * (operand.ndim - sum(part is not None for part in key))
    cuts, dropped, added = [], [], []
    axis = place = 0
    for part in key:
        if part is None:
            added.append(place)
            place += 1
            continue
        if isinstance(part, slice):
            if part != slice(None):
                # `None` ends of a negative step lie before the first element.
                begin, end, step = part.indices(operand.shape[axis])
                cuts.append((begin, end if end >= 0 else -(2**31), axis, step))
            place += 1
        else:
            begin = part % operand.shape[axis]
            cuts.append((begin, begin + 1, axis, 1))
            dropped.append(axis)
        axis += 1
    found = of[0]
    if cuts:
        found = graph.apply(
            "Slice", found, *(graph.constant(numpy.asarray(c, numpy.int64)) for c in zip(*cuts, strict=True))
        )
    for op, axes in (("Squeeze", dropped), ("Unsqueeze", added)):
        if axes:
            found = graph.apply(op, found, graph.constant(numpy.asarray(axes, numpy.int64)))
    return found


def _take(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    return graph.apply("Gather", *of, axis=node.attributes["axis"])


def _stack(graph: OnnxGraph, node: Node, of: list[str]) -> str:
    first = graph.constant(numpy.asarray([0], numpy.int64))
    return graph.apply("Concat", *(graph.apply("Unsqueeze", one, first) for one in of), axis=0)


def reshaped(graph: OnnxGraph, node: Node, name: str, batch_axes: tuple[int, ...]) -> str:
    """Add a reshape whose batch axis takes the length that is left over."""
    shape = [-1 if axis in batch_axes else n for axis, n in enumerate(node.shape)]
    return graph.apply("Reshape", name, graph.constant(numpy.asarray(shape, numpy.int64)))


FORMS: dict[str, Form] = {
    **{name: _one(op) for name, op in {
        "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "matmul": "MatMul",
        "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
        "equal": "Equal", "logical_and": "And", "logical_or": "Or", "logical_not": "Not", "where": "Where",
        "negative": "Neg", "abs": "Abs", "maximum": "Max", "minimum": "Min", "reciprocal": "Reciprocal",
        "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "tanh": "Tanh", "sinh": "Sinh", "cosh": "Cosh", "sin": "Sin",
        "cos": "Cos", "tan": "Tan", "atan": "Atan", "asinh": "Asinh", "floor": "Floor", "ceil": "Ceil",
        "isnan": "IsNaN", "isinf": "IsInf",
    }.items()},
    "not_equal": lambda graph, node, of: graph.apply("Not", graph.apply("Equal", *of)),
    "square": lambda graph, node, of: graph.apply("Mul", of[0], of[0]),
    "astype": lambda graph, node, of: graph.cast(of[0], node.dtype),
    "expm1": _expm1, "log1p": lambda graph, node, of: log1p(graph, node, of[0]), "logaddexp": _logaddexp,
    "log2": _over(2.0), "log10": _over(10.0), "trunc": _trunc, "isfinite": _isfinite,
    "sum": _reduced("ReduceSum"), "mean": _reduced("ReduceMean"), "prod": _reduced("ReduceProd"),
    "max": _reduced("ReduceMax"), "min": _reduced("ReduceMin"),
    "all": _of_truths("ReduceMin"), "any": _of_truths("ReduceMax"),
    "transpose": _transpose, "index": _index, "take": _take, "stack": _stack,
    "concat": lambda graph, node, of: graph.apply("Concat", *of, axis=1),
}  # fmt: skip
# Arithmetic of truths, as NumPy has it.
OF_TRUTHS = {"add": "Or", "maximum": "Or", "multiply": "And", "minimum": "And"}
