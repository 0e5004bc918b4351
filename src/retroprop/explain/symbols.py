"""Arrays of expressions and their namespace: given as `xp` to the library's own functions, these return formulas."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy

from retroprop.explain import expressions
from retroprop.explain.expressions import COMPARISONS, Expression, of

# Elementwise functions with a constructor that simplifies; any other becomes a node of its name.
_SIMPLIFIED: dict[str, Callable[..., Expression]] = {
    "add": expressions.add,
    "sub": expressions.sub,
    "mul": expressions.mul,
    "div": expressions.div,
    "neg": expressions.neg,
    "square": expressions.square,
    "maximum": expressions.maximum,
    "expm1": expressions.expm1,
    "log1p": expressions.log1p,
    "indicator": expressions.indicator,
}
_FUNCTIONS = ("exp", "log", "log1p", "expm1", "tanh", "sqrt", "abs", "square", "minimum", "maximum", "where")


class SymbolArray:
    """An array of expressions with the operators and attributes of an array of float64.

    Parameters
    ----------
    items : array of object, or nested sequence
        The expressions; quantities and numbers become expressions.
    """

    dtype = numpy.dtype("float64")

    def __init__(self, items: Any) -> None:
        given = items if isinstance(items, numpy.ndarray) else numpy.asarray(_filled(items), dtype=object)
        self.items = numpy.asarray(numpy.frompyfunc(of, 1, 1)(given), dtype=object)

    shape = property(lambda self: self.items.shape)
    ndim = property(lambda self: self.items.ndim)

    def __getitem__(self, key: Any) -> "SymbolArray":
        part: Any = self.items[key]
        return SymbolArray(part if isinstance(part, numpy.ndarray) else _scalar(part))


def _scalar(item: Expression) -> Any:
    """Return an expression as an array without axes."""
    array = numpy.empty((), dtype=object)
    array[()] = item
    return array


def _filled(items: Any) -> Any:
    """Return a nested sequence, whose named tuples NumPy would take for sequences too, as one of expressions."""
    if isinstance(items, Sequence) and not hasattr(items, "_fields"):
        return [_filled(item) for item in items]
    return of(items)


def elementwise(op: str, *operands: Any) -> SymbolArray:
    """Return the operation `op` of arrays and numbers, broadcast."""
    build = _SIMPLIFIED.get(op, lambda *args: Expression(op, args))
    apply = numpy.frompyfunc(build, len(operands), 1)
    items = [(x if isinstance(x, SymbolArray) else SymbolArray(numpy.asarray(x, dtype=object))).items for x in operands]
    return SymbolArray(numpy.asarray(apply(*items), dtype=object))


def _operator(op: str, *, swapped: bool = False) -> Callable[..., SymbolArray]:
    def method(self: SymbolArray, *other: Any) -> SymbolArray:
        return elementwise(op, *other, self) if swapped else elementwise(op, self, *other)

    return method


for _op in ("add", "sub", "mul"):
    setattr(SymbolArray, f"__{_op}__", _operator(_op))
    setattr(SymbolArray, f"__r{_op}__", _operator(_op, swapped=True))
for _name, _op in (("truediv", "div"), ("neg", "neg"), *((one, one) for one in COMPARISONS)):
    setattr(SymbolArray, f"__{_name}__", _operator(_op))
SymbolArray.__rtruediv__ = _operator("div", swapped=True)  # type: ignore[attr-defined]


class SymbolNamespace:
    """The functions of the Array API standard that formulas use, over `SymbolArray`."""

    finfo = staticmethod(numpy.finfo)
    isdtype = staticmethod(numpy.isdtype)

    def __getattr__(self, name: str) -> Any:
        if name in _FUNCTIONS:
            return partial(elementwise, name)
        if name.startswith("__"):
            raise AttributeError(name)
        raise ValueError(
            f"the formula calls xp.{name}, for which a derivation has no symbol. It has: "
            f"{', '.join(sorted({*_FUNCTIONS, 'sum', 'max', 'mean', 'astype', 'ones_like', 'zeros_like', 'concat'}))}."
        )

    def sum(self, x: SymbolArray, *, axis: Any = None, keepdims: bool = False) -> SymbolArray:
        """Return the sum over axes."""
        return _reduced("add", x, axis, keepdims)

    def max(self, x: SymbolArray, *, axis: Any = None, keepdims: bool = False) -> SymbolArray:
        """Return the maximum over axes."""
        return _reduced("maximum", x, axis, keepdims)

    def mean(self, x: SymbolArray, *, axis: Any = None, keepdims: bool = False) -> SymbolArray:
        """Return the mean over axes."""
        total = _reduced("add", x, axis, keepdims)
        return elementwise("div", total, prod(x.shape) / max(prod(total.shape), 1))

    def astype(self, x: SymbolArray, dtype: Any) -> SymbolArray:
        """Return a comparison as 1 and 0, any other array as it is."""
        return elementwise("indicator", x)

    def ones_like(self, x: SymbolArray) -> SymbolArray:
        """Return ones of the shape of `x`."""
        return SymbolArray(numpy.ones(x.shape, dtype=object))

    def zeros_like(self, x: SymbolArray) -> SymbolArray:
        """Return zeros of the shape of `x`."""
        return SymbolArray(numpy.zeros(x.shape, dtype=object))

    def concat(self, arrays: Sequence[SymbolArray], *, axis: int = 0) -> SymbolArray:
        """Return arrays joined along an axis."""
        return SymbolArray(numpy.concatenate([array.items for array in arrays], axis=axis))

    def matmul(self, a: SymbolArray, b: SymbolArray) -> SymbolArray:
        """Return the matrix product."""
        columns = self.matrix_transpose(b)
        products = elementwise("mul", a[..., :, None, :], columns[..., None, :, :])
        return _reduced("add", products, -1, keepdims=False)

    def matrix_transpose(self, x: SymbolArray) -> SymbolArray:
        """Return the transpose of the last two axes."""
        return SymbolArray(numpy.swapaxes(x.items, -1, -2))


def _reduced(op: str, x: SymbolArray, axis: Any, keepdims: bool) -> SymbolArray:
    """Return a reduction over one axis, several, or all, from the last on."""
    axes = range(x.ndim) if axis is None else ([axis] if isinstance(axis, int) else axis)
    items = x.items
    for one in sorted((one % x.ndim for one in axes), reverse=True):
        items = _in_pairs(op, numpy.moveaxis(items, one, -1))
        items = numpy.expand_dims(items, one) if keepdims else items
    return SymbolArray(items)


def _in_pairs(op: str, items: Any) -> Any:
    """Return the reduction of the last axis, in order; by pairs, as a chain of a thousand sums is too deep a tree."""
    apply = numpy.frompyfunc(_SIMPLIFIED[op], 2, 1)
    while (n := items.shape[-1]) > 1:
        pairs = apply(items[..., 0 : n - 1 : 2], items[..., 1:n:2])
        items = numpy.concatenate([pairs, items[..., n - n % 2 :]], axis=-1)
    return numpy.asarray(items[..., 0], dtype=object) if items.ndim > 1 else _scalar(items[0])
