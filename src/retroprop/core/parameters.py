"""The parameters of a network: as arrays of their shapes, and as one 1-D array."""

from collections.abc import Iterable
from math import prod
from typing import NamedTuple

from retroprop.functions.types import Array, Namespace


class Parameters(NamedTuple):
    """All Θ and all b of a network; gradients and optimizer state have the same structure.

    Attributes
    ----------
    thetas : tuple of array, length L − 1
        `thetas[l - 1]` is Θ^(l), shape (..., n_{l+1}, n_l).
    biases : tuple of array, length L − 1, or empty without bias
        `biases[l - 1]` is b^(l), shape (..., n_{l+1}).
    """

    thetas: tuple[Array, ...]
    biases: tuple[Array, ...] = ()

    @property
    def leaves(self) -> tuple[Array, ...]:
        """Every array: the thetas, then the biases."""
        return self.thetas + self.biases

    def like(self, leaves: Iterable[Array]) -> "Parameters":
        """Return parameters of the same form with other `leaves`."""
        leaves = tuple(leaves)
        return Parameters(leaves[: len(self.thetas)], leaves[len(self.thetas) :])

    def bias_of(self, layer: int) -> Array | None:
        """Return the bias of the layer of `thetas[layer]`, None without bias."""
        return self.biases[layer] if self.biases else None

    @property
    def shapes(self) -> "Parameters":
        """The shapes of the leaves, in this structure."""
        return self.like([tuple(leaf.shape) for leaf in self.leaves])


def joined(parameters: Parameters, xp: Namespace) -> Array:
    """Return a copy of all parameters as one 1-D array, by one call of the library however many layers there are."""
    return xp.concat(parameters.leaves, axis=None)


def separated(flat: Array, shapes: Parameters, xp: Namespace) -> Parameters:
    """Return a 1-D array as parameters of these shapes: views, where the library has them."""
    leaves, end = [], 0
    for shape in shapes.leaves:
        begin, end = end, end + prod(shape)
        leaves.append(xp.reshape(flat[begin:end], shape))
    return shapes.like(leaves)
