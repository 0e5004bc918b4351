"""The chain rule along one path: its factors, and the path as a value with its numbers."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from retroprop.core.architecture import Architecture
from retroprop.explain.naming import Quantity, bias, of_neuron, theta
from retroprop.explain.paths import n_paths, neuron_paths
from retroprop.functions.activations import GroupedSoftmax


class Target(NamedTuple):
    """The quantity with respect to which J is differentiated.

    Attributes
    ----------
    kind : str
        "theta", "bias" or "x".
    layer, to, from_ : int
        l, j and k of θ^(l)_jk, from 1; `from_` of a bias is 0; of an input x_k both are 0, and `from_` is k.
    row : int or None
        The observation of an input, from 1, where there are several.
    """

    kind: str
    layer: int
    to: int
    from_: int
    row: int | None = None

    @property
    def quantity(self) -> Quantity:
        """Its name."""
        if self.kind == "x":
            return of_neuron("x", 1, self.from_, self.row)._replace(layer=None)
        return theta(self.layer, self.to, self.from_) if self.kind == "theta" else bias(self.layer, self.to)

    @property
    def mark(self) -> int | str:
        """The observation that the formulas are about, where there are several: "i", or that of the input."""
        return "i" if self.row is None else self.row

    @property
    def first(self) -> int:
        """The neuron with which every path begins."""
        return self.from_ if self.kind == "x" else self.to


class Path(NamedTuple):
    """A path from a parameter to J, for one observation.

    Attributes
    ----------
    neurons : tuple of int
        The neurons of the layers from l + 1 (of an input: from 1) to L, from 1; with softmax then that whose a is met.
    row : int
        The observation, from 1.
    product : float or None
        The product of the factors; None in a derivation without x and y.
    factors : dict of str to float or None
        The factors by name, as "∂a^(3)_1/∂z^(3)_1", from J to the parameter.
    """

    neurons: tuple[int, ...]
    row: int
    product: float | None
    factors: dict[str, float | None]


class Factor(NamedTuple):
    """A factor ∂top/∂bottom of the chain rule, as a formula or as a number."""

    top: Quantity
    bottom: Quantity
    part: Any

    @property
    def unicode(self) -> str:
        """Its name in text: "∂a^(3)_1/∂z^(3)_1"."""
        return f"∂{self.top.unicode}/∂{self.bottom.unicode}"

    @property
    def latex(self) -> str:
        """Its name in LaTeX."""
        return rf"\frac{{\partial {self.top.latex}}}{{\partial {self.bottom.latex}}}"


class FactorParts(Protocol):
    """The partial derivatives of the steps of a network: formulas, or the numbers of one observation."""

    n_layers: int
    one: Any

    @property
    def share(self) -> Any:
        """∂J/∂J_i, or None."""

    def loss(self, neuron: int) -> Any:
        """∂J_i/∂a^(L)_o."""

    def output(self, to: int, from_: int) -> Any:
        """∂a^(L)_o/∂z^(L)_j."""

    def slope(self, layer: int, neuron: int) -> Any:
        """∂a^(l)_j/∂z^(l)_j."""

    def weight(self, layer: int, to: int, from_: int) -> Any:
        """∂z^(l+1)_j/∂a^(l)_k."""

    def sent(self, layer: int, neuron: int) -> Any:
        """∂z^(l+1)_j/∂θ^(l)_jk."""


def chain(parts: FactorParts, target: Target, neurons: Sequence[int]) -> list[Factor]:
    """Return the factors along a path, from J to the parameter."""
    last, J = parts.n_layers, Quantity("J")
    factors = []
    if parts.share is not None:
        of_row = J._replace(row=target.mark)
        factors.append(Factor(J, of_row, parts.share))
        J = of_row
    # ∂J/∂a^(L) · ∂a^(L)/∂z^(L)
    by_layer = dict(zip(range(target.layer + 1, last + 1), neurons, strict=False))
    end, neuron = neurons[-1], by_layer[last]
    a = of_neuron("a", last, end)
    factors += [Factor(J, a, parts.loss(end)), Factor(a, _z(last, neuron), parts.output(end, neuron))]
    # ∂z^(l+1)/∂a^(l) · ∂a^(l)/∂z^(l), down to the layer that the parameter feeds
    for layer in range(last - 1, max(target.layer, 1), -1):
        to, neuron = neuron, by_layer[layer]
        a = of_neuron("a", layer, neuron)
        factors.append(Factor(_z(layer + 1, to), a, parts.weight(layer, to, neuron)))
        factors.append(Factor(a, _z(layer, neuron), parts.slope(layer, neuron)))
    # ∂z/∂θ, ∂z/∂b or ∂z/∂x
    return [*factors, Factor(_z(max(target.layer, 1) + 1, neuron), target.quantity, _last_part(parts, target, neuron))]


def _last_part(parts: FactorParts, target: Target, neuron: int) -> Any:
    if target.kind == "x":
        return parts.weight(1, neuron, target.from_)
    return parts.sent(target.layer, target.from_) if target.kind == "theta" else parts.one


def _z(layer: int, neuron: int) -> Quantity:
    return of_neuron("z", layer, neuron)


def crossing(architecture: Architecture) -> dict[str, Any]:
    """Return the options of `n_paths` and `neuron_paths` for the output layer of a network."""
    f = architecture.output.activation
    return {"groups": f.sizes} if isinstance(f, GroupedSoftmax) else {"output_elementwise": f.elementwise}


def count(architecture: Architecture, target: Target) -> int:
    """Return the number of paths of one observation."""
    return n_paths(architecture.layer_sizes, target.layer, target.first, **crossing(architecture))


def all_paths(architecture: Architecture, target: Target) -> Iterator[tuple[int, ...]]:
    """Return the neurons of every path of one observation."""
    return neuron_paths(architecture.layer_sizes, target.layer, target.first, **crossing(architecture))
