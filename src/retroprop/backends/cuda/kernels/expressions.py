"""Pointwise graph operations as expressions in CUDA C++, and the C++ types of dtypes."""

from math import isfinite, isnan

from retroprop.backends.record.graph import Node

_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "less": "<", "less_equal": "<=", "greater": ">",
          "greater_equal": ">=", "equal": "==", "not_equal": "!=", "logical_and": "&&", "logical_or": "||"}  # fmt: skip
_CALLS = {"sqrt": "sqrt", "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "tanh": "tanh", "abs": "fabs",
          "floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint", "log2": "log2", "log10": "log10",
          "sinh": "sinh", "cosh": "cosh", "sin": "sin", "cos": "cos", "tan": "tan", "atan": "atan", "asinh": "asinh",
          "power": "pow", "hypot": "hypot", "copysign": "copysign"}  # fmt: skip
_OTHERS = ("negative", "square", "maximum", "minimum", "where", "astype", "logical_not", "reciprocal", "isnan", "isinf",
           "isfinite")  # fmt: skip
TYPES = {"float32": "float", "float64": "double", "bool": "bool", "int32": "int", "int64": "long long",
         "uint8": "unsigned char", "int8": "signed char", "int16": "short", "uint16": "unsigned short"}  # fmt: skip


def has_expression(node: Node) -> bool:
    """Return whether a node is a pointwise operation on at most two axes that `expression` can write."""
    known = node.op in _INFIX or node.op in _CALLS or node.op in _OTHERS
    return known and not node.weak and node.dtype.name in TYPES and node.ndim <= 2


def literal(value: float) -> str:
    """Return a Python float as a literal."""
    if isfinite(value):
        return repr(value)
    return "NAN" if isnan(value) else "INFINITY" if value > 0.0 else "-INFINITY"


def expression(node: Node, operands: list[str]) -> str:
    """Return a pointwise node as an expression of its operands."""
    x, y = operands[0], operands[-1]
    if node.op in _INFIX:
        return f"{x} {_INFIX[node.op]} {y}"
    if node.op in _CALLS:
        return f"{_CALLS[node.op]}({', '.join(operands)})"
    if node.op in ("maximum", "minimum"):  # C's fmax would drop a NaN, NumPy's maximum propagates it
        sign = "<" if node.op == "maximum" else ">"
        return f"({x} {sign} {y} || {y} != {y}) ? {y} : {x}"
    if node.op == "where":
        return f"{x} ? {operands[1]} : {y}"
    if node.op == "astype":
        return f"{TYPES[node.dtype.name]}({x})"
    forms = {
        "negative": f"-{x}", "square": f"{x} * {x}", "logical_not": f"!{x}", "isnan": f"{x} != {x}",
        "reciprocal": f"{TYPES[node.dtype.name]}(1) / {x}", "isinf": f"fabs({x}) == INFINITY",
        "isfinite": f"fabs({x}) < INFINITY",
    }  # fmt: skip
    return forms[node.op]
