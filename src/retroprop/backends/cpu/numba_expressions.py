"""Pointwise functions and sums as expressions that Numba compiles to vector instructions."""

from collections.abc import Callable
from math import isnan
from typing import Any

from retroprop.backends.plan.fusion import SUMS, Loop, casts_data
from retroprop.backends.record.graph import Node

# Numba has no vector forms of these: many are worth a call of NumPy's.
TRANSCENDENTAL = ("exp", "expm1", "log", "log1p", "tanh")
FEW = 256
INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "less": "<", "less_equal": "<=", "greater": ">",
         "greater_equal": ">=", "equal": "==", "not_equal": "!=", "logical_and": "and", "logical_or": "or"}  # fmt: skip
OTHERS = ("negative", "abs", "square", "sqrt", "maximum", "minimum", "where", "astype", "logical_not")


def can_loop(node: Node) -> bool:
    """Return whether a node may be computed in a loop."""
    if node.weak or node.dtype.name not in ("float32", "float64", "bool") or node.ndim > 2:
        return False
    if casts_data(node):
        return False  # a call is as fast
    floats = all(i.dtype.kind == "f" for i in node.operands if not i.weak)
    numbers = any(not isinstance(i, Node) or i.weak for i in node.inputs)
    arithmetic = node.op in ("add", "subtract", "multiply")
    if not floats and node.op != "where" and (numbers or (node.dtype.kind == "b" and arithmetic)):
        return False  # the rules of whole numbers and of truth are not those of Numba
    if node.op in SUMS:
        return bool(node.inputs[0].dtype.kind == "f")
    return node.op in INFIX or node.op in OTHERS or node.op in TRANSCENDENTAL


def fits_loop(loop: Loop) -> bool:
    """Return whether a loop is worth its call: it has not many transcendental numbers."""
    many = [n for n in loop.nodes if n.op in TRANSCENDENTAL and loop.kinds[n.index] == "full" and n.size > FEW]
    return len(loop.nodes) <= 200 and not many


def type_of(dtype: Any) -> str:
    """Return the name a dtype has in the source."""
    name: str = dtype.name
    return {"float32": "f32", "float64": "f64"}.get(name, name)


def start(op: str, dtype: Any) -> str:
    """Return what a sum or a maximum begins with."""
    return f"{type_of(dtype)}({ {'max': '-inf', 'min': 'inf'}.get(op, '0.0') })"


def fold(op: str, total: str, x: str) -> str:
    """Return the line that takes `x` into a sum or a maximum; NaN stays."""
    if op in ("sum", "mean"):
        return f"{total} += {x}"
    return f"{total} = {x} if {x} {'>' if op == 'max' else '<'} {total} or {x} != {x} else {total}"


def ended(node: Node, total: str, many: str) -> str:
    """Return what a sum is when all is taken in: of its dtype, and for a mean divided by how many there were."""
    return f"{type_of(node.dtype)}({total}{f' / {many}' if node.op == 'mean' else ''})"


def expression(node: Node, operands: list[str]) -> str:
    """Return a pointwise node as an expression of its operands."""
    x, y = operands[0], operands[-1]
    if node.op in INFIX:
        return f"{x} {INFIX[node.op]} {y}"
    if node.op in TRANSCENDENTAL or node.op == "sqrt":
        return f"{type_of(node.dtype)}({node.op}({x}))"
    forms: dict[str, Callable[[], str]] = {
        "astype": lambda: _cast(node, x),
        "maximum": lambda: _extreme(node, x, y, "<"),
        "minimum": lambda: _extreme(node, x, y, ">"),
        "negative": lambda: f"-{x}",
        "abs": lambda: f"abs({x})",
        "square": lambda: f"{x} * {x}",
        "where": lambda: f"{operands[1]} if {x} else {y}",
        "logical_not": lambda: f"not {x}",
    }
    return forms[node.op]()


def _cast(node: Node, x: str) -> str:
    to = type_of(node.dtype)
    return f"{to}(1.0) if {x} else {to}(0.0)" if node.inputs[0].dtype.kind == "b" else f"{to}({x})"


def _extreme(node: Node, x: str, y: str, sign: str) -> str:
    """Return a maximum or minimum that is NaN where an operand is; a number of the formula is none."""
    if not isinstance(node.inputs[1], Node) and not isnan(node.inputs[1]):
        return f"{y} if {x} {sign} {y} else {x}"
    if not isinstance(node.inputs[0], Node) and not isnan(node.inputs[0]):
        return f"{x} if {y} {sign} {x} else {y}"
    return f"{y} if {x} {sign} {y} or {y} != {y} else {x}"
