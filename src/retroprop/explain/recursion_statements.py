"""The recursion of a derivation: each δ by its own sum, and the partial derivative from δ and a."""

from collections.abc import Iterator

from retroprop.explain.chain import Factor
from retroprop.explain.formula_text import ALONE, IN_PRODUCT, IN_SUM
from retroprop.explain.naming import Quantity, of_neuron, theta
from retroprop.explain.notation import Equation, Notation, added
from retroprop.explain.paths import output_ends


def recursion(n: Notation) -> Iterator[Equation]:
    """Yield the error terms from the output layer down to that of the parameter, then the partial derivative."""
    target, sizes = n.derivation.target, n.derivation.architecture.layer_sizes
    last, lowest = len(sizes), max(target.layer + 1, 2)
    for layer in range(last, lowest - 1, -1):
        neurons: list[int | str] = list(range(1, sizes[layer - 1] + 1))
        if layer == lowest and target.kind != "x":
            neurons = [target.to]
        elif not n.derivation.is_written_out and len(neurons) > 1:
            # One stands for all: by the index of its layer, or in the output layer the first.
            neurons = [_index(layer)] if layer < last else [1]
        for neuron in neurons:
            yield _output(n, int(neuron)) if layer == last else _hidden(n, layer, neuron)
    yield Equation(n.partial, _collapsed(n))


def _index(layer: int) -> str:
    """Return the letter for a neuron of a layer: neighbouring layers have different ones."""
    return "pq"[layer % 2]


def _output(n: Notation, neuron: int) -> Equation:
    """Return δ^(L)_j = ∂J/∂a^(L) ∂a^(L)/∂z^(L), of softmax the sum over the outputs, and its formula."""
    d, last = n.derivation, n.derivation.formulas.n_layers
    f, share = d.architecture.output.activation, d.formulas.share
    J, z = Quantity("J", row=d.target.mark if d.formulas.averaging else None), of_neuron("z", last, neuron)

    def step(output: int | str) -> list[str]:
        a = of_neuron("a", last, output)
        return n.product([n.name(Factor(J, a, None)), n.name(Factor(a, z, None))])

    if f.elementwise or d.is_written_out:
        ends = [neuron] if f.elementwise else output_ends(d.architecture.layer_sizes[-1], d.groups)[neuron - 1]
        named = added([step(end) for end in ends])
    else:
        named = [[n.style.summed("o", "".join(step("o")))]]
    formula = n.formula(d.formulas.error(neuron), IN_PRODUCT if share is not None else ALONE)
    if share is not None:
        first = n.formula(share, IN_PRODUCT)
        named = _bracketed(named) if len(named) > 1 else named
        named[0] = [f"{first}{n.style.multiply}{named[0][0]}", *named[0][1:]]
        formula = f"{first}{n.style.multiply}{formula}"
    return Equation(
        n.name(d.delta(last, neuron)),
        named if len(formula) > n.style.longest else [*named, [f" = {formula}"]],
    )


def _hidden(n: Notation, layer: int, neuron: int | str) -> Equation:
    """Return δ^(l)_j = (Σ_i δ^(l+1)_i θ^(l)_ij) f′, times the mask."""
    d = n.derivation
    back = _sent_back(n, layer, neuron)
    slope = d.formulas.slope(layer, neuron)
    factors = [n.name(of_neuron("r", layer, neuron))] if d.formulas.masked[layer - 1] else []
    factors += [] if slope.value == 1.0 else [n.formula(slope, IN_PRODUCT)]
    if factors:
        is_sum = len(back) > 1 or d.architecture.layer_sizes[layer] > 1
        back = _bracketed(back) if is_sum else back
        back[-1] = [*back[-1], *(f"{n.style.multiply}{factor}" for factor in factors)]
    return Equation(n.name(d.delta(layer, neuron)), back)


def _sent_back(n: Notation, layer: int, neuron: int | str) -> list[list[str]]:
    """Return Σ_i δ^(l+1)_i θ^(l)_ij: its terms, or where they are many the sum over an index."""
    d, count = n.derivation, n.derivation.architecture.layer_sizes[layer]

    def term(to: int | str) -> list[str]:
        return n.product([n.name(d.delta(layer + 1, to)), n.name(theta(layer, to, neuron))])

    if d.is_written_out or count == 1:
        return added([term(to) for to in range(1, count + 1)])
    index = _index(layer + 1)
    return [[n.style.summed(index, "".join(term(index)))]]


def _bracketed(terms: list[list[str]]) -> list[list[str]]:
    """Return the terms of a sum in parentheses, which may be lines apart."""
    terms = [[f"({terms[0][0]}", *terms[0][1:]], *terms[1:]]
    return [*terms[:-1], [*terms[-1][:-1], f"{terms[-1][-1]})"]]


def _collapsed(n: Notation) -> list[list[str]]:
    """Return ∂J/∂θ^(l)_jk = Σ_i δ^(l+1)_j a^(l)_k, of a bias the sum of δ, of an input Σ_j δ^(2)_j θ^(1)_jk."""
    d, target = n.derivation, n.derivation.target
    if target.kind == "x":
        return _sent_back(n, 1, target.from_)
    row = "i" if d.n_rows > 1 else None
    parts = [d.delta(target.layer + 1, target.to, row)]
    if target.kind == "theta":
        parts.append(of_neuron("a", target.layer, target.from_, row))
        if d.formulas.masked[target.layer - 1]:
            parts.append(of_neuron("r", target.layer, target.from_, row))
    product = n.product([n.name(part) for part in parts])
    term = [n.style.summed("i", "".join(product))] if row else product
    return added([term] if d.penalty.value == 0.0 else [term, [n.formula(d.penalty, IN_SUM)]])
