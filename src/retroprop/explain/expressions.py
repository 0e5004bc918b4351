"""Expressions of quantities: a small tree, simplified by the rules of 0, 1 and signs as it is built."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from retroprop.explain.naming import Quantity

# A formula bounds a denominator away from 0 by a number no larger than eps. A derivation is about real numbers,
# for which max(u, that number) is u.
_GUARD = 2.0**-52


@dataclass(frozen=True, slots=True)
class Expression:
    """An operation on expressions, a quantity of the network, or a number.

    Attributes
    ----------
    op : str
        "number" and "quantity" are the leaves; "add", "sub", "mul", "div", "neg", "square", "exp", "log", "tanh",
        "sqrt", "abs", "minimum", "maximum", "where", "indicator", the comparisons "gt", "lt", "ge", "le", "eq"; and the
        name of a function that was recognised.
    args : tuple
        The operands; of a leaf its value.
    """

    op: str
    args: tuple[Any, ...]

    @property
    def value(self) -> float | None:
        """The value of a number, else None."""
        return self.args[0] if self.op == "number" else None

    def __add__(self, other: "Operand") -> "Expression":
        return add(self, of(other))

    def __radd__(self, other: "Operand") -> "Expression":
        return add(of(other), self)

    def __sub__(self, other: "Operand") -> "Expression":
        return sub(self, of(other))

    def __rsub__(self, other: "Operand") -> "Expression":
        return sub(of(other), self)

    def __mul__(self, other: "Operand") -> "Expression":
        return mul(self, of(other))

    def __rmul__(self, other: "Operand") -> "Expression":
        return mul(of(other), self)

    def __truediv__(self, other: "Operand") -> "Expression":
        return div(self, of(other))

    def __rtruediv__(self, other: "Operand") -> "Expression":
        return div(of(other), self)

    def __neg__(self) -> "Expression":
        return neg(self)


Operand: TypeAlias = Expression | Quantity | float


def of(thing: Operand) -> Expression:
    """Return a quantity or a number as an expression."""
    if isinstance(thing, Expression):
        return thing
    return Expression("quantity", (thing,)) if isinstance(thing, Quantity) else Expression("number", (float(thing),))


def add(u: Expression, v: Expression) -> Expression:
    """Return u + v."""
    if u.value is not None and v.value is not None:
        return of(u.value + v.value)
    if u.value == 0.0 or v.value == 0.0:
        return v if u.value == 0.0 else u
    if v.op == "neg":
        return sub(u, v.args[0])
    return sub(v, u.args[0]) if u.op == "neg" else Expression("add", (u, v))


def sub(u: Expression, v: Expression) -> Expression:
    """Return u − v."""
    if u.value is not None and v.value is not None:
        return of(u.value - v.value)
    if u.value == 0.0 or v.value == 0.0:
        return neg(v) if u.value == 0.0 else u
    return add(u, v.args[0]) if v.op == "neg" else Expression("sub", (u, v))


def neg(u: Expression) -> Expression:
    """Return −u."""
    if u.value is not None:
        return of(0.0 - u.value)
    if u.op == "neg":
        return u.args[0]  # type: ignore[no-any-return]
    return sub(u.args[1], u.args[0]) if u.op == "sub" else Expression("neg", (u,))


def mul(u: Expression, v: Expression) -> Expression:
    """Return u v."""
    if u.value is not None and v.value is not None:
        return of(u.value * v.value)
    for one, other in ((u, v), (v, u)):
        if one.value == 0.0:
            return one
        if one.value in (1.0, -1.0):
            return other if one.value == 1.0 else neg(other)
    if u.op == "neg" or v.op == "neg":
        product = mul(u.args[0] if u.op == "neg" else u, v.args[0] if v.op == "neg" else v)
        return product if u.op == v.op else neg(product)
    return square(u) if u == v else Expression("mul", (u, v))


def div(u: Expression, v: Expression) -> Expression:
    """Return u / v."""
    if u.value is not None and v.value is not None:
        return of(u.value / v.value)
    if u.value == 0.0 or v.value == 1.0:
        return u
    return neg(div(u.args[0], v)) if u.op == "neg" else Expression("div", (u, v))


def square(u: Expression) -> Expression:
    """Return u²."""
    return of(u.value**2) if u.value is not None else Expression("square", (u,))


def maximum(u: Expression, v: Expression) -> Expression:
    """Return max(u, v); without a v that only guards a denominator."""
    if v.value is not None and 0.0 < v.value <= _GUARD:
        return u
    return Expression("maximum", (u, v))


def expm1(u: Expression) -> Expression:
    """Return e^u − 1."""
    return sub(Expression("exp", (u,)), of(1.0))


def log1p(u: Expression) -> Expression:
    """Return log(1 + u)."""
    return Expression("log", (add(of(1.0), u),))


def indicator(condition: Expression) -> Expression:
    """Return [condition], 1 where it holds and 0 elsewhere; a number stays itself."""
    return Expression("indicator", (condition,)) if condition.op in COMPARISONS else condition


COMPARISONS = ("gt", "lt", "ge", "le", "eq")
