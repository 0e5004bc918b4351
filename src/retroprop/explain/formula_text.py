"""Formulas as text for a terminal and as LaTeX, from one rule of precedence."""

from collections.abc import Callable
from typing import NamedTuple

from retroprop.explain.expressions import Expression
from retroprop.explain.naming import Quantity

# How tightly an operation binds; what binds less than its surroundings is put in parentheses.
ALONE, IN_SUM, _IN_QUOTIENT, IN_PRODUCT, _IN_POWER, _ATOM = range(6)
_BINDS = {"add": IN_SUM, "sub": IN_SUM, "neg": IN_SUM, "div": _IN_QUOTIENT, "mul": IN_PRODUCT}


class FormulaStyle(NamedTuple):
    """The signs of a notation; "{}" stands for an operand.

    Attributes
    ----------
    forms : dict of str
        The form of each operation.
    parentheses : str
        Parentheses around an operand.
    multiply : str
        The sign between the factors of a product.
    sum : str
        A sum over an index.
    ellipsis : str
        Terms that are left out.
    leaf : callable
        Returns the name of a quantity.
    number : callable
        Returns a number with so many significant digits.
    fractions : bool
        Whether a quotient stands as a fraction, whose parts need no parentheses.
    partial : str
        The partial derivative of one quantity with respect to another.
    latex : bool
        Whether it is LaTeX.
    longest : int
        The number of characters above which the formula of one δ is left to the names of its factors.
    """

    forms: dict[str, str]
    parentheses: str
    multiply: str
    sum: str
    ellipsis: str
    leaf: Callable[[Quantity], str]
    number: Callable[[float, int], str]
    fractions: bool
    partial: str
    latex: bool
    longest: int

    def with_leaf(self, leaf: Callable[[Quantity], str]) -> "FormulaStyle":
        """Return the style with other names of quantities, or with numbers in their place."""
        return self._replace(leaf=leaf)

    def wrapped(self, text: str) -> str:
        """Return the text in parentheses."""
        return filled(self.parentheses, [text])

    def summed(self, index: str, text: str) -> str:
        """Return the sum of the text over an index."""
        return filled(self.sum, [index, text])


def number_text(value: float, digits: int) -> str:
    """Return a number with so many significant digits and a minus sign as in formulas."""
    return f"{value + 0.0:.{digits}g}".replace("-", "−")  # −0 + 0 is 0


def number_latex(value: float, digits: int) -> str:
    """Return a number in LaTeX, a power of ten as one."""
    mantissa, _, exponent = f"{value + 0.0:.{digits}g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


TEXT = FormulaStyle(
    forms={
        "add": "{} + {}",
        "sub": "{} − {}",
        "mul": "{} · {}",
        "div": "{} / {}",
        "neg": "−{}",
        "square": "{}²",
        "exp": "exp({})",
        "log": "log({})",
        "tanh": "tanh({})",
        "sqrt": "√({})",
        "abs": "|{}|",
        "minimum": "min({}, {})",
        "maximum": "max({}, {})",
        "where": "(if {} then {}, else {})",
        "indicator": "[{}]",
        "gt": "{} > {}",
        "lt": "{} < {}",
        "ge": "{} ≥ {}",
        "le": "{} ≤ {}",
        "eq": "{} = {}",
        "sigmoid": "σ({})",
        "softplus": "softplus({})",
        "normal_cdf": "Φ({})",
        "normal_pdf": "φ({})",
        "sign": "sign({})",
    },
    parentheses="({})",
    multiply=" · ",
    sum="Σ_{} {}",
    ellipsis="…",
    leaf=lambda quantity: quantity.unicode,
    number=number_text,
    fractions=False,
    partial="∂{}/∂{}",
    latex=False,
    longest=90,
)

LATEX = FormulaStyle(
    forms={
        "add": "{} + {}",
        "sub": "{} - {}",
        "mul": r"{} \cdot {}",
        "div": r"\frac{{}}{{}}",
        "neg": "-{}",
        "square": "{}^{2}",
        "exp": "e^{{}}",
        "log": r"\log\left({}\right)",
        "tanh": r"\tanh\left({}\right)",
        "sqrt": r"\sqrt{{}}",
        "abs": r"\left|{}\right|",
        "minimum": r"\min\left({}, {}\right)",
        "maximum": r"\max\left({}, {}\right)",
        "where": r"\left(\text{if } {} \text{ then } {}, \text{ else } {}\right)",
        "indicator": r"\left[{}\right]",
        "gt": "{} > {}",
        "lt": "{} < {}",
        "ge": r"{} \ge {}",
        "le": r"{} \le {}",
        "eq": "{} = {}",
        "sigmoid": r"\sigma\left({}\right)",
        "softplus": r"\operatorname{softplus}\left({}\right)",
        "normal_cdf": r"\Phi\left({}\right)",
        "normal_pdf": r"\varphi\left({}\right)",
        "sign": r"\operatorname{sign}\left({}\right)",
    },
    parentheses=r"\left({}\right)",
    multiply=r" \cdot ",
    sum=r"\sum_{{}} {}",
    ellipsis=r"\cdots",
    leaf=lambda quantity: quantity.latex,
    number=number_latex,
    fractions=True,
    partial=r"\frac{\partial {}}{\partial {}}",
    latex=True,
    longest=360,
)


def written(expression: Expression, style: FormulaStyle, within: int = ALONE) -> str:
    """Return an expression in a style.

    Parameters
    ----------
    expression : Expression
        The formula.
    style : FormulaStyle
        `TEXT` or `LATEX`.
    within : int
        How tightly the surroundings bind: `ALONE`, `IN_SUM` or `IN_PRODUCT`.
    """
    op = expression.op
    if op in ("number", "quantity"):
        return _leaf(expression, style, within)
    binds = _BINDS.get(op, _ATOM)
    free = style.fractions and op == "div"
    bare = op not in (*_BINDS, "square") or free  # its form encloses the operands
    inner = ALONE if bare else _IN_POWER if op == "square" else IN_PRODUCT if op == "div" else binds
    # The right operand of − and / must bind more tightly than they do: a − (b − c)
    tight = ALONE if bare else inner + (op in ("sub", "div", "neg"))
    around = [tight if at or op == "neg" else inner for at in range(len(expression.args))]
    if within == ALONE or (within != IN_SUM and op in ("add", "sub")):
        # A negative number needs no parentheses where nothing stands before it.
        around[0] = ALONE if op in _BINDS and op != "neg" and expression.args[0].op == "quantity" else around[0]
    parts = [written(part, style, binds_around) for part, binds_around in zip(expression.args, around, strict=True)]
    if op == "square" and expression.args[0].op == "quantity" and not parts[0].startswith(("(", "\\left")):
        parts = [style.wrapped(parts[0])]  # (a^(2)_1)², not a^(2)_1²
    text = filled(style.forms[op], parts)
    atom = free and within < _IN_POWER
    return style.wrapped(text) if binds < within and not atom else text


def _leaf(expression: Expression, style: FormulaStyle, within: int) -> str:
    (value,) = expression.args
    if expression.op == "quantity":
        text = style.leaf(value)
    else:
        text = style.number(value, 6)
    # The number put in for a quantity may have a sign.
    return style.wrapped(text) if within and text.startswith(("-", "−")) else text


def filled(form: str, parts: list[str]) -> str:
    """Return a form with its operands; `str.format` would take the braces of LaTeX for its own."""
    pieces = form.split("{}")
    return "".join(piece + part for piece, part in zip(pieces, [*parts, ""], strict=True))
