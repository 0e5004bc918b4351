"""The record of a computation: nodes that stand for arrays, each made once."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from math import prod
from operator import index
from typing import Any

import numpy
from numpy.lib.array_utils import normalize_axis_tuple


class NotTraceableError(TypeError):
    """What was asked of a symbol needs its numbers, or is nothing that can be recorded."""


def _refuse(what: str) -> Callable[..., Any]:
    def refused(self: "Node", *args: Any, **kwargs: Any) -> Any:
        raise NotTraceableError(f"{what} of an array was asked for while the step was recorded.")

    return refused


def _infix(name: str, *, swapped: bool = False) -> Callable[..., "Node"]:
    def operator(self: "Node", other: Any) -> "Node":
        operands = (other, self) if swapped else (self, other)
        if not isinstance(other, (Node, bool, int, float)):
            return NotImplemented  # type: ignore[no-any-return]
        return self.graph.pointwise(name, *operands)

    return operator


class Node:
    """A symbol in place of an array, with its shape and dtype.

    Attributes
    ----------
    op : str
        What makes it of `inputs`.
    inputs : tuple of Node or Python number
        What it is made of.
    attrs : tuple
        What else `op` needs to know, as (name, value) pairs.
    shape, dtype
        As of the array; the dtype is NumPy's.
    weak : bool
        Whether it stands for a Python number, which takes the dtype of the array it meets.
    """

    __slots__ = ("attrs", "dtype", "graph", "index", "inputs", "op", "shape", "weak")
    __array_ufunc__ = None  # NumPy's functions refuse it, and its operators leave the work to ours

    def __init__(
        self, graph: "Graph", op: str, inputs: tuple[Any, ...], attrs: tuple[Any, ...], shape: Any, dtype: Any
    ) -> None:
        self.graph, self.op, self.inputs, self.attrs = graph, op, inputs, attrs
        self.shape, self.dtype = tuple(shape), dtype
        self.weak = False
        self.index = -1

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How much memory they take."""
        return self.size * int(self.dtype.itemsize)

    @property
    def operands(self) -> tuple["Node", ...]:
        """The inputs that are nodes."""
        return tuple(i for i in self.inputs if isinstance(i, Node))

    def attr(self, name: str) -> Any:
        """Return an attribute."""
        return dict(self.attrs)[name]

    @property
    def mT(self) -> "Node":  # noqa: N802
        """The transposed matrix."""
        return self.graph.transpose(self)

    T = mT

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return self.graph.namespace

    def __getitem__(self, key: Any) -> "Node":
        return self.graph.index(self, key)

    def __repr__(self) -> str:
        return f"<{self.op} {self.dtype}{list(self.shape)}>"

    __add__, __radd__ = _infix("add"), _infix("add", swapped=True)
    __sub__, __rsub__ = _infix("subtract"), _infix("subtract", swapped=True)
    __mul__, __rmul__ = _infix("multiply"), _infix("multiply", swapped=True)
    __truediv__, __rtruediv__ = _infix("divide"), _infix("divide", swapped=True)
    __pow__, __rpow__ = _infix("power"), _infix("power", swapped=True)
    __lt__, __le__ = _infix("less"), _infix("less_equal")
    __gt__, __ge__ = _infix("greater"), _infix("greater_equal")
    __and__, __or__ = _infix("logical_and"), _infix("logical_or")

    def __eq__(self, other: object) -> Any:
        return _infix("equal")(self, other)

    def __ne__(self, other: object) -> Any:
        return _infix("not_equal")(self, other)

    def __hash__(self) -> int:
        return id(self)

    def __matmul__(self, other: "Node") -> "Node":
        return self.graph.matmul(self, other)

    def __neg__(self) -> "Node":
        return self.graph.pointwise("negative", self)

    def __abs__(self) -> "Node":
        return self.graph.pointwise("abs", self)

    def __invert__(self) -> "Node":
        return self.graph.pointwise("logical_not", self)

    def __pos__(self) -> "Node":
        return self

    __bool__ = _refuse("the truth")
    __float__ = __int__ = __index__ = __complex__ = _refuse("the value")
    __iter__ = _refuse("the rows")
    __array__ = __array_function__ = _refuse("NumPy's view")
    __setitem__ = _refuse("a change in place")


# op: NumPy's function, whose rules for dtypes are taken.
POINTWISE: dict[str, Any] = {
    name: getattr(numpy, name)
    for name in (
        "add", "subtract", "multiply", "divide", "power", "negative", "abs", "square", "sqrt", "exp", "expm1", "log",
        "log1p", "log2", "log10", "tanh", "sinh", "cosh", "sin", "cos", "tan", "atan", "asinh", "floor", "ceil",
        "trunc", "round", "maximum", "minimum", "less", "less_equal", "greater", "greater_equal", "equal",
        "not_equal", "logical_and", "logical_or", "logical_not", "isfinite", "isnan", "isinf", "hypot", "logaddexp",
        "copysign", "reciprocal", "signbit",
    )
    if isinstance(getattr(numpy, name), numpy.ufunc)
}  # fmt: skip
HOST_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
REDUCTIONS = ("sum", "max", "min", "prod", "all", "any")


@lru_cache(maxsize=4096)
def _result_dtype(op: str, kinds: tuple[Any, ...]) -> Any:
    """Return the dtype of a pointwise result; Python's own types stand for Python numbers."""
    if op == "where":
        return numpy.result_type(*(kind(1) if isinstance(kind, type) else kind for kind in kinds[1:]))
    ufunc = POINTWISE[op]
    return ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))[-1]


class Graph:
    """The nodes of one recorded function, in the order they were made; equal ones are one."""

    def __init__(self, namespace: Any = None) -> None:
        self.nodes: list[Node] = []
        self.namespace = namespace
        self._known: dict[Any, Node] = {}

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def node(self, op: str, inputs: tuple[Any, ...], shape: Any, dtype: Any, **attrs: Any) -> Node:
        """Return the node of that description, the one made before where there is one."""
        for i in inputs:
            if isinstance(i, Node) and i.graph is not self:
                raise NotTraceableError("a symbol of another recording was met.")
        made = tuple(sorted(attrs.items()))
        of = tuple(id(i) if isinstance(i, Node) else (type(i), repr(i)) for i in inputs)
        key = (op, of, made, tuple(shape), str(dtype))
        if key not in self._known:
            node = Node(self, op, inputs, made, shape, numpy.dtype(dtype))
            node.index = len(self.nodes)
            self.nodes.append(node)
            self._known[key] = node
        return self._known[key]

    def constant(self, value: Any) -> Node:
        """Return an array whose numbers are known now."""
        value = numpy.ascontiguousarray(value) if numpy.ndim(value) else numpy.asarray(value)
        return self.node("constant", (), value.shape, value.dtype, content=value.tobytes())

    def pointwise(self, op: str, *inputs: Any) -> Node:
        """Return a function of the numbers, one by one, broadcast as NumPy does."""
        inputs = tuple(self.constant(i) if isinstance(i, numpy.generic | numpy.ndarray) else i for i in inputs)
        nodes = [i for i in inputs if isinstance(i, Node)]
        if not nodes:
            raise NotTraceableError(f"{op} of {inputs!r} is not recorded.")
        simpler = _simpler(op, inputs)
        if simpler is not None:
            return simpler
        shape = numpy.broadcast_shapes(*(n.shape for n in nodes))
        if all(n.weak for n in nodes):
            if op not in HOST_ARITHMETIC:
                raise NotTraceableError(f"{op} of Python numbers that change is not recorded.")
            result = self.node(op, inputs, (), numpy.float64)
            result.weak = True
            return result
        kinds = tuple((float if i.weak else i.dtype) if isinstance(i, Node) else type(i) for i in inputs)
        return self.node(op, inputs, shape, _result_dtype(op, kinds))

    def reduce(self, op: str, x: Node, axis: Any = None, *, keepdims: bool = False, dtype: Any = None) -> Node:
        """Return a sum, maximum, ... over axes."""
        axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
        shape = [1 if a in axes else n for a, n in enumerate(x.shape) if keepdims or a not in axes]
        if dtype is None:
            dtype = getattr(numpy, op)(numpy.ones(1, x.dtype)).dtype
        if not axes or (x.ndim == 0):
            return x
        return self.node(op, (x,), shape, dtype, axes=tuple(sorted(axes)), keepdims=bool(keepdims))

    def mean(self, x: Node, axis: Any = None, *, keepdims: bool = False) -> Node:
        """Return a mean over axes."""
        total = self.reduce("sum", x, axis, keepdims=keepdims)
        if total is x or len(total.attr("axes")) < x.ndim or x.dtype.kind != "f":
            return self.pointwise("divide", total, float(x.size // max(total.size, 1)))
        return self.node("mean", (x,), total.shape, total.dtype, **dict(total.attrs))

    def astype(self, x: Node, dtype: Any) -> Node:
        """Return `x` in another dtype."""
        dtype = numpy.dtype(dtype)
        return x if x.dtype == dtype and not x.weak else self.node("astype", (x,), x.shape, dtype)

    def matmul(self, a: Node, b: Node) -> Node:
        """Return the matrix product."""
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2] or a.dtype != b.dtype:
            raise NotTraceableError(f"matmul of shapes {a.shape} and {b.shape} is not recorded.")
        batch = numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return self.node("matmul", (a, b), (*batch, a.shape[-2], b.shape[-1]), numpy.result_type(a.dtype, b.dtype))

    def transpose(self, x: Node) -> Node:
        """Return the transposed matrix: another look at the same numbers."""
        if x.op == "transpose":
            return x.inputs[0]  # type: ignore[no-any-return]
        return self.node("transpose", (x,), (*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)

    def reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        """Return the same numbers, rows first, in another shape."""
        known = prod(n for n in shape if n >= 0)
        shape = tuple(x.size // max(known, 1) if n < 0 else n for n in shape)
        if shape == x.shape:
            return x
        if x.op == "reshape":
            return self.reshape(x.inputs[0], shape)
        return self.node("reshape", (x,), shape, x.dtype)

    def index(self, x: Node, key: Any) -> Node:
        """Return a part of `x` by slices, whole numbers, None and an ellipsis: another look at the same numbers."""
        key = key if isinstance(key, tuple) else (key,)
        key = tuple(_whole(k) for k in key)
        if not all(
            k is None or k is Ellipsis or (isinstance(k, (int, slice)) and not isinstance(k, bool)) for k in key
        ):
            raise NotTraceableError("only slices, whole numbers, None and ... index an array while it is recorded.")
        looked = numpy.broadcast_to(numpy.empty((), x.dtype), x.shape)[key]
        if looked.size == x.size and all(k is None or k is Ellipsis or k == slice(None) for k in key):
            return self.reshape(x, looked.shape)
        return self.node("index", (x,), looked.shape, x.dtype, key=repr(key))

    def take(self, x: Node, indices: Node, axis: int) -> Node:
        """Return the entries of `x` at `indices` along an axis."""
        axis %= x.ndim
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return self.node("take", (x, indices), shape, x.dtype, axis=axis)

    def join(self, leaves: tuple[Node, ...]) -> Node:
        """Return the numbers of all leaves in one row; the plan puts them there in the first place."""
        dtypes = {leaf.dtype for leaf in leaves}
        if len(dtypes) != 1:
            raise NotTraceableError("leaves of several dtypes are not joined.")
        return self.node("join", leaves, (sum(leaf.size for leaf in leaves),), leaves[0].dtype)

    def part(self, flat: Node, offset: int, shape: tuple[int, ...]) -> Node:
        """Return a part of a row of numbers in a shape: another look at them."""
        return self.node("part", (flat,), shape, flat.dtype, offset=offset)

    def overwrite(self, new: Node, old: Node) -> Node:
        """Return `new` in the place of `old`, which nobody reads after that."""
        return self.node("overwrite", (new, old), new.shape, new.dtype)


def reached(outputs: Iterable[Node]) -> list[Node]:
    """Return the nodes that others are made of, and those, in the order of the record."""
    found: dict[int, Node] = {}
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node.index not in found:
            found[node.index] = node
            waiting += node.operands
    return [found[i] for i in sorted(found)]


def _whole(key: Any) -> Any:
    """Return a part of an index with Python's own whole numbers."""
    if isinstance(key, slice):
        return slice(*(None if k is None else index(k) for k in (key.start, key.stop, key.step)))
    return int(key) if isinstance(key, numpy.integer) else key


VIEWS = ("transpose", "reshape", "index", "part", "overwrite")


_COMPARE = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def number_dtype(node: Node, value: Any) -> Any:
    """Return the dtype that `value`, a Python number or a node that stands for one, takes as an operand of `node`."""
    if node.op == "where":
        return node.dtype
    others = [i.dtype for i in node.operands if not i.weak]
    if node.op in _COMPARE:
        return numpy.result_type(others[0], 1.0 if isinstance(value, Node) else value)
    return numpy.result_type(node.dtype, *others) if node.dtype.kind == "f" else numpy.result_type(*others)


def _simpler(op: str, inputs: tuple[Any, ...]) -> Node | None:
    """Return the operand a neutral number leaves as it is: x + 0, x − 0, x · 1, x / 1."""
    if op not in ("add", "subtract", "multiply", "divide"):
        return None
    neutral = 0 if op in ("add", "subtract") else 1
    places = ((0, 1), (1, 0)) if op in ("add", "multiply") else ((0, 1),)
    for kept, other in places:
        x, number = inputs[kept], inputs[other]
        if isinstance(x, Node) and isinstance(number, (int, float)) and number == neutral and x.dtype.kind == "f":
            return x
    return None
