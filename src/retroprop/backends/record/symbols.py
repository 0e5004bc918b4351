"""The namespace a function is given in place of a library's while it is recorded."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy

from retroprop.backends.record.graph import Graph, Node, NotTraceableError
from retroprop.backends.record.table import OPERATIONS, REDUCTIONS, UFUNCS, axes_of

# Questions of a formula about dtypes and numbers are answered by NumPy.
_ANSWERED = ("finfo", "iinfo", "isdtype", "pi", "e", "inf", "nan", "newaxis", "bool", "int8", "int16", "int32", "int64",
             "uint8", "uint16", "uint32", "uint64", "float32", "float64")  # fmt: skip
_CREATED = ("arange", "zeros", "ones", "full", "eye", "linspace", "tril", "triu")


class Symbols:
    """The functions of the Array API standard that can be recorded; any other raises `NotTraceableError`."""

    def __init__(self) -> None:
        self.graph = Graph(self)

    def __getattr__(self, name: str) -> Any:
        if name in _ANSWERED:
            return getattr(numpy, name)
        if name in UFUNCS:
            return partial(self.graph.pointwise, name)
        if name in REDUCTIONS:
            return partial(self._reduce, name)
        if name in _CREATED:
            return lambda *args, device=None, **options: self.graph.constant(getattr(numpy, name)(*args, **options))
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotTraceableError(f"{name} is not recorded.")

    def _reduce(self, op: str, x: Node, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Node:
        axes, name = axes_of(axis, x.ndim), None if dtype is None else str(numpy.dtype(dtype))
        if not axes:  # nothing to reduce, but a reduction has a dtype of its own: a count, or a truth
            return self.astype(x, OPERATIONS[op].dtype((x.dtype,), {"dtype": name}))
        return self.graph.apply(op, x, axes=axes, keepdims=bool(keepdims), dtype=name)

    def mean(self, x: Node, *, axis: Any = None, keepdims: bool = False) -> Node:
        axes = axes_of(axis, x.ndim)
        if axes and len(axes) == x.ndim and x.dtype.kind == "f":  # a node of its own only over everything
            return self._reduce("mean", x, axis=axis, keepdims=keepdims)
        total = self._reduce("sum", x, axis=axis, keepdims=keepdims)
        return total / float(x.size // max(total.size, 1))

    def where(self, condition: Any, x: Any, y: Any, /) -> Node:
        return self.graph.pointwise("where", condition, x, y)

    def astype(self, x: Node, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Node:
        dtype = numpy.dtype(dtype)
        return x if x.dtype == dtype and not x.weak else self.graph.apply("astype", x, dtype=str(dtype))

    def asarray(self, x: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Node:
        node = x if isinstance(x, Node) else self.graph.constant(numpy.asarray(x, dtype=dtype))
        return node if dtype is None else self.astype(node, dtype)

    def matmul(self, a: Node, b: Node, /) -> Node:
        return self.graph.matmul(a, b)

    def matrix_transpose(self, x: Node, /) -> Node:
        return x.mT

    def reshape(self, x: Node, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Node:
        return self.graph.reshape(x, tuple(shape))

    def take(self, x: Node, indices: Any, /, *, axis: int = 0) -> Node:
        indices = indices if isinstance(indices, Node) else self.graph.constant(indices)
        return self.graph.apply("take", x, indices, axis=axis % x.ndim)

    def concat(self, arrays: Sequence[Node], /, *, axis: int | None = 0) -> Node:
        alike = {(a.ndim, a.shape[:1], a.dtype) for a in arrays}
        if axis is None or axis % 2 != 1 or len(alike) != 1 or arrays[0].ndim != 2:
            raise NotTraceableError("concat of other than matrices of one dtype side by side is not recorded.")
        return self.graph.apply("concat", *arrays)

    def stack(self, arrays: Sequence[Node], /, *, axis: int = 0) -> Node:
        if axis != 0 or len({(a.shape, a.dtype) for a in arrays}) != 1:
            raise NotTraceableError("stack of other than like arrays along a new first axis is not recorded.")
        return self.graph.apply("stack", *arrays)

    def zeros_like(self, x: Node, /, *, dtype: Any = None, device: Any = None) -> Node:
        return self.full_like(x, 0, dtype=dtype)

    def ones_like(self, x: Node, /, *, dtype: Any = None, device: Any = None) -> Node:
        return self.full_like(x, 1, dtype=dtype)

    def full_like(self, x: Node, value: Any, /, *, dtype: Any = None, device: Any = None) -> Node:
        return self.graph.constant(numpy.full(x.shape, value, dtype=dtype or x.dtype))
