"""The derivation of one partial derivative, as text, LaTeX and SymPy."""

from dataclasses import dataclass
from typing import Any

from retroprop.explain.chain_sum import ChainSum
from retroprop.explain.derivation_latex import derivation_latex, latex_steps
from retroprop.explain.derivation_sympy import composed_sympy, partial_sympy
from retroprop.explain.derivation_text import derivation_text


@dataclass(frozen=True)
class Derivation(ChainSum):
    """∂J/∂θ, ∂J/∂b or ∂J/∂x of a network, derived by the chain rule along every path; see `derive`."""

    @property
    def text(self) -> str:
        """The derivation for a terminal, in lines of at most 100 columns where no single formula is longer."""
        return derivation_text(self)

    @property
    def latex(self) -> str:
        """The derivation as a `split` environment of LaTeX, without the delimiters of a display."""
        return derivation_latex(self)

    @property
    def latex_steps(self) -> dict[str, str]:
        """The steps of `latex` by their headings, each a display of its own."""
        return latex_steps(self)

    @property
    def sympy(self) -> Any:
        """The sum over all paths as a SymPy expression of z, a, θ and y; where it is not enumerated, Σ δ a."""
        return partial_sympy(self)

    @property
    def composed(self) -> Any:
        """`sympy` with every z and a replaced by its formula, down to x, θ, b and y."""
        return composed_sympy(self)

    def __str__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex}\n$$"
