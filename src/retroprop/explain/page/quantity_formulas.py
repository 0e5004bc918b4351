"""The formula of every number of the page, from the core's own operations called with symbols."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from retroprop.core.architecture import Architecture
from retroprop.explain.expressions import Expression, of
from retroprop.explain.factor_formulas import OPERATIONS, XP, FactorFormulas
from retroprop.explain.naming import Quantity, of_neuron, theta
from retroprop.explain.page.mathml import call
from retroprop.explain.recognition import named
from retroprop.explain.symbols import SymbolArray
from retroprop.functions.activations import Activation, Identity
from retroprop.functions.outputs import GeneralOutput, PairedOutput
from retroprop.training.optimizers import UpdateRule

TERMS = 6  # written of a sum
_J, _K = "j", "k"  # the neurons of the quantity that is chosen


class QuantityFormulas:
    """The formulas of a network, in which the chosen neurons are j and k; layers are counted from 1.

    Parameters
    ----------
    architecture : Architecture
        The network.
    m : int
        The number of observations.
    rule : UpdateRule
        The update of the parameters.
    """

    def __init__(self, architecture: Architecture, m: int, rule: UpdateRule) -> None:
        self.architecture, self.m, self.rule = architecture, m, rule
        self.sizes, self.last = architecture.layer_sizes, len(architecture.layer_sizes)
        self.factors = FactorFormulas(architecture, (False,) * self.last, "mean" if m > 1 else "")

    def all(self) -> Iterator[tuple[str, Expression]]:
        """Yield every formula with its key: the kind, the layer, and the neuron where each has another formula."""
        for layer in range(2, self.last + 1):
            yield f"z {layer}", self._pre_activation(layer)
            yield f"a {layer}", self._activation(layer)
        yield from self._cost()
        if (share := self.factors.share) is not None:
            yield "mean", share * of(Quantity("J", row="i"))
        for neuron in range(1, self.sizes[-1] + 1):
            yield f"delta {self.last} {neuron}", self._output_error(neuron)
        for layer in range(2, self.last):
            yield f"delta {layer}", self._error(layer)
        for layer in range(1, self.last):
            yield f"dtheta {layer}", self._weight_gradient(layer)
            yield f"new theta {layer}", self._updated("theta", theta(layer, _J, _K))
            if self.architecture.bias:
                yield f"db {layer}", self._bias_gradient(layer)
                yield f"new b {layer}", self._updated("b", Quantity("b", layer, (_J,)))
        yield "dx 1", self._sent_back(1, _K, Identity(), None)

    def _pre_activation(self, layer: int) -> Expression:
        """Return z_j = Σ_k θ_jk a_k + b_j."""
        below, shown = layer - 1, self._shown(self.sizes[layer - 2])
        a = _row(shown, lambda k: of_neuron("a", below, k))
        weights = _row(shown, lambda k: theta(below, _J, k), rest=1.0)
        b = SymbolArray([Quantity("b", below, (_J,))]) if self.architecture.bias else None
        z, _ = OPERATIONS.affine(below, a, weights, b, Identity(), keep_z=True)
        assert z is not None  # it is asked for
        return named(z.items[0, 0])

    def _activation(self, layer: int) -> Expression:
        """Return a_j = f(z_j)."""
        f, z = self.architecture.activations[layer - 2], of_neuron("z", layer, _J)
        if not f.elementwise:
            return call(f, z)
        return _in_symbols(lambda: f.value(SymbolArray([z]), XP).items[0]) or call(f, z)

    def _cost(self) -> Iterator[tuple[str, Expression]]:
        """Yield J_i of one observation, unless the sum over the outputs is long, or J is more than its loss."""
        output, n = self.architecture.output, self.sizes[-1]
        is_loss = isinstance(output, (PairedOutput, GeneralOutput))
        if n > TERMS or any(map(any, self.architecture.penalties)) or not is_loss:
            return
        loss = output.loss
        a, y = (
            SymbolArray([Quantity(letter, layer, (o,)) for o in range(1, n + 1)])
            for letter, layer in (("a", self.last), ("y", None))
        )
        if (formula := _in_symbols(lambda: loss.value(a, y, XP).items[()])) is not None:
            yield "J", formula

    def _output_error(self, neuron: int) -> Expression:
        """Return δ^(L)_j: the whole derivative ∂J_i/∂z, times 1/m."""
        error = _in_symbols(lambda: self.factors.error(neuron))
        share = self.factors.share
        error = of(Quantity("delta", self.last, (_J,))) if error is None else error
        return error if share is None else share * error

    def _error(self, layer: int) -> Expression:
        """Return δ_j = (Σ_i δ_i θ_ij) f′."""
        a = SymbolArray([[of_neuron("a", layer, _J)]])
        return self._sent_back(layer, _J, self.architecture.activations[layer - 2], a)

    def _sent_back(self, layer: int, neuron: str, f: Activation, a: Any) -> Expression:
        shown = self._shown(self.sizes[layer])
        delta = _row(shown, lambda i: of_neuron("delta", layer + 1, i))
        column = XP.matrix_transpose(_row(shown, lambda i: theta(layer, i, neuron), rest=1.0))
        z = SymbolArray([[of_neuron("z", layer, neuron)]])
        found = _in_symbols(lambda: OPERATIONS.delta(layer - 1, delta, column, z, a, f, None).items[0, 0])
        return of(Quantity("delta", layer, (neuron,))) if found is None else found

    def _weight_gradient(self, layer: int) -> Expression:
        """Return ∂J/∂θ_jk = Σ_i δ_j a_k, and the penalties."""
        grad, _ = OPERATIONS.gradient(layer, self._deltas(layer + 1), self._sent(layer), has_bias=False)
        weight = SymbolArray([[theta(layer, _J, _K)]])
        penalties = self.architecture.penalties[layer - 1]
        return named(OPERATIONS.penalty_gradient(layer, grad, weight, penalties, 1.0).items[0, 0])

    def _bias_gradient(self, layer: int) -> Expression:
        """Return ∂J/∂b_j = Σ_i δ_j."""
        _, grad = OPERATIONS.gradient(layer, self._deltas(layer + 1), self._sent(layer), has_bias=True)
        assert grad is not None  # it is asked for
        return named(grad.items[0])

    def _updated(self, letter: str, parameter: Quantity) -> Expression:
        """Return θ after the update by the optimizer's rule."""
        grad = SymbolArray([parameter._replace(letter=f"d{letter}")])
        slots = [SymbolArray([parameter._replace(letter=f"v{letter}")])] * self.rule.slots
        new = self.rule.formula(XP, SymbolArray([parameter]), grad, *slots, SymbolArray([Quantity("eta")]))
        return named(new[0].items[0])

    def _deltas(self, layer: int) -> SymbolArray:
        return _column(self._shown(self.m), lambda i: of_neuron("delta", layer, _J, self._mark(i)))

    def _sent(self, layer: int) -> SymbolArray:
        return _column(self._shown(self.m), lambda i: of_neuron("a", layer, _K, self._mark(i)), rest=1.0)

    def _mark(self, row: int) -> int | None:
        return row if self.m > 1 else None

    def _shown(self, n: int) -> tuple[range, int]:
        """Return the terms of a sum that are written, and how many are not."""
        shown = n if n <= TERMS else TERMS - 1
        return range(1, shown + 1), n - shown


def _row(terms: tuple[range, int], name: Callable[[int], Quantity], rest: float | None = None) -> SymbolArray:
    """Return a row of quantities; "and so many more" is one of them, its factor in the other row the number `rest`."""
    shown, left_out = terms
    more: Sequence[Any] = [] if not left_out else [Quantity("more", None, (left_out,)) if rest is None else rest]
    return SymbolArray([[*map(name, shown), *more]])


def _column(terms: tuple[range, int], name: Callable[[int], Quantity], rest: float | None = None) -> SymbolArray:
    return XP.matrix_transpose(_row(terms, name, rest))


def _in_symbols(formula: Callable[[], Expression]) -> Expression | None:
    """Return a formula, or None for a custom function that does not compute with symbols."""
    try:
        return named(formula())
    except (TypeError, AttributeError, ValueError):
        return None
