"""The table of the operations a graph is made of: one row each, with its shape, its dtype and its lowerings.

All that reads a graph reads this table: recording (shapes and dtypes), fusion (kinds), the lowerings to NumPy, Numba
and CUDA C++ (functions and templates). A lowering that can be derived from a row stands in no other place.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy
from numpy.lib.array_utils import normalize_axis_tuple

Shape = tuple[int, ...]
Attributes = Mapping[str, Any]
ShapeRule = Callable[[Sequence[Shape], Attributes], Shape]
DtypeRule = Callable[[Sequence[Any], Attributes], Any]


class Operation(NamedTuple):
    """A kind of node.

    Attributes
    ----------
    name : str
        The name, NumPy's where NumPy has the function.
    kind : str
        "given" (an argument or a constant), "pointwise", "reduction", "product", "view" (the same memory in another
        shape) or "copy" (numbers moved as they are).
    shape, dtype : callable
        The shape and dtype of the result, from those of the operands and the attributes of the node; Python's own types
        stand for the dtypes of Python numbers.
    function : callable or None
        NumPy's function.
    python, c : str
        An expression in the operands {0}, {1}, {2} and {type}, the name of the result's dtype; empty if there is none.
    """

    name: str
    kind: str
    shape: ShapeRule
    dtype: DtypeRule
    function: Any = None
    python: str = ""
    c: str = ""


def _broadcast(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    first = shapes[0]
    alike = all(shape == first or not shape for shape in shapes)  # nearly always, and much faster than NumPy's rule
    return first if alike and (first or len(shapes) == 1) else numpy.broadcast_shapes(*shapes)


def _reduced(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    axes, keepdims = attributes["axes"], attributes["keepdims"]
    return tuple(1 if a in axes else n for a, n in enumerate(shapes[0]) if keepdims or a not in axes)


def _indexed(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    shown: Shape = numpy.broadcast_to(numpy.empty(()), shapes[0])[subscript(attributes["key"])].shape
    return shown


def _taken(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (x, indices), axis = shapes, attributes["axis"]
    return (*x[:axis], *indices, *x[axis + 1 :])


def _attribute(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    return tuple(attributes["shape"])


def _first(dtypes: Sequence[Any], attributes: Attributes) -> Any:
    """Return the dtype of the first operand, unless the node names another, as a product of rounded operands does."""
    return numpy.dtype(attributes["dtype"]) if attributes.get("dtype") else dtypes[0]


def _of_branches(dtypes: Sequence[Any], attributes: Attributes) -> Any:
    return numpy.result_type(*(kind(1) if isinstance(kind, type) else kind for kind in dtypes[1:]))


def _pointwise(name: str, python: str = "", c: str = "") -> Operation:
    """Return the row of one of NumPy's ufuncs, whose rule for dtypes is taken."""
    ufunc = getattr(numpy, name)

    def dtype(dtypes: Sequence[Any], attributes: Attributes) -> Any:
        return ufunc.resolve_dtypes((*dtypes, *[None] * ufunc.nout))[-1]

    return Operation(name, "pointwise", _broadcast, dtype, ufunc, python, c)


def _both(name: str, template: str) -> Operation:
    return _pointwise(name, template, template)


def _called(name: str, c: str = "", *, numba: bool = False) -> Operation:
    """Return the row of a function that C calls `c`; Numba has no vector form of it, but may call it."""
    arguments = ", ".join(f"{{{i}}}" for i in range(getattr(numpy, name).nin))
    return _pointwise(name, f"{{type}}({name}({{0}}))" if numba else "", f"{c or name}({arguments})")


def _reduction(name: str, ufunc: str) -> Operation:
    function = getattr(numpy, name)

    def dtype(dtypes: Sequence[Any], attributes: Attributes) -> Any:
        return numpy.dtype(attributes["dtype"] or function(numpy.ones(1, dtypes[0])).dtype)

    return Operation(name, "reduction", _reduced, dtype, getattr(numpy, ufunc))


_ROWS = (
    *(Operation(name, "given", _attribute, lambda _, attributes: numpy.dtype(attributes["dtype"]))
      for name in ("input", "number", "constant")),
    _both("add", "{0} + {1}"), _both("subtract", "{0} - {1}"),
    _both("multiply", "{0} * {1}"), _both("divide", "{0} / {1}"),
    _both("less", "{0} < {1}"), _both("less_equal", "{0} <= {1}"),
    _both("greater", "{0} > {1}"), _both("greater_equal", "{0} >= {1}"),
    _both("equal", "{0} == {1}"), _both("not_equal", "{0} != {1}"),
    _pointwise("logical_and", "{0} and {1}", "{0} && {1}"), _pointwise("logical_or", "{0} or {1}", "{0} || {1}"),
    _pointwise("logical_not", "not {0}", "!{0}"),
    _both("negative", "-{0}"), _both("square", "{0} * {0}"), _pointwise("abs", "abs({0})", "fabs({0})"),
    # A maximum or minimum is NaN where an operand is.
    _pointwise("maximum", "{1} if {0} < {1} or {1} != {1} else {0}", "({0} < {1} || {1} != {1}) ? {1} : {0}"),
    _pointwise("minimum", "{1} if {0} > {1} or {1} != {1} else {0}", "({0} > {1} || {1} != {1}) ? {1} : {0}"),
    *(_called(name, numba=True) for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh")),
    *(_called(name) for name in ("log2", "log10", "sinh", "cosh", "sin", "cos", "tan", "atan", "asinh", "floor", "ceil",
                                 "trunc", "hypot", "copysign")),
    _called("power", "pow"),
    _pointwise("isnan", c="{0} != {0}"), _pointwise("isinf", c="fabs({0}) == INFINITY"),
    _pointwise("isfinite", c="fabs({0}) < INFINITY"), _pointwise("reciprocal", c="{type}(1) / {0}"),
    _pointwise("logaddexp"), _pointwise("signbit"),
    Operation("where", "pointwise", _broadcast, _of_branches, numpy.where, "{1} if {0} else {2}", "{0} ? {1} : {2}"),
    Operation("astype", "pointwise", _broadcast, _first, None, "{type}({0})", "{type}({0})"),
    # A number to bfloat16, as its 16 bits, and back: functions of the CUDA kernels' prelude.
    Operation("bfloat16", "pointwise", _broadcast, lambda *_: numpy.dtype("uint16"), c="bfloat16({0})"),
    Operation("widened", "pointwise", _broadcast, lambda *_: numpy.dtype("float32"), c="widened({0})"),
    _reduction("sum", "add"), _reduction("mean", "add"), _reduction("max", "maximum"), _reduction("min", "minimum"),
    _reduction("prod", "multiply"), _reduction("all", "logical_and"), _reduction("any", "logical_or"),
    Operation("matmul", "product", lambda shapes, _: (
        *numpy.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]), shapes[0][-2], shapes[1][-1]), _first, numpy.matmul),
    Operation("transpose", "view", lambda shapes, _: (*shapes[0][:-2], shapes[0][-1], shapes[0][-2]), _first),
    Operation("reshape", "view", _attribute, _first), Operation("index", "view", _indexed, _first),
    Operation("part", "view", _attribute, _first), Operation("overwrite", "view", lambda shapes, _: shapes[0], _first),
    Operation("gather", "copy", lambda shapes, _: (*shapes[1], *shapes[0][1:]), _first),
    Operation("take", "copy", _taken, _first),
    Operation("concat", "copy", lambda shapes, _: (shapes[0][0], sum(shape[1] for shape in shapes)), _first),
    Operation("stack", "copy", lambda shapes, _: (len(shapes), *shapes[0]), _first),
    Operation("join", "copy", lambda shapes, _: (sum(map(prod, shapes)),), _first),
)  # fmt: skip
OPERATIONS: dict[str, Operation] = {row.name: row for row in _ROWS}
POINTWISE = frozenset(row.name for row in _ROWS if row.kind == "pointwise")
REDUCTIONS, VIEWS, GIVEN = (
    tuple(row.name for row in _ROWS if row.kind == kind) for kind in ("reduction", "view", "given")
)
FUSED_REDUCTIONS = ("sum", "mean", "max", "min")  # the reductions a fused loop can take
UFUNCS: dict[str, Any] = {
    row.name: row.function for row in _ROWS if row.kind == "pointwise" and isinstance(row.function, numpy.ufunc)
}
# Arithmetic of Python numbers that change from step to step: done on the host, before the step.
HOST_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "power": operator.pow,
}  # fmt: skip


@lru_cache(maxsize=4096)
def derived(
    name: str, shapes: tuple[Shape, ...], dtypes: tuple[Any, ...], attributes: tuple[tuple[str, Any], ...]
) -> tuple[Shape, Any]:
    """Return the shape and the dtype of a node, by the rules of its row."""
    row, named = OPERATIONS[name], dict(attributes)
    return row.shape(shapes, named), row.dtype(dtypes, named)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes that `axis` means: None, a number or several."""
    return tuple(range(ndim)) if axis is None else tuple(sorted(normalize_axis_tuple(axis, ndim)))


def keyed(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an index as a tuple that can be hashed: a slice as ("slice", start, stop, step)."""
    return tuple(("slice", part.start, part.stop, part.step) if isinstance(part, slice) else part for part in key)


def subscript(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the index that `keyed` was given."""
    return tuple(slice(*part[1:]) if isinstance(part, tuple) else part for part in key)
