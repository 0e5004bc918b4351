"""Forward propagation."""

from collections.abc import Sequence
from typing import NamedTuple

from retroprop.core.architecture import Architecture
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array


class Trace(NamedTuple):
    """The arrays of a forward propagation; index 0 is layer 1 of the source text.

    Attributes
    ----------
    a : list of array, length L
        Activations, `a[l]` of shape (..., m, n_{l+1}); `a[0]` is the input, `a[-1]` the output.
    z : list of array or None, length L
        Pre-activations; None for the input, and where f′ is computed from a.
    masks : list of array or None, length L
        Dropout masks mask/(1−p), None without dropout.
    sent : list of array, length L
        The input of the next layer: a ∘ mask/(1−p), which is `a` itself without dropout.
    """

    a: list[Array]
    z: list[Array | None]
    masks: list[Array | None]
    sent: list[Array]


def forward(
    operations: Operations,
    architecture: Architecture,
    parameters: Parameters,
    x: Array,
    masks: Sequence[Array | None] | None = None,
    *,
    keep_z: bool = False,
) -> Trace:
    """Propagate `x` of shape (..., m, n_1) through every layer.

    Parameters
    ----------
    operations : Operations
        The steps, as a backend computes them.
    architecture, parameters
        The network.
    x : array (..., m, n_1)
        One observation a row.
    masks : sequence of array (..., m, n_l) or None, length L − 2
        mask/(1−p) of the hidden layers; None is no dropout.
    keep_z : bool
        Whether every z is kept, not only those that f′ reads.

    Returns
    -------
    Trace
    """
    output_layer = len(parameters.thetas)
    hidden_masks = masks or [None] * (output_layer - 1)
    trace = Trace(a=[x], z=[None], masks=[None, *hidden_masks, None], sent=[x])
    for layer, f in enumerate(architecture.activations, start=1):
        theta, bias = parameters.thetas[layer - 1], parameters.bias_of(layer - 1)
        # a^(l+1) = f(a^(l) Θ^(l)ᵀ + b^(l)); the output's z is always kept
        kept = keep_z or f.needs_z or layer == output_layer
        z, a = operations.affine(layer, trace.sent[-1], theta, bias, f, keep_z=kept)
        mask = trace.masks[layer]
        trace.z.append(z)
        trace.a.append(a)
        trace.sent.append(a if mask is None else operations.drop(layer, a, mask))
    return trace
