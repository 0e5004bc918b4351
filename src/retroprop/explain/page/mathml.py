"""Formulas as MathML in which every quantity and number is a mark: the page puts a name or its number there.

A mark is ⟨letter|layer|neurons|observation⟩ for a quantity, ⟨#number⟩ for a number of the formula, ⟨"key⟩ for a word.
"""

import re
from html import escape

from retroprop.core.architecture import Architecture
from retroprop.explain.expressions import Expression, of
from retroprop.explain.formula_text import TEXT, FormulaStyle, written
from retroprop.explain.naming import Quantity
from retroprop.explain.notation import Equation
from retroprop.functions.activations import Activation

_CALLED = ("log", "tanh", "minimum", "maximum", "sigmoid", "softplus", "normal_cdf", "normal_pdf", "sign")
_SIGNS = {"gt": ">", "lt": "<", "ge": "≥", "le": "≤", "eq": "="}
_FORMS = {
    "add": "{}<mo>+</mo>{}",
    "sub": "{}<mo>−</mo>{}",
    "mul": "{}<mo>·</mo>{}",
    "div": "<mfrac><mrow>{}</mrow><mrow>{}</mrow></mfrac>",
    "neg": "<mo>−</mo>{}",
    "square": "<msup><mrow>{}</mrow><mn>2</mn></msup>",
    "exp": "<msup><mi>e</mi><mrow>{}</mrow></msup>",
    "sqrt": "<msqrt><mrow>{}</mrow></msqrt>",
    "abs": "<mo>|</mo>{}<mo>|</mo>",
    "where": '<mo>(</mo>⟨"if⟩{}<mo>:</mo>{}<mo>,</mo>⟨"else⟩{}<mo>)</mo>',
    "indicator": "<mo>[</mo>{}<mo>]</mo>",
    **{op: f"{{}}<mo>{escape(sign)}</mo>{{}}" for op, sign in _SIGNS.items()},
    # The names of the functions are those of the plain text: σ, max, Φ, ...
    **{op: re.sub(r"^([^(]+)\(", r"<mi>\1</mi>(", TEXT.forms[op]) for op in _CALLED},
}
# Text that stands in no element of its own, as the signs between the terms of an equation
_LOOSE = re.compile(r"<m[ion]>[^<]*</m[ion]>|⟨[^⟩]*⟩|<[^>]+>|(?P<loose>[^<⟨]+)")


def mark(quantity: Quantity) -> str:
    """Return the mark of a quantity."""
    layer, row = ("" if one is None else one for one in (quantity.layer, quantity.row))
    return f"⟨{quantity.letter}|{layer}|{' '.join(map(str, quantity.neurons))}|{row}⟩"


MATHML = FormulaStyle(
    forms=_FORMS,
    parentheses="<mo>(</mo>{}<mo>)</mo>",
    multiply="<mo>·</mo>",
    sum="<munder><mo>∑</mo><mi>{}</mi></munder>{}",
    ellipsis="<mo>…</mo>",
    leaf=mark,
    number=lambda value, digits: f"⟨#{value:.{digits}g}⟩",
    fractions=True,
    partial="<mfrac><mrow><mo>∂</mo>{}</mrow><mrow><mo>∂</mo>{}</mrow></mfrac>",
    latex=False,
    longest=3000,
)


def call(f: Activation, z: Quantity) -> Expression:
    """Return f(z) by the name of f: of a softmax, and of a custom function without a formula in symbols."""
    return Expression(f"{f.name}{'' if f.elementwise else ', …'}", (of(z),))


def style_of(architecture: Architecture) -> FormulaStyle:
    """Return the style with a form for the activations that are called by their name."""
    named = {
        call(f, Quantity("z")).op: f"<mi>{escape(f.name)}</mi><mo>(</mo>{{}}<mo>{'' if f.elementwise else ', …'})</mo>"
        for f in architecture.activations
    }
    return MATHML._replace(forms=named | _FORMS)


def mathml(expression: Expression, style: FormulaStyle) -> str:
    """Return an expression as MathML."""
    return tidied(written(expression, style))


def sides(equation: Equation) -> tuple[str, str]:
    """Return the left and the right side of an equation."""
    return tidied(equation.left), tidied("".join(piece for term in equation.terms for piece in term))


def tidied(text: str) -> str:
    """Return MathML in which every sign stands in an element."""

    def element(found: re.Match[str]) -> str:
        return f"<mo>{found['loose'].strip()}</mo>" if found["loose"] and found["loose"].strip() else found[0].strip()

    return _LOOSE.sub(element, text)
