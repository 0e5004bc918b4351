"""A derivation as a SymPy expression: in z and a, or composed down to x, θ and b."""

from collections.abc import Set
from itertools import pairwise
from typing import Any

from retroprop.core.forward import forward
from retroprop.core.parameters import Parameters
from retroprop.explain.chain_sum import ChainSum
from retroprop.explain.factor_formulas import OPERATIONS
from retroprop.explain.naming import Quantity, bias, of_neuron, theta
from retroprop.explain.recognition import named
from retroprop.explain.symbols import SymbolArray
from retroprop.explain.sympy_form import symbol, sympy_module, to_sympy

_OF_A_ROW = ("x", "y", "z", "a", "r", "w", "delta")


def partial_sympy(derivation: ChainSum) -> Any:
    """Return the sum over all paths of all observations, and the penalties; of too many paths Σ δ a."""
    sympy, d = sympy_module(), derivation
    total = to_sympy(d.penalty)
    for row in d.rows:

        def leaf(quantity: Quantity, row: int = row) -> Any:
            return _leaf(d, quantity, row)

        if d.is_enumerated:
            total += sympy.Add(*(sympy.Mul(*(to_sympy(f.part, leaf) for f in factors)) for factors in d.chains))
        else:
            total += _collapsed(d, leaf)
    return total


def _leaf(derivation: ChainSum, quantity: Quantity, row: int) -> Any:
    """Return a symbol with the mark of its observation, where there are several."""
    sympy, m = sympy_module(), derivation.n_rows
    if quantity.letter == "m":
        return sympy.Integer(m)
    if quantity.letter == "sum_w":
        return sympy.Add(*(_leaf(derivation, Quantity("w"), one) for one in range(1, m + 1)))
    return symbol(quantity._replace(row=row) if m > 1 and quantity.letter in _OF_A_ROW else quantity)


def _collapsed(derivation: ChainSum, leaf: Any) -> Any:
    d, target = derivation, derivation.target
    if target.kind == "x":
        into = range(1, d.architecture.layer_sizes[1] + 1)
        return sum(leaf(d.delta(2, to)) * to_sympy(d.formulas.weight(1, to, target.from_), leaf) for to in into)
    sent = to_sympy(d.formulas.sent(target.layer, target.from_), leaf) if target.kind == "theta" else 1
    return leaf(d.delta(target.layer + 1, target.to)) * sent


def composed_sympy(derivation: ChainSum) -> Any:
    """Return the sum over all paths with every z and a replaced by its formula, down to x, θ and b.

    Raises
    ------
    ValueError
        If the paths are too many to be written.
    """
    d = derivation
    if not d.is_enumerated:
        raise ValueError(
            f"{d.n_paths * len(d.rows):,} paths are more than limit={d.limit}, so they are not composed; a larger "
            "limit= writes them all, and .sympy has the recursion."
        )
    partial = partial_sympy(d)
    formulas: dict[Any, Any] = {}
    for row in d.rows:
        formulas |= _layers(d, row if d.n_rows > 1 else None, partial.free_symbols)
    return partial.xreplace(formulas)


def _layers(derivation: ChainSum, row: int | None, wanted: Set[Any]) -> dict[Any, Any]:
    """Return the wanted z and a of an observation as SymPy expressions of x, θ and b, from the library's `forward`."""
    architecture, sizes = derivation.architecture, derivation.architecture.layer_sizes
    parameters = symbolic_parameters(sizes, has_bias=architecture.bias)
    neurons = [range(1, n + 1) for n in sizes]
    x = SymbolArray([[of_neuron("x", 1, k, row)._replace(layer=None) for k in neurons[0]]])
    masked = list(enumerate(derivation.formulas.masked, start=1))[1:-1]
    masks = [
        SymbolArray([[of_neuron("r", l, j, row) for j in neurons[l - 1]]]) if has_mask else None
        for l, has_mask in masked
    ]
    trace = forward(OPERATIONS, architecture, parameters, x, masks)
    found = {}
    for letter, arrays in (("z", trace.z), ("a", trace.a)):
        for layer, array in enumerate(arrays[1:], start=2):
            # A z that f′ does not need is not kept, and no factor has it.
            for j in neurons[layer - 1] if array is not None else ():
                if (its := symbol(of_neuron(letter, layer, j, row))) in wanted:
                    found[its] = to_sympy(named(array.items[0, j - 1]))
    return found


def symbolic_parameters(layer_sizes: tuple[int, ...], *, has_bias: bool) -> Parameters:
    """Return Θ and b of symbols, to be given to the core in place of arrays."""
    thetas, biases = [], []
    for layer, (n_in, n_out) in enumerate(pairwise(layer_sizes), start=1):
        thetas.append(SymbolArray([[theta(layer, j + 1, k + 1) for k in range(n_in)] for j in range(n_out)]))
        biases.append(SymbolArray([bias(layer, j + 1) for j in range(n_out)]))
    return Parameters(tuple(thetas), tuple(biases) if has_bias else ())
