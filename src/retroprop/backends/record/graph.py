"""The graph of a recorded step: nodes that stand for arrays, equal ones made once."""

from collections.abc import Callable, Iterable, Iterator
from math import prod
from operator import index
from typing import Any, NamedTuple

import numpy

from retroprop.backends.record import table
from retroprop.backends.record.table import HOST_ARITHMETIC, VIEWS


class NotTraceableError(TypeError):
    """A symbol was asked for its numbers, or for an operation that cannot be recorded."""


class Role(NamedTuple):
    """The part of backpropagation that a node belongs to.

    Attributes
    ----------
    operation : str
        The method of `core.operations.Operations` that made it: "affine", "output", "delta", "gradient", "update", ...
    layer : int
        The list index of the layer, 0 where the operation has none.
    function : object
        The activation f, the output or the update rule that the operation was given, else None.
    """

    operation: str
    layer: int = 0
    function: Any = None


def _refuse(asked: str) -> Callable[..., Any]:
    def refused(self: "Node", *args: Any, **kwargs: Any) -> Any:
        raise NotTraceableError(f"an array has no {asked} while the step is recorded.")

    return refused


def _infix(name: str, *, swapped: bool = False) -> Callable[..., "Node"]:
    def operator(self: "Node", other: Any) -> "Node":
        if not isinstance(other, (Node, bool, int, float)):
            return NotImplemented  # type: ignore[no-any-return]
        operands = (other, self) if swapped else (self, other)
        return self.graph.pointwise(name, *operands)

    return operator


def _prefix(name: str) -> Callable[["Node"], "Node"]:
    return lambda self: self.graph.pointwise(name, self)


class Node:
    """A symbol in place of an array, with its shape and NumPy dtype.

    Attributes
    ----------
    op, inputs, attributes
        A name of `table.OPERATIONS`, its operands (nodes or Python numbers), and its further arguments.
    operands : tuple of Node
        The inputs that are nodes.
    weak : bool
        Whether it stands for a Python number, which takes the dtype of the array it meets.
    role : Role or None
        The part of backpropagation it was recorded in; of equal nodes the first one's.
    """

    __slots__ = ("attributes", "dtype", "graph", "index", "inputs", "ndim", "op", "operands", "role", "shape", "size",
                 "weak")  # fmt: skip
    __array_ufunc__ = None  # NumPy's functions refuse it, and its operators leave the work to ours

    def __init__(
        self, graph: "Graph", op: str, inputs: tuple[Any, ...], attributes: dict[str, Any], shape: Any, dtype: Any
    ) -> None:
        self.graph, self.op, self.inputs, self.attributes = graph, op, inputs, attributes
        self.operands: tuple[Node, ...] = tuple([i for i in inputs if isinstance(i, Node)])
        self.shape, self.dtype = shape, dtype
        self.ndim, self.size = len(shape), prod(shape)
        self.weak = False
        self.role: Role | None = graph.role
        self.index = len(graph.nodes)

    @property
    def nbytes(self) -> int:
        """The memory of its elements in bytes."""
        return int(self.size * self.dtype.itemsize)

    @property
    def mT(self) -> "Node":  # noqa: N802
        """The transposed matrix: a view."""
        return self.inputs[0] if self.op == "transpose" else self.graph.apply("transpose", self)

    T = mT

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return self.graph.namespace

    def __getitem__(self, key: Any) -> "Node":
        """Return a view by slices, integers, None and an ellipsis."""
        key = tuple(_integral(k) for k in (key if isinstance(key, tuple) else (key,)))
        if not all(
            k is None or k is Ellipsis or (isinstance(k, (int, slice)) and not isinstance(k, bool)) for k in key
        ):
            raise NotTraceableError("only slices, whole numbers, None and ... index an array while it is recorded.")
        shown = numpy.broadcast_to(numpy.empty((), self.dtype), self.shape)[key]
        if shown.size == self.size and all(k is None or k is Ellipsis or k == slice(None) for k in key):
            return self.graph.reshape(self, shown.shape)
        return self.graph.apply("index", self, key=table.keyed(key))

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
    __eq__, __ne__ = _infix("equal"), _infix("not_equal")  # type: ignore[assignment]
    __neg__, __abs__, __invert__ = _prefix("negative"), _prefix("abs"), _prefix("logical_not")

    def __pos__(self) -> "Node":
        return self

    def __matmul__(self, other: "Node") -> "Node":
        return self.graph.matmul(self, other)

    def __hash__(self) -> int:
        return id(self)

    __bool__ = _refuse("truth value")
    __float__ = __int__ = __index__ = __complex__ = _refuse("value")
    __iter__ = _refuse("iteration")
    __array__ = __array_function__ = _refuse("NumPy array")
    __setitem__ = _refuse("item assignment")


class Graph:
    """The nodes of one recorded function, in the order they were made; equal ones are one.

    `namespace` records into it; `role` is the role of the nodes that are made next.
    """

    def __init__(self, namespace: Any = None) -> None:
        self.nodes: list[Node] = []
        self.namespace = namespace
        self.role: Role | None = None
        self._known: dict[Any, Node] = {}

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def apply(self, op: str, *inputs: Any, **attributes: Any) -> Node:
        """Return the node of an operation of the table, the one made before where there is one."""
        identities: list[Any] = []
        shapes: list[tuple[int, ...]] = []
        dtypes: list[Any] = []
        for i in inputs:
            if isinstance(i, Node):
                if i.graph is not self:
                    raise NotTraceableError("a symbol of another recording was met.")
                identities.append(id(i))
                shapes.append(i.shape)
                dtypes.append(float if i.weak else i.dtype)
            else:
                identities.append((type(i), repr(i)))  # 0.0 and -0.0, 2 and 2.0 are not the same
                shapes.append(())
                dtypes.append(type(i))
        items = tuple(sorted(attributes.items()))
        key = op, tuple(identities), items
        if (node := self._known.get(key)) is None:
            shape, dtype = table.derived(op, tuple(shapes), tuple(dtypes), items)
            node = self._known[key] = Node(self, op, inputs, attributes, shape, dtype)
            self.nodes.append(node)
        return node

    def given(self, op: str, shape: tuple[int, ...], dtype: Any, **attributes: Any) -> Node:
        """Return an argument or a constant: "input", "number" or "constant"."""
        return self.apply(op, shape=tuple(shape), dtype=str(numpy.dtype(dtype)), **attributes)

    def constant(self, value: Any) -> Node:
        """Return an array whose numbers are known now."""
        value = numpy.ascontiguousarray(value) if numpy.ndim(value) else numpy.asarray(value)
        return self.given("constant", value.shape, value.dtype, content=value.tobytes())

    def pointwise(self, op: str, *inputs: Any) -> Node:
        """Return an elementwise function, broadcast as NumPy does."""
        inputs = tuple([self.constant(i) if isinstance(i, (numpy.generic, numpy.ndarray)) else i for i in inputs])
        kinds = [i.weak for i in inputs if isinstance(i, Node)]
        if not kinds:
            raise NotTraceableError(f"{op} of {inputs!r} is not recorded.")
        if (simpler := _simpler(op, inputs)) is not None:
            return simpler
        if (weak := all(kinds)) and op not in HOST_ARITHMETIC:
            raise NotTraceableError(f"{op} of Python numbers that change is not recorded.")
        result = self.apply(op, *inputs)
        result.weak = weak
        return result

    def matmul(self, a: Node, b: Node) -> Node:
        """Return the matrix product."""
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2] or a.dtype != b.dtype:
            raise NotTraceableError(f"matmul of shapes {a.shape} and {b.shape} is not recorded.")
        return self.apply("matmul", a, b)

    def reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        """Return the same numbers in another shape, in C order: a view."""
        known = prod(n for n in shape if n >= 0)
        shape = tuple(x.size // max(known, 1) if n < 0 else n for n in shape)
        if shape == x.shape:
            return x
        return self.reshape(x.inputs[0], shape) if x.op == "reshape" else self.apply("reshape", x, shape=shape)

    def join(self, leaves: tuple[Node, ...]) -> Node:
        """Return the numbers of all leaves as one 1-D array; the plan puts them there in the first place."""
        if len({leaf.dtype for leaf in leaves}) != 1:
            raise NotTraceableError("leaves of several dtypes are not joined.")
        return self.apply("join", *leaves)

    def parts(self, flat: Node, shapes: Iterable[tuple[int, ...]]) -> list[Node]:
        """Return consecutive parts of a 1-D array in these shapes: views."""
        offset, found = 0, []
        for shape in shapes:
            found.append(self.apply("part", flat, offset=offset, shape=tuple(shape)))
            offset += prod(shape)
        return found


def reached(outputs: Iterable[Node]) -> list[Node]:
    """Return the outputs and every node they depend on, in the order of the record."""
    found: dict[int, Node] = {}
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node.index not in found:
            found[node.index] = node
            waiting += node.operands
    return [found[i] for i in sorted(found)]


def base_of(node: Node) -> Node:
    """Return the node whose memory a chain of views shows."""
    while node.op in VIEWS:
        node = node.inputs[0]
    return node


def _integral(key: Any) -> Any:
    """Return one part of an index with Python's own integers."""
    if isinstance(key, slice):
        return slice(*(None if k is None else index(k) for k in (key.start, key.stop, key.step)))
    return int(key) if isinstance(key, numpy.integer) else key


_NEUTRAL = {"add": 0, "subtract": 0, "multiply": 1, "divide": 1}
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def number_dtype(node: Node, value: Any) -> Any:
    """Return the dtype that `value`, a Python number or a node that stands for one, takes as an operand of `node`."""
    if node.op == "where":
        return node.dtype
    others = [i.dtype for i in node.operands if not i.weak]
    if node.op in _COMPARISONS:
        return numpy.result_type(others[0], 1.0 if isinstance(value, Node) else value)
    return numpy.result_type(*others) if node.dtype.kind == "b" else numpy.result_type(node.dtype, *others)


def _simpler(op: str, inputs: tuple[Any, ...]) -> Node | None:
    """Return the operand a neutral number leaves as it is: x + 0, x − 0, x · 1, x / 1."""
    if op in _NEUTRAL:
        for x, number in (inputs, inputs[::-1]) if op in ("add", "multiply") else (inputs,):
            neutral = isinstance(number, (int, float)) and number == _NEUTRAL[op]
            if neutral and isinstance(x, Node) and x.dtype.kind == "f":
                return x
    return None
