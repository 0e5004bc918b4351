"""A pointwise loop as the body of a CUDA kernel: what CuPy's `ElementwiseKernel` takes, broadcasting included."""

from math import isfinite, isnan
from typing import Any, NamedTuple

from retroprop.backends.plan.fusion import SUMS, Loop, base_of
from retroprop.backends.plan.plan import Instruction
from retroprop.backends.record.graph import Node, number_dtype

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


class Kernel(NamedTuple):
    """An elementwise kernel.

    Attributes
    ----------
    inputs, outputs : str
        The declarations, as "float32 x0, float64 s0".
    body : str
        Statements in CUDA C++.
    reads : tuple of Node
        The arrays of the inputs, in their order; the numbers follow.
    numbers : tuple
        Python numbers, or nodes that stand for them.
    writes : tuple of Node
        The arrays of the outputs.
    """

    inputs: str
    outputs: str
    body: str
    reads: tuple[Node, ...]
    numbers: tuple[Any, ...]
    writes: tuple[Node, ...]


def can_kernel(node: Node) -> bool:
    """Return whether a node may be computed in an elementwise kernel."""
    known = node.op in _INFIX or node.op in _CALLS or node.op in _OTHERS
    return known and not node.weak and node.dtype.name in TYPES and node.ndim <= 2


def fits_kernel(loop: Loop) -> bool:
    """Return whether one thread a number does the whole loop."""
    return all(loop.kinds[node.index] == "full" and node.op not in SUMS for node in loop.nodes)


def kernel_of(one: Instruction) -> Kernel:
    """Return the kernel of a loop."""
    assert one.loop is not None
    reads: dict[int, Node] = {}
    numbers: list[Any] = []
    declared: list[str] = []
    lines: list[str] = []
    inside = {node.index for node in one.nodes}

    def told(node: Node, value: Any) -> str:
        if isinstance(value, Node) and not value.weak:
            if base_of(value).index in inside:
                return f"r{base_of(value).index}"
            if value.index not in reads:
                reads[value.index] = value
            return f"x{value.index}"
        dtype = number_dtype(node, value).name
        if not isinstance(value, Node):
            return f"{TYPES[dtype]}({number_of(float(value))})" if dtype.startswith("float") else repr(value).lower()
        name = f"s{value.index}_{dtype}"
        if f"{dtype} {name}" not in declared:
            declared.append(f"{dtype} {name}")
            numbers.append(value)
        return name

    for node in one.nodes:
        operands = [told(node, value) for value in node.inputs]
        lines.append(f"const {TYPES[node.dtype.name]} r{node.index} = {expression(node, operands)};")
    lines += [f"y{node.index} = r{node.index};" for node in one.stores]
    inputs = [f"{node.dtype.name} x{index}" for index, node in reads.items()]
    outputs = [f"{node.dtype.name} y{node.index}" for node in one.stores]
    return Kernel(
        ", ".join([*inputs, *declared]),
        ", ".join(outputs),
        "\n".join(lines),
        tuple(reads.values()),
        tuple(numbers),
        tuple(one.stores),
    )


def number_of(value: float) -> str:
    """Return a Python number as a literal."""
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
    if node.op in ("maximum", "minimum"):  # NaN where an operand is
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
