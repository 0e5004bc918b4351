"""The factors of the chain rule as formulas, from the library's own functions called with symbols."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy

from retroprop.core.architecture import Architecture
from retroprop.core.operations import Operations
from retroprop.explain.expressions import Expression, of
from retroprop.explain.naming import Quantity, of_neuron, theta
from retroprop.explain.recognition import named
from retroprop.explain.symbols import SymbolArray, SymbolNamespace
from retroprop.functions.activations import Activation
from retroprop.functions.losses import CustomLoss, Loss

XP = SymbolNamespace()
OPERATIONS = Operations(XP)


class FactorFormulas:
    """The partial derivative of every step of a network, for one observation; layers and neurons are counted from 1.

    Parameters
    ----------
    architecture : Architecture
        The network.
    masked : tuple of bool, length L
        Whether layer l has a dropout mask.
    averaging : str
        The first factor, by which J_i enters J: "" for a single observation without a weight, which has none, "mean"
        for 1/m, "weights" for w_i/Σw.
    """

    one = of(1.0)

    def __init__(self, architecture: Architecture, masked: tuple[bool, ...], averaging: str) -> None:
        self.architecture = architecture
        self.masked = masked
        self.averaging = averaging
        self.n_layers = len(architecture.layer_sizes)

    @property
    def share(self) -> Expression | None:
        """∂J/∂J_i: 1/m or w_i/Σw."""
        if not self.averaging:
            return None
        if self.averaging == "mean":
            return 1.0 / of(Quantity("m"))
        return of(Quantity("w", row="i")) / of(Quantity("sum_w"))

    def loss(self, neuron: int) -> Expression:
        """∂J_i/∂a^(L)_o."""
        return named(self._losses[neuron - 1])

    def output(self, to: int, from_: int) -> Expression:
        """∂a^(L)_o/∂z^(L)_j, of softmax the whole Jacobian."""
        f, n = self.architecture.output.activation, self.architecture.layer_sizes[-1]
        if f.elementwise:
            return self.slope(self.n_layers, to)
        unit = SymbolArray(numpy.eye(1, n, to - 1)[0].astype(object))
        return named(_formula(f, lambda: f.pull_back(unit, self._row("z"), self._row("a"), XP))[from_ - 1])

    def error(self, neuron: int) -> Expression:
        """∂J_i/∂z^(L)_j, as the output layer gives it for its activation and loss together."""
        output = self.architecture.output
        whose = output.loss if isinstance(output.loss, CustomLoss) else output.activation
        error = _formula(whose, lambda: output.error(self._row("z"), self._row("a"), self._row("y"), XP))
        return named(error[neuron - 1])

    def slope(self, layer: int, neuron: int | str) -> Expression:
        """∂a^(l)_j/∂z^(l)_j = f′."""
        z, a = (SymbolArray([of_neuron(letter, layer, neuron)]) for letter in ("z", "a"))
        f = self.architecture.activations[layer - 2]
        return named(_formula(f, lambda: f.derivative(z, a, XP))[0])

    def weight(self, layer: int, to: int | str, from_: int | str) -> Expression:
        """∂z^(l+1)_j/∂a^(l)_k = θ^(l)_jk, times the mask."""
        return of(theta(layer, to, from_)) * self._mask(layer, from_)

    def sent(self, layer: int, neuron: int) -> Expression:
        """∂z^(l+1)_j/∂θ^(l)_jk = a^(l)_k, times the mask."""
        return of(of_neuron("a", layer, neuron)) * self._mask(layer, neuron)

    def penalty(self, layer: int, to: int, from_: int) -> Expression:
        """λ₂ θ + λ₁ sign θ, the derivative of the penalties."""
        zero, parameter = SymbolArray([0.0]), SymbolArray([theta(layer, to, from_)])
        penalties = self.architecture.penalties[layer - 1]
        return named(OPERATIONS.penalty_gradient(layer, zero, parameter, penalties, 1.0).items[0])

    def _mask(self, layer: int, neuron: int | str) -> Expression:
        return of(of_neuron("r", layer, neuron)) if self.masked[layer - 1] else of(1.0)

    def _row(self, letter: str) -> SymbolArray:
        layer = None if letter == "y" else self.n_layers
        return SymbolArray([Quantity(letter, layer, (j + 1,)) for j in range(self.architecture.layer_sizes[-1])])

    @cached_property
    def _losses(self) -> list[Expression]:
        loss = self.architecture.output.loss
        return _formula(loss, lambda: loss.derivative(self._row("a"), self._row("y"), XP))


def _formula(function: Activation | Loss, formula: Callable[[], Any]) -> list[Expression]:
    """Return the formulas of a row; raise TypeError for a custom function that does not compute with `xp`."""
    try:
        return list(formula().items)
    except (TypeError, AttributeError, ValueError) as error:
        raise TypeError(
            f"{function.name!r} has no formula in symbols, as it does not compute with xp alone ({error}); the paths, "
            "value, recursion and difference of the derivation need none."
        ) from error
