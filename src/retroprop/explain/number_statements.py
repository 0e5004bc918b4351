"""The numbers of a derivation: every factor, path and sum, beside the recursion and the central difference."""

from collections.abc import Iterator

from retroprop.explain.chain import Path, chain
from retroprop.explain.chain_sum import ChainSum
from retroprop.explain.formula_text import ALONE, IN_PRODUCT, FormulaStyle
from retroprop.explain.naming import of_neuron
from retroprop.explain.notation import Equation, Notation, Section

_DIFFERENT = "The sum is not the recursion: an output is at its limit, where the factors lose their digits"
_PRECISE = 10
"""Significant digits of the sum, the recursion and the difference, which are to be compared."""


def number_sections(derivation: ChainSum, style: FormulaStyle) -> Iterator[Section]:
    """Yield the steps with the numbers of x and y put in; none without them."""
    if derivation.values is None:
        return
    n = Notation(derivation, style)
    several = derivation.values.m > 1
    if len(derivation.factors) * len(derivation.rows) <= derivation.limit:
        for row in derivation.rows:
            yield Section(f"The numbers{f' of observation {row}' if several else ''}", list(_factors(n, row)))
    whole = "each path" if len(derivation.paths) == derivation.n_paths * len(derivation.rows) else "the largest paths"
    yield Section(f"The products along {whole}", [_path(n, path) for path in derivation.paths])
    if several and derivation.target.kind != "x" and len(derivation.rows) <= derivation.limit:
        yield Section("The part of each observation", [_share(n, row) for row in derivation.rows])
    yield Section("The partial derivative", list(_totals(n)))
    if not derivation.is_exact:
        yield Section(_DIFFERENT, [])


def _factors(n: Notation, row: int) -> Iterator[Equation]:
    d = n.derivation
    chains = (chain(d.at(row), d.target, neurons) for neurons in d.neurons)
    values = {factor.unicode: factor.part for factors in chains for factor in factors}
    for factor in d.factors:
        put_in, value = n.with_numbers(factor.part, row), n.number(values[factor.unicode])
        yield Equation(n.name(factor), [[put_in]] if put_in == value else [[put_in], [f" = {value}"]])


def _path(n: Notation, path: Path) -> Equation:
    numbers = [value for value in path.factors.values() if value is not None]
    parts = n.product([n.number(value, within=IN_PRODUCT if at else ALONE) for at, value in enumerate(numbers)])
    name = " → ".join(map(str, path.neurons))
    row = f", observation {path.row}" if n.derivation.values and n.derivation.values.m > 1 else ""
    return Equation(n.words(f"path {name}{row}"), [parts, [f" = {n.number(path.product or 0.0)}"]])


def _share(n: Notation, row: int) -> Equation:
    """Return δ^(l+1)_j a^(l)_k of an observation, or of a bias δ."""
    d, target = n.derivation, n.derivation.target
    delta = d.at(row).delta(target.layer + 1, target.to)
    names, numbers = [n.name(d.delta(target.layer + 1, target.to, row))], [n.number(delta)]
    product = delta
    if target.kind == "theta":
        sent = d.at(row).sent(target.layer, target.from_)
        names.append(n.name(of_neuron("a", target.layer, target.from_, row)))
        numbers.append(n.number(sent, within=IN_PRODUCT))
        product = delta * sent
        if d.formulas.masked[target.layer - 1]:
            names.append(n.name(of_neuron("r", target.layer, target.from_, row)))
    terms = [n.product(numbers), [f" = {n.number(product)}"]] if len(numbers) > 1 else [numbers]
    return Equation("".join(n.product(names)), terms)


def _totals(n: Notation) -> Iterator[Equation]:
    d = n.derivation
    value, recursion, difference = (one or 0.0 for one in (d.value, d.recursion, d.difference))
    penalty = d.penalty_value
    if d.is_enumerated:
        yield Equation(n.words("sum of the paths"), [[n.number(value - penalty, _PRECISE)]])
        if d.penalty.value != 0.0:
            put_in = n.with_numbers(d.penalty, 1)
            yield Equation(n.words("penalty"), [[n.formula(d.penalty)], [f" = {put_in}"], [f" = {n.number(penalty)}"]])
            yield Equation(n.partial, [[n.number(value, _PRECISE)]])
    yield Equation(n.words("recursion"), [[n.number(recursion, _PRECISE)]])
    yield Equation(n.words("central difference"), [[n.number(difference, _PRECISE)]])
