"""The derivations of the page: those of `derive` in symbols, in which the chosen neurons are j and k."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from retroprop.core.architecture import Architecture
from retroprop.explain.chain import Path, Target, all_paths, chain, count
from retroprop.explain.derivation import Derivation
from retroprop.explain.factor_formulas import FactorFormulas
from retroprop.explain.formula_text import FormulaStyle
from retroprop.explain.page.mathml import sides
from retroprop.explain.statements import sections

LIMIT = 8  # paths that are written out


def derivations(architecture: Architecture, m: int, style: FormulaStyle) -> Iterator[tuple[str, Any]]:
    """Yield the derivation of every θ and b with its key: kind and layer, and j where each output has another one.

    A derivation is the number of its paths and its sections, each a heading and equations of two sides.

    Raises
    ------
    TypeError
        If a custom function has no formula in symbols.
    """
    last = len(architecture.layer_sizes) - 1
    averaging = "mean" if m > 1 else ""
    formulas = FactorFormulas(architecture, (False,) * len(architecture.layer_sizes), averaging)
    kinds = ("theta", "b") if architecture.bias else ("theta",)
    for layer in range(1, last + 1):
        # Hidden neurons are alike: the letters stand for any. Of the outputs each has its own place in J.
        neurons: list[Any] = ["j"] if layer < last else list(range(1, architecture.layer_sizes[-1] + 1))
        for kind in kinds:
            for to in neurons:
                target = Target("bias" if kind == "b" else kind, layer, to, "k" if kind == "theta" else 0)  # type: ignore[arg-type]
                found = _derivation(architecture, formulas, target, m)
                written = [
                    {"heading": section.heading, "equations": [sides(equation) for equation in section.equations]}
                    for section in sections(found, style)
                ]
                key = f"{kind} {layer}" + (f" {to}" if layer == last else "")
                yield key, {"paths": found.n_paths, "sections": written}


def _derivation(architecture: Architecture, formulas: FactorFormulas, target: Target, m: int) -> Derivation:
    """Return a derivation without numbers: the page has them."""
    n_paths = count(architecture, target)
    neurons = islice(all_paths(architecture, target), n_paths if n_paths <= LIMIT else 1)
    paths = [Path(one, 1, None, {factor.unicode: None for factor in chain(formulas, target, one)}) for one in neurons]
    return Derivation(target, paths, None, None, None, 0.0, n_paths, m, LIMIT, formulas, None)
