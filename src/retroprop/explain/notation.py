"""The notation of a derivation: names, formulas and numbers in one style, and equations under headings."""

from typing import NamedTuple

from retroprop.explain.chain import Factor
from retroprop.explain.chain_sum import ChainSum
from retroprop.explain.expressions import Expression
from retroprop.explain.formula_text import ALONE, FormulaStyle, filled, written
from retroprop.explain.naming import Quantity, of_neuron

# The sign of an activation's name in a derivation, in text and in LaTeX
_SIGNS = {
    "sigmoid": ("σ", r"\sigma"),
    "tanh": ("tanh", r"\tanh"),
    "relu": ("ReLU", r"\operatorname{ReLU}"),
    "leaky_relu": ("LeakyReLU", r"\operatorname{LeakyReLU}"),
    "elu": ("ELU", r"\operatorname{ELU}"),
    "silu": ("SiLU", r"\operatorname{SiLU}"),
    "gelu": ("GELU", r"\operatorname{GELU}"),
    "gelu_tanh": ("GELU", r"\operatorname{GELU}"),
    "mish": ("Mish", r"\operatorname{Mish}"),
    "exp": ("exp", r"\exp"),
}


class Equation(NamedTuple):
    """An equation.

    Attributes
    ----------
    left : str
        Its left side.
    terms : list of list of str
        The right side: terms, each in pieces between which a line may be broken. A term begins with its own sign.
    """

    left: str
    terms: list[list[str]]


class Section(NamedTuple):
    """Equations under a heading."""

    heading: str
    equations: list[Equation]


class Notation:
    """The names and formulas of a derivation in one style."""

    def __init__(self, derivation: ChainSum, style: FormulaStyle) -> None:
        self.derivation, self.style = derivation, style

    def name(self, thing: Quantity | Factor) -> str:
        """Return the name of a quantity or of a factor."""
        if isinstance(thing, Quantity):
            return self.style.leaf(thing)
        return filled(self.style.partial, [self.style.leaf(thing.top), self.style.leaf(thing.bottom)])

    def formula(self, expression: Expression, within: int = ALONE) -> str:
        """Return a formula, in parentheses where its surroundings need them."""
        return written(expression, self.style, within)

    def with_numbers(self, expression: Expression, row: int, within: int = ALONE) -> str:
        """Return a formula with the numbers of an observation put in."""
        at = self.derivation.at(row)
        return written(expression, self.style.with_leaf(lambda one: self.number(at.quantity(one))), within)

    def number(self, value: float, digits: int = 6, within: int = ALONE) -> str:
        """Return a number, in parentheses where it is negative and something stands before it."""
        text = self.style.number(value, digits)
        return self.style.wrapped(text) if within and value < 0.0 else text

    def words(self, text: str) -> str:
        """Return words as the left side of an equation."""
        return rf"\text{{{text}}}".replace("→", r"} \to \text{") if self.style.latex else text

    def product(self, parts: list[str]) -> list[str]:
        """Return a product as pieces."""
        return [part if at == 0 else f"{self.style.multiply}{part}" for at, part in enumerate(parts)]

    def prime(self, layer: int, neuron: int | str) -> str:
        """Return f′(z) with the sign of the layer's activation: "σ′(z^(2)_1)"."""
        f = self.derivation.architecture.activations[layer - 2]
        text, latex = _SIGNS.get(f.name, ("f", "f"))
        z = self.style.wrapped(self.name(of_neuron("z", layer, neuron)))
        return f"{latex}'{z}" if self.style.latex else f"{text}′{z}"

    @property
    def partial(self) -> str:
        """∂J/∂θ, the left side of the whole."""
        return self.name(Factor(Quantity("J"), self.derivation.target.quantity, None))

    @property
    def row_partial(self) -> str:
        """∂J_i/∂θ, of one observation."""
        row = self.derivation.target.mark if self.derivation.formulas.averaging else None
        return self.name(Factor(Quantity("J", row=row), self.derivation.target.quantity, None))


def added(terms: list[list[str]]) -> list[list[str]]:
    """Return the terms of a sum, each but the first with its plus sign."""
    return [term if at == 0 else [f" + {term[0]}", *term[1:]] for at, term in enumerate(terms)]
