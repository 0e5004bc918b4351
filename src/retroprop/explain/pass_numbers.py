"""The numbers of one forward propagation and one backpropagation, and their names in the source text's notation."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retroprop.backends import host
from retroprop.core.architecture import Architecture
from retroprop.explain.naming import Quantity, bias, of_neuron, theta

HostArray = NDArray[Any]


class TraceEntry(NamedTuple):
    """A number of a trace.

    Attributes
    ----------
    name : str
        The name in the source text's notation: "theta^(2)_21", "dJ/dtheta^(2)_21".
    kind : str
        The name without its indices: "theta", "dJ/dtheta".
    quantity : Quantity
        Its layer, neurons and observation.
    value : number
        In the dtype of the network.
    """

    name: str
    kind: str
    quantity: Quantity
    value: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class PassNumbers:
    """Every number of one forward propagation and one backpropagation, on the host and in the network's dtype.

    List index 0 is layer 1, as everywhere; `z[0]`, `slopes[0]` and `deltas[0]` are None.

    Attributes
    ----------
    architecture : Architecture
        Sizes, activations, loss, penalties.
    x, y : array (m, n_1), (m, n_L)
        The batch; classes as one-hot rows.
    share : array (m,)
        1/m, or w_i/Σw: the factor of each observation in J.
    thetas, biases : list of array
        Θ^(l) and b^(l).
    z, a, deltas : list of array or None, length L
        Pre-activations, activations and error terms, (m, n_l).
    slopes : list of array or None, length L
        f′(z), (m, n_l). A softmax has no f′ but a Jacobian: its entry is None, and `jacobian` has the derivatives.
    output_slopes : array (m, n_L)
        ∂J/∂a^(L).
    gradient_thetas, gradient_biases : list of array
        ∂J/∂Θ^(l), ∂J/∂b^(l), penalties included.
    gradient_x : array (m, n_1)
        ∂J/∂x.
    cost : number
        J, penalties included.
    """

    architecture: Architecture
    x: HostArray
    y: HostArray
    share: HostArray
    thetas: list[HostArray]
    biases: list[HostArray]
    z: list[HostArray | None]
    a: list[HostArray]
    slopes: list[HostArray | None]
    output_slopes: HostArray
    deltas: list[HostArray | None]
    gradient_thetas: list[HostArray]
    gradient_biases: list[HostArray]
    gradient_x: HostArray
    cost: Any

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """n_1, ..., n_L."""
        return self.architecture.layer_sizes

    @property
    def m(self) -> int:
        """The number of observations."""
        return len(self.x)

    def row(self, i: int) -> int | None:
        """Return the number of observation `i` (from 0) as names have it: from 1, None if there is only one."""
        return None if self.m == 1 else i + 1

    def jacobian(self, row: int = 0) -> HostArray:
        """Return ∂a^(L)_o/∂z^(L)_i of one observation, counted from 0: shape (n_L, n_L), o the row.

        It is diagonal unless the output activation is a softmax.
        """
        f, z, a = self.architecture.output.activation, self.z[-1], self.a[-1]
        units = np.eye(self.layer_sizes[-1], dtype=a.dtype)
        assert z is not None  # the output's z is always kept
        with host.quiet():
            return np.asarray(f.pull_back(units, z[row : row + 1], a[row : row + 1], np))

    def entries(self) -> Iterator[TraceEntry]:
        """Yield every number: parameters with their derivatives, then each observation, layer by layer, then J."""
        for l, (values, slopes) in enumerate(zip(self.thetas, self.gradient_thetas, strict=True), start=1):
            for j, k in product(*map(range, values.shape)):
                yield from _with_derivative(theta(l, j + 1, k + 1), values[j, k], slopes[j, k])
        for l, (values, slopes) in enumerate(zip(self.biases, self.gradient_biases, strict=True), start=1):
            for j in range(len(values)):
                yield from _with_derivative(bias(l, j + 1), values[j], slopes[j])
        for i in range(self.m):
            yield from self._of_observation(i)
        yield _entry(Quantity("J"), self.cost)

    def _of_observation(self, i: int) -> Iterator[TraceEntry]:
        for k in range(self.layer_sizes[0]):
            yield from _with_derivative(of_neuron("a", 1, k + 1, self.row(i)), self.x[i, k], self.gradient_x[i, k])
        for l in range(2, len(self.layer_sizes) + 1):
            arrays = {"z": self.z[l - 1], "a": self.a[l - 1], "f'": self.slopes[l - 1], "delta": self.deltas[l - 1]}
            for (letter, values), j in product(arrays.items(), range(self.layer_sizes[l - 1])):
                if values is not None:
                    yield _entry(of_neuron(letter, l, j + 1, self.row(i)), values[i, j])
        for j in range(self.layer_sizes[-1]):
            yield _entry(Quantity("y", None, (j + 1,), self.row(i)), self.y[i, j])
            output = of_neuron("a", len(self.layer_sizes), j + 1, self.row(i))
            yield _entry(output, self.output_slopes[i, j], "dJ/d")


def _entry(quantity: Quantity, value: Any, before: str = "") -> TraceEntry:
    return TraceEntry(before + quantity.text, before + quantity.letter, quantity, value)


def _with_derivative(quantity: Quantity, value: Any, slope: Any) -> Iterator[TraceEntry]:
    yield _entry(quantity, value)
    yield _entry(quantity, slope, "dJ/d")
