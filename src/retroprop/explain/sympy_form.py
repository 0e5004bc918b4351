"""Expressions as SymPy's: what is recognised by name becomes SymPy's own function, so that it can differentiate it."""

from collections.abc import Callable
from typing import Any

from retroprop.explain.expressions import Expression
from retroprop.explain.naming import Quantity


def sympy_module() -> Any:
    """Return SymPy; raise ImportError with the way to install it where it is missing."""
    try:
        import sympy
    except ImportError as error:
        raise ImportError("the expression of a derivation needs SymPy: pip install 'retroprop[explain]'.") from error
    return sympy


def symbol(quantity: Quantity) -> Any:
    """Return the real symbol of a quantity, named as in `Quantity.text`."""
    return sympy_module().Symbol(quantity.text, real=True)


def to_sympy(expression: Expression, leaf: Callable[[Quantity], Any] = symbol) -> Any:
    """Return a formula as a SymPy expression.

    Parameters
    ----------
    expression : Expression
        The formula; parts that it shares are converted once.
    leaf : callable
        Returns the SymPy expression of a quantity.
    """
    sympy = sympy_module()
    half, root = sympy.Rational(1, 2), sympy.sqrt(2)
    of_op: dict[str, Callable[..., Any]] = {
        "add": lambda u, v: u + v,
        "sub": lambda u, v: u - v,
        "mul": lambda u, v: u * v,
        "div": lambda u, v: u / v,
        "neg": lambda u: -u,
        "square": lambda u: u**2,
        "exp": sympy.exp,
        "log": sympy.log,
        "tanh": sympy.tanh,
        "sqrt": sympy.sqrt,
        "abs": sympy.Abs,
        "minimum": sympy.Min,
        "maximum": sympy.Max,
        "where": lambda c, u, v: sympy.Piecewise((u, c), (v, True)),
        "indicator": lambda c: sympy.Piecewise((1, c), (0, True)),
        "gt": sympy.Gt,
        "lt": sympy.Lt,
        "ge": sympy.Ge,
        "le": sympy.Le,
        "eq": sympy.Eq,
        "sigmoid": lambda u: 1 / (1 + sympy.exp(-u)),
        "softplus": lambda u: sympy.log(1 + sympy.exp(u)),
        "normal_cdf": lambda u: half * (1 + sympy.erf(u / root)),
        "normal_pdf": lambda u: sympy.exp(-half * u**2) / sympy.sqrt(2 * sympy.pi),
        "sign": sympy.sign,
    }
    done: dict[int, Any] = {}

    def converted(part: Expression) -> Any:
        if id(part) not in done:
            if part.op == "quantity":
                done[id(part)] = leaf(part.args[0])
            elif part.op == "number":
                # 0.01 is 1/100, as it was written
                done[id(part)] = sympy.Rational(repr(part.args[0]))
            else:
                done[id(part)] = of_op[part.op](*(converted(one) for one in part.args))
        return done[id(part)]

    return converted(expression)
