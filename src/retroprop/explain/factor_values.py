"""The factors of the chain rule as numbers: float64 on the host, from the library's own functions."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy

from retroprop.backends import host
from retroprop.backends.intake.batch import Batch
from retroprop.core import gradient_check
from retroprop.core.backward import Gradient, backward
from retroprop.core.forward import forward
from retroprop.core.parameters import Parameters
from retroprop.explain.chain import Path, Target, chain
from retroprop.explain.naming import Quantity
from retroprop.functions.types import Array
from retroprop.network import Network

_STEP = float(numpy.finfo("float64").eps) ** (1 / 3)


class FactorValues:
    """All partial derivatives of the steps of a network on a batch, and the gradient of the recursion.

    Parameters
    ----------
    net : Network
        In float64, on the host.
    batch : Batch
        Its observations.
    masks : sequence of array (m, n_l) or None, optional
        mask/(1−p) of the hidden layers.
    """

    def __init__(self, net: Network, batch: Batch, masks: Sequence[Array | None] | None = None) -> None:
        self.architecture, self.parameters, self.masks = net.architecture, net.parameters, masks
        self.operations, self.weight, self.x = net.backend.operations(), batch.weight, batch.x
        output, xp = self.architecture.output, host.xp
        with host.quiet():
            self.trace = forward(self.operations, self.architecture, self.parameters, batch.x, masks)
            z, a = self.trace.z, self.trace.a
            integral = xp.isdtype(batch.y.dtype, "integral")
            self.y = self.operations.one_hot(batch.y, a[-1]) if integral else batch.y
            self.losses = output.loss.derivative(a[-1], self.y, xp)
            fs = (f for f in self.architecture.activations if f.elementwise)
            self.slopes = [f.derivative(z[at], a[at], xp) for at, f in enumerate(fs, start=1)]
        self.m = a[0].shape[0]

    @cached_property
    def gradient(self) -> Gradient:
        """J and its partial derivatives by the recursion."""
        return self._gradient(self.parameters, self.x, wrt_input=True)

    def recursion(self, target: Target) -> float:
        """Return the partial derivative by the recursion."""
        return float(_entry(target, self.gradient.parameters, self.gradient.x))

    def penalty(self, target: Target) -> float:
        """Return the derivative of the penalties."""
        if target.kind != "theta":
            return 0.0
        at, theta = target.layer - 1, self.parameters.thetas[target.layer - 1]
        zero = numpy.zeros_like(theta)
        gradient = self.operations.penalty_gradient(target.layer, zero, theta, self.architecture.penalties[at], 1.0)
        return float(gradient[target.to - 1, target.from_ - 1])

    def difference(self, target: Target) -> float:
        """Return the central difference of J."""
        if target.kind == "x":
            parameters, leaf = Parameters((self.x,)), 0

            def cost(moved: Parameters) -> Array:
                return self._gradient(self.parameters, moved.thetas[0]).cost
        else:
            parameters, leaf = self.parameters, target.layer - 1
            leaf += len(self.parameters.thetas) if target.kind == "bias" else 0

            def cost(moved: Parameters) -> Array:
                return self._gradient(moved, self.x).cost

        array = parameters.leaves[leaf]
        here = _entry(target, self.parameters.like(self._positions()), numpy.arange(self.x.size).reshape(self.x.shape))
        indices = numpy.asarray([here % array.size])
        left, right = gradient_check.differences(cost, parameters, leaf, indices, _STEP, host.xp)
        return float(0.5 * (left + right)[0])

    def _positions(self) -> list[Array]:
        """Return the flat position of every parameter in its array."""
        return [numpy.arange(leaf.size).reshape(leaf.shape) for leaf in self.parameters.leaves]

    def _gradient(self, parameters: Parameters, x: Array, *, wrt_input: bool = False) -> Gradient:
        with host.quiet():
            trace = forward(self.operations, self.architecture, parameters, x, self.masks)
            return backward(
                self.operations, self.architecture, parameters, trace, self.y, self.weight, wrt_input=wrt_input
            )


def _entry(target: Target, parameters: Parameters, x: Array) -> Any:
    """Return the entry of a target in arrays of the structure of the parameters, or of x."""
    if target.kind == "x":
        return x[(target.row or 1) - 1, target.from_ - 1]
    if target.kind == "theta":
        return parameters.thetas[target.layer - 1][target.to - 1, target.from_ - 1]
    return parameters.biases[target.layer - 1][target.to - 1]


class RowValues:
    """The partial derivatives of one observation; the interface is that of `FactorFormulas`.

    Parameters
    ----------
    values : FactorValues
        Those of the batch.
    row : int
        The observation, from 1.
    """

    one = 1.0

    def __init__(self, values: FactorValues, row: int) -> None:
        self.values, self.row = values, row
        self.n_layers = len(values.architecture.layer_sizes)

    @property
    def share(self) -> float | None:
        """∂J/∂J_i."""
        weight = self.values.weight
        if weight is not None:
            return float(weight[self.row - 1] / weight.sum())
        return None if self.values.m == 1 else 1.0 / self.values.m

    def loss(self, neuron: int) -> float:
        """∂J_i/∂a^(L)_o."""
        return float(self.values.losses[self.row - 1, neuron - 1])

    def output(self, to: int, from_: int) -> float:
        """∂a^(L)_o/∂z^(L)_j."""
        if self.values.architecture.output.activation.elementwise:
            return self.slope(self.n_layers, to)
        return float(self.jacobian[to - 1, from_ - 1])

    def slope(self, layer: int, neuron: int) -> float:
        """∂a^(l)_j/∂z^(l)_j = f′."""
        return float(self.values.slopes[layer - 2][self.row - 1, neuron - 1])

    def weight(self, layer: int, to: int, from_: int) -> float:
        """∂z^(l+1)_j/∂a^(l)_k = θ^(l)_jk, times the mask."""
        return float(self.values.parameters.thetas[layer - 1][to - 1, from_ - 1]) * self._mask(layer, from_)

    def sent(self, layer: int, neuron: int) -> float:
        """∂z^(l+1)_j/∂θ^(l)_jk = a^(l)_k, times the mask."""
        return float(self.values.trace.sent[layer - 1][self.row - 1, neuron - 1])

    def delta(self, layer: int, neuron: int) -> float:
        """δ^(l)_j of the recursion."""
        deltas: Any = self.values.gradient.deltas
        return float(deltas[layer - 1][self.row - 1, neuron - 1])

    @cached_property
    def jacobian(self) -> Array:
        """∂a^(L)_o/∂z^(L)_j of the output layer, entry [o − 1, j − 1]."""
        trace: Any = self.values.trace
        z, a = trace.z[-1][self.row - 1], trace.a[-1][self.row - 1]
        f = self.values.architecture.output.activation
        return f.pull_back(numpy.eye(a.shape[0]), z, a, host.xp)

    def quantity(self, quantity: Quantity) -> float:
        """Return the number of a quantity that a formula of this observation names."""
        values, at = self.values, self.row - 1
        trace: Any = values.trace
        weight: Any = values.weight
        index = tuple(neuron - 1 for neuron in quantity.neurons if isinstance(neuron, int))
        layer = (quantity.layer or 1) - 1
        of_letter: dict[str, Callable[[], Any]] = {
            "x": lambda: values.x[at],
            "y": lambda: values.y[at],
            "a": lambda: trace.a[layer][at],
            "z": lambda: trace.z[layer][at],
            "r": lambda: trace.masks[layer][at],
            "theta": lambda: values.parameters.thetas[layer],
            "b": lambda: values.parameters.biases[layer],
            "w": lambda: weight[at],
            "sum_w": lambda: weight.sum(),
            "m": lambda: numpy.asarray(float(values.m)),
        }
        return float(of_letter[quantity.letter]()[index])

    def _mask(self, layer: int, neuron: int) -> float:
        mask = self.values.trace.masks[layer - 1]
        return 1.0 if mask is None else float(mask[self.row - 1, neuron - 1])


def measured_paths(values: FactorValues, target: Target, paths: Iterable[tuple[int, tuple[int, ...]]]) -> list[Path]:
    """Return paths, given by observation and neurons, with their numbers."""
    measured: list[Path] = []
    rows: dict[int, RowValues] = {}
    for row, neurons in paths:
        parts = rows.setdefault(row, RowValues(values, row))
        factors = {factor.unicode: float(factor.part) for factor in chain(parts, target, neurons)}
        measured.append(Path(tuple(neurons), row, prod(factors.values()), dict(factors)))
    return measured
