"""Pointwise operations of the graph as expressions in CUDA C++, and the C++ types of dtypes."""

from collections.abc import Sequence
from math import isfinite, isnan

import numpy

from retroprop.backends.record.graph import Node
from retroprop.backends.record.table import OPERATIONS

_NAMES = {"float32": "float", "float64": "double", "bool": "bool", "int32": "int", "int64": "long long",
          "uint8": "unsigned char", "int8": "signed char", "int16": "short", "uint16": "unsigned short"}  # fmt: skip
TYPES = {numpy.dtype(name): ctype for name, ctype in _NAMES.items()}


def literal(value: float) -> str:
    """Return a Python float as a literal."""
    if isfinite(value):
        return repr(value)
    return "NAN" if isnan(value) else "INFINITY" if value > 0.0 else "-INFINITY"


def expression(node: Node, operands: Sequence[str]) -> str:
    """Return a pointwise node as an expression of its operands, by the template of the table."""
    return OPERATIONS[node.op].c.format(*operands, type=TYPES[node.dtype])
