"""The transpose, seen: the sum over indices beside its matrix form, in which Θ is transposed, or δ, or nothing."""

from dataclasses import dataclass
from typing import Any

from retroprop.explain.document import Block
from retroprop.explain.pass_numbers import PassNumbers
from retroprop.explain.shown import Shown
from retroprop.explain.three_products import backward, forward, gradient, storage
from retroprop.explain.tracing import trace
from retroprop.network import Network
from retroprop.one_network import require_one_network


@dataclass(frozen=True)
class Transpose(Shown):
    """The three products of one Θ^(l): forward with Θᵀ, backward with Θ, the gradient with δᵀ.

    Attributes
    ----------
    numbers : PassNumbers
        The trace with the numbers.
    layer : int
        l, from 1.
    """

    numbers: PassNumbers
    layer: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The storage of Θ, then each product by its indices, as matrices, and by its shapes."""
        n, l = self.numbers, self.layer
        return (*storage(n, l), *forward(n, l), *backward(n, l), *gradient(n, l))


def transpose(net: Network, x: Any, y: Any, *, layer: Any, sample_weight: Any = None) -> Transpose:
    """Explain where a transpose comes from, for the Θ of one layer of a network.

    Parameters
    ----------
    net : Network
        Without model axes.
    x, y, sample_weight
        As for `Network.gradient`.
    layer : int
        l of Θ^(l), from 1 to L − 1.

    Returns
    -------
    Transpose
        It prints in colours by rich, as plain text, as HTML in a notebook, and has `latex`.

    Raises
    ------
    ValueError, TypeError
        For a layer that does not exist, and for data that do not fit.
    """
    require_one_network(net, "transpose")
    last = len(net.layer_sizes) - 1
    if isinstance(layer, bool) or not isinstance(layer, int) or not 1 <= layer <= last:
        whole = "it has one, layer=1" if last == 1 else f"layers of Θ go from 1 to {last}"
        raise ValueError(f"layer must be that of a Θ of this network: {whole}; not {layer!r}.")
    return Transpose(trace(net, x, y, sample_weight), layer)
