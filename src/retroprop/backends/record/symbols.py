"""The namespace a function is given in place of a library's while it is recorded."""

from typing import Any

import numpy

from retroprop.backends.record.graph import POINTWISE, REDUCTIONS, Graph, Node, NotTraceableError

# What a formula asks about dtypes and numbers is answered by NumPy.
_ANSWERED = ("finfo", "iinfo", "isdtype", "pi", "e", "inf", "nan", "newaxis", "bool", "int8", "int16", "int32", "int64",
             "uint8", "uint16", "uint32", "uint64", "float32", "float64")  # fmt: skip
_CREATED = ("arange", "zeros", "ones", "full", "eye", "linspace", "tril", "triu")


class Symbols:
    """The functions of the Array API standard that can be recorded; any other raises `NotTraceableError`."""

    def __init__(self) -> None:
        self.graph = Graph(self)

    def __getattr__(self, name: str) -> Any:
        graph = self.graph
        if name in _ANSWERED:
            return getattr(numpy, name)
        if name in POINTWISE:
            return lambda *inputs: graph.pointwise(name, *inputs)
        if name in REDUCTIONS:
            return lambda x, *, axis=None, dtype=None, keepdims=False: graph.reduce(
                name, x, axis, keepdims=keepdims, dtype=dtype
            )
        if name in _CREATED:
            return lambda *args, device=None, **options: graph.constant(getattr(numpy, name)(*args, **options))
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotTraceableError(f"{name} is not recorded.")

    def where(self, condition: Any, x: Any, y: Any, /) -> Node:
        return self.graph.pointwise("where", condition, x, y)

    def astype(self, x: Node, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Node:
        return self.graph.astype(x, dtype)

    def asarray(self, x: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Node:
        node = x if isinstance(x, Node) else self.graph.constant(numpy.asarray(x, dtype=dtype))
        return node if dtype is None else self.graph.astype(node, dtype)

    def mean(self, x: Node, *, axis: Any = None, keepdims: bool = False) -> Node:
        return self.graph.mean(x, axis, keepdims=keepdims)

    def matmul(self, a: Node, b: Node, /) -> Node:
        return self.graph.matmul(a, b)

    def matrix_transpose(self, x: Node, /) -> Node:
        return self.graph.transpose(x)

    def reshape(self, x: Node, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Node:
        return self.graph.reshape(x, tuple(shape))

    def take(self, x: Node, indices: Any, /, *, axis: int = 0) -> Node:
        return self.graph.take(x, indices if isinstance(indices, Node) else self.graph.constant(indices), axis)

    def concat(self, arrays: Any, /, *, axis: int | None = 0) -> Node:
        arrays = tuple(arrays)
        dtypes = {a.dtype for a in arrays}
        if axis is None or {a.ndim for a in arrays} != {2} or axis % 2 != 1 or len(dtypes) != 1:
            raise NotTraceableError("concat of other than matrices of one dtype side by side is not recorded.")
        shape = (arrays[0].shape[0], sum(a.shape[1] for a in arrays))
        return self.graph.node("hstack", arrays, shape, arrays[0].dtype)

    def stack(self, arrays: Any, /, *, axis: int = 0) -> Node:
        arrays = tuple(arrays)
        if axis != 0:
            raise NotTraceableError("stack along another axis than the first is not recorded.")
        leaves = tuple(self.graph.reshape(a, (a.size,)) for a in arrays)
        joined = self.graph.node("concat", leaves, (sum(a.size for a in leaves),), arrays[0].dtype)
        return self.graph.reshape(joined, (len(arrays), *arrays[0].shape))

    def zeros_like(self, x: Node, /, *, dtype: Any = None, device: Any = None) -> Node:
        return self.full_like(x, 0, dtype=dtype)

    def ones_like(self, x: Node, /, *, dtype: Any = None, device: Any = None) -> Node:
        return self.full_like(x, 1, dtype=dtype)

    def full_like(self, x: Node, value: Any, /, *, dtype: Any = None, device: Any = None) -> Node:
        return self.graph.constant(numpy.full(x.shape, value, dtype=dtype or x.dtype))
