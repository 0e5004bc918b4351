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


class Operation(NamedTuple):
    """A kind of node.

    Attributes
    ----------
    name : str
        The name, NumPy's where NumPy has the function.
    kind : str
        "given" (an argument or a constant), "pointwise", "reduction", "product", "view" (the same memory in another
        shape) or "copy" (numbers moved as they are).
    shape : callable
        The shape of the result, from the shapes of the operands and the attributes of the node.
    dtype : callable
        Its dtype, from the dtypes of the operands and the attributes; Python's own types stand for Python numbers.
    function : callable or None
        NumPy's function.
    python, c : str
        An expression in the operands {0}, {1}, {2} and {type}, the name of the result's dtype; empty where there is
        none.
    """

    name: str
    kind: str
    shape: Callable[[Sequence[Shape], Attributes], Shape]
    dtype: Callable[[Sequence[Any], Attributes], Any]
    function: Any = None
    python: str = ""
    c: str = ""


# Shapes ---------------------------------------------------------------------------------------------------------------


def _broadcast(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    first = shapes[0]
    alike = all(shape == first or not shape for shape in shapes)  # nearly always, and much faster than NumPy's rule
    return first if alike and (first or len(shapes) == 1) else numpy.broadcast_shapes(*shapes)


def _reduced(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    axes, keepdims = attributes["axes"], attributes["keepdims"]
    return tuple(1 if a in axes else n for a, n in enumerate(shapes[0]) if keepdims or a not in axes)


def _product(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    a, b = shapes
    return (*numpy.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])


def _indexed(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    shown: Shape = numpy.broadcast_to(numpy.empty(()), shapes[0])[subscript(attributes["key"])].shape
    return shown


def _taken(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (x, indices), axis = shapes, attributes["axis"]
    return (*x[:axis], *indices, *x[axis + 1 :])


def _side_by_side(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    return shapes[0][0], sum(shape[1] for shape in shapes)


def _one_after_another(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    return (sum(map(prod, shapes)),)


def _attribute_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    return tuple(attributes["shape"])


# Dtypes ---------------------------------------------------------------------------------------------------------------


def _of_first(dtypes: Sequence[Any], attributes: Attributes) -> Any:
    return dtypes[0]


def _attribute_dtype(dtypes: Sequence[Any], attributes: Attributes) -> Any:
    return numpy.dtype(attributes["dtype"])


def _of_sums(dtypes: Sequence[Any], attributes: Attributes) -> Any:
    """Return the dtype of a matrix product: its operands', unless they were rounded first."""
    return numpy.dtype(attributes["dtype"]) if "dtype" in attributes else dtypes[0]


def _always(name: str) -> Callable[[Sequence[Any], Attributes], Any]:
    def dtype(dtypes: Sequence[Any], attributes: Attributes) -> Any:
        return numpy.dtype(name)

    return dtype


def _by_ufunc(ufunc: Any) -> Callable[[Sequence[Any], Attributes], Any]:
    def dtype(dtypes: Sequence[Any], attributes: Attributes) -> Any:
        return ufunc.resolve_dtypes((*dtypes, *[None] * ufunc.nout))[-1]

    return dtype


def _by_reduction(function: Any) -> Callable[[Sequence[Any], Attributes], Any]:
    def dtype(dtypes: Sequence[Any], attributes: Attributes) -> Any:
        return numpy.dtype(attributes["dtype"] or function(numpy.ones(1, dtypes[0])).dtype)

    return dtype


def _of_branches(dtypes: Sequence[Any], attributes: Attributes) -> Any:
    return numpy.result_type(*(kind(1) if isinstance(kind, type) else kind for kind in dtypes[1:]))


# Rows -----------------------------------------------------------------------------------------------------------------


def _pointwise(name: str, python: str = "", c: str = "") -> Operation:
    """Return the row of one of NumPy's ufuncs, whose rules for dtypes are taken."""
    ufunc = getattr(numpy, name)
    return Operation(name, "pointwise", _broadcast, _by_ufunc(ufunc), ufunc, python, c)


def _both(name: str, template: str) -> Operation:
    return _pointwise(name, template, template)


def _called(name: str, c: str = "", *, numba: bool = False) -> Operation:
    """Return the row of a function that C calls `c`; Numba has no vector form of it, but may call it."""
    arguments = ", ".join(f"{{{i}}}" for i in range(getattr(numpy, name).nin))
    return _pointwise(name, f"{{type}}({name}({{0}}))" if numba else "", f"{c or name}({arguments})")


def _reduction(name: str, function: str) -> Operation:
    return Operation(name, "reduction", _reduced, _by_reduction(getattr(numpy, name)), getattr(numpy, function, None))


def _view(name: str, shape: Callable[[Sequence[Shape], Attributes], Shape]) -> Operation:
    return Operation(name, "view", shape, _of_first)


def _copy(name: str, shape: Callable[[Sequence[Shape], Attributes], Shape]) -> Operation:
    return Operation(name, "copy", shape, _of_first)


_ROWS = (
    *(Operation(name, "given", _attribute_shape, _attribute_dtype) for name in ("input", "number", "constant")),
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
    Operation("astype", "pointwise", _broadcast, _attribute_dtype, None, "{type}({0})", "{type}({0})"),
    # A number to bfloat16, as its 16 bits, and back: functions of the CUDA kernels' prelude.
    Operation("bfloat16", "pointwise", _broadcast, _always("uint16"), c="bfloat16({0})"),
    Operation("widened", "pointwise", _broadcast, _always("float32"), c="widened({0})"),
    _reduction("sum", "add"), _reduction("mean", "add"), _reduction("max", "maximum"), _reduction("min", "minimum"),
    _reduction("prod", "multiply"), _reduction("all", "logical_and"), _reduction("any", "logical_or"),
    Operation("matmul", "product", _product, _of_sums, numpy.matmul),
    _view("transpose", lambda shapes, attributes: (*shapes[0][:-2], shapes[0][-1], shapes[0][-2])),
    _view("reshape", _attribute_shape), _view("index", _indexed), _view("part", _attribute_shape),
    _view("overwrite", lambda shapes, attributes: shapes[0]),
    _copy("gather", lambda shapes, attributes: (*shapes[1], *shapes[0][1:])), _copy("take", _taken),
    _copy("concat", _side_by_side), _copy("stack", lambda shapes, attributes: (len(shapes), *shapes[0])),
    _copy("join", _one_after_another),
)  # fmt: skip
OPERATIONS: dict[str, Operation] = {row.name: row for row in _ROWS}


def named(kind: str) -> tuple[str, ...]:
    """Return the names of the operations of a kind."""
    return tuple(row.name for row in _ROWS if row.kind == kind)


POINTWISE = frozenset(named("pointwise"))
UFUNCS: dict[str, Any] = {
    row.name: row.function for row in _ROWS if row.kind == "pointwise" and isinstance(row.function, numpy.ufunc)
}
# Arithmetic of Python numbers that change from step to step: done on the host, before the step.
HOST_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "power": operator.pow,
}  # fmt: skip
REDUCTIONS, VIEWS, GIVEN = named("reduction"), named("view"), named("given")
SUMS = ("sum", "mean", "max", "min")  # the reductions a fused loop can take


@lru_cache(maxsize=4096)
def derived(
    name: str, shapes: tuple[Shape, ...], dtypes: tuple[Any, ...], attributes: tuple[tuple[str, Any], ...]
) -> tuple[Shape, Any]:
    """Return the shape and the dtype of a node, by the rules of its row."""
    row, named_attributes = OPERATIONS[name], dict(attributes)
    return row.shape(shapes, named_attributes), row.dtype(dtypes, named_attributes)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes that `axis` means: None, a number or several."""
    return tuple(range(ndim)) if axis is None else tuple(sorted(normalize_axis_tuple(axis, ndim)))


def keyed(key: Any) -> tuple[Any, ...]:
    """Return an index as a tuple that can be hashed: a slice as ("slice", start, stop, step)."""
    parts = key if isinstance(key, tuple) else (key,)
    return tuple(("slice", part.start, part.stop, part.step) if isinstance(part, slice) else part for part in parts)


def subscript(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the index that `keyed` was given."""
    return tuple(slice(*part[1:]) if isinstance(part, tuple) else part for part in key)
