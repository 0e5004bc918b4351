"""The steps of a derivation that need no numbers: the chain rule, its formulas, and the collapse to δ and a."""

from collections.abc import Iterator

from retroprop.explain.chain import Factor
from retroprop.explain.chain_sum import ChainSum
from retroprop.explain.formula_text import IN_PRODUCT, IN_SUM, FormulaStyle
from retroprop.explain.notation import Equation, Notation, Section, added
from retroprop.explain.recursion_statements import recursion


def sections(derivation: ChainSum, style: FormulaStyle) -> Iterator[Section]:
    """Yield the steps that need no numbers."""
    n = Notation(derivation, style)
    written = len(derivation.neurons)
    whole = ("every path" if written > 1 else "the path") if derivation.is_written_out else f"{written} of the paths"
    yield Section(f"The chain rule along {whole}", [*_averaged(n), _chain_rule(n)])
    yield Section("Each factor by its formula", list(_factors(n)))
    yield Section("The formulas in place of the factors", [_products(n)])
    yield Section("The common factors gathered in the error terms", list(recursion(n)))


def _averaged(n: Notation) -> Iterator[Equation]:
    """Yield J's derivative from those of the J_i, where there are several of them, or weights."""
    d = n.derivation
    if d.formulas.share is None:
        return
    term = "".join(n.product([n.formula(d.formulas.share, IN_PRODUCT), n.row_partial]))
    penalty = [] if d.penalty.value == 0.0 else [[n.formula(d.penalty, IN_SUM)]]
    yield Equation(n.partial, added([[term if d.target.kind == "x" else n.style.summed("i", term)], *penalty]))


def _chain_rule(n: Notation) -> Equation:
    return _sum_over_paths(n, [[n.name(factor) for factor in _own(chain, n)] for chain in n.derivation.chains])


def _products(n: Notation) -> Equation:
    chains = n.derivation.chains
    return _sum_over_paths(n, [[n.formula(factor.part, IN_PRODUCT) for factor in _own(chain, n)] for chain in chains])


def _own(chain: list[Factor], n: Notation) -> list[Factor]:
    """Return the factors of an observation's own J_i: without that of J_i in J."""
    return chain[1:] if n.derivation.formulas.averaging else chain


def _sum_over_paths(n: Notation, products: list[list[str]]) -> Equation:
    """Return the sum of products, an ellipsis where it has more terms, and the penalties where J has a single J_i."""
    d = n.derivation
    terms = [n.product(parts) for parts in products]
    if not d.is_written_out:
        terms.append([n.style.ellipsis])
    if d.penalty.value != 0.0 and not d.formulas.averaging:
        terms.append([n.formula(d.penalty, IN_SUM)])
    return Equation(n.row_partial, added(terms))


def _factors(n: Notation) -> Iterator[Equation]:
    for factor in n.derivation.factors:
        formula, layer = n.formula(factor.part), factor.top.layer or 1
        is_slope = factor.top._replace(letter="z") == factor.bottom
        if is_slope and n.derivation.architecture.activations[layer - 2].elementwise:
            yield Equation(n.name(factor), [[n.prime(layer, factor.top.neurons[0])], [f" = {formula}"]])
        else:
            yield Equation(n.name(factor), [[formula]])
