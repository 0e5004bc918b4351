"""The parameters of a network as one tree of arrays."""

from collections.abc import Iterable
from typing import NamedTuple

from retroprop.functions.types import Array


class Parameters(NamedTuple):
    """All Θ and all b of a network; gradients and optimizer state have the same form.

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
