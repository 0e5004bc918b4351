"""Backpropagation: the recursion over δ and the batched gradients, the whole of it."""

from typing import NamedTuple

from retroprop.core.architecture import Architecture
from retroprop.core.forward import Trace, forward
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.activations import Identity
from retroprop.functions.types import Array


class Gradient(NamedTuple):
    """The cost and its partial derivatives; index 0 is layer 1 of the source text.

    Attributes
    ----------
    cost : array (...)
        J, penalties included.
    deltas : list of array or None, length L
        `deltas[l - 1]` is δ^(l) = ∂J/∂z^(l), shape (..., m, n_l); `deltas[0]` is None.
    thetas : list of array, length L − 1
        ∂J/∂Θ^(l), each of the shape of Θ^(l).
    biases : list of array, length L − 1, or empty without bias
        ∂J/∂b^(l).
    x : array (..., m, n_1) or None
        ∂J/∂x, if requested.
    """

    # None only where the arguments say so, hence no union that every caller would have to resolve
    cost: Array
    deltas: list[Array]
    thetas: list[Array]
    biases: list[Array]
    x: Array = None

    @property
    def parameters(self) -> Parameters:
        """The gradients with the structure of the parameters."""
        return Parameters(tuple(self.thetas), tuple(self.biases))


def evaluate(
    operations: Operations,
    architecture: Architecture,
    parameters: Parameters,
    x: Array,
    y: Array,
    weight: Array | None = None,
) -> tuple[Array, Array]:
    """Return J, shape (...), and a^(L), without a gradient; the arguments are those of `backward`."""
    trace = forward(operations, architecture, parameters, x)
    layer = len(parameters.thetas)
    value, _ = operations.output(layer, trace.z[-1], trace.a[-1], y, weight, architecture.output)
    penalty = operations.penalty_fraction * operations.penalty(parameters.thetas, architecture.penalties)
    cost, _ = operations.reduced(value + penalty, Parameters((), ()))
    return cost, trace.a[-1]


def backward(
    operations: Operations,
    architecture: Architecture,
    parameters: Parameters,
    trace: Trace,
    y: Array,
    weight: Array | None = None,
    *,
    wrt_input: bool = False,
    penalties_of_sum: bool = False,
) -> Gradient:
    """Propagate the error back through the layers of a forward propagation.

    Parameters
    ----------
    operations : Operations
        The steps, as a backend computes them.
    architecture, parameters
        The network.
    trace : Trace
        The forward propagation of the batch.
    y : array (..., m, n_L) or integer array (..., m)
        The targets: rows, or class indices.
    weight : array (..., m) or None
        The weights of the observations.
    wrt_input : bool
        Whether ∂J/∂x is computed too.
    penalties_of_sum : bool
        Whether the penalties are added to the sum of the losses, not to their mean: J then has λ/m, or λ/Σw.

    Returns
    -------
    Gradient
    """
    output_layer = len(parameters.thetas)
    share = operations.share(weight, trace.a[0].shape[-2]) if penalties_of_sum else operations.penalty_fraction
    # δ^(L) = ∂J/∂z^(L)
    value, delta = operations.output(output_layer, trace.z[-1], trace.a[-1], y, weight, architecture.output)
    deltas, found, delta_x = recursion(
        operations, architecture, parameters, trace, delta, wrt_input=wrt_input, penalty_share=share
    )
    penalty = operations.penalty(parameters.thetas, architecture.penalties)
    # An array of shares is (..., 1, 1), to broadcast over Θ; the cost has the model axes only.
    part = share if isinstance(share, (int, float)) else share[..., 0, 0]
    cost, gradients = operations.reduced(value + part * penalty, found)
    return Gradient(
        cost=cost,
        deltas=deltas,
        thetas=list(gradients.thetas),
        biases=list(gradients.biases),
        x=delta_x,
    )


def vector_jacobian_product(
    operations: Operations, architecture: Architecture, parameters: Parameters, trace: Trace, cotangent: Array
) -> Gradient:
    """Return the gradient of Σ c ∘ a^(L), where `cotangent` is c: of any function of the output, given c = ∂/∂a^(L).

    Parameters
    ----------
    operations, architecture, parameters, trace
        As for `backward`; the trace is without dropout.
    cotangent : array (..., m, n_L)
        c.

    Returns
    -------
    Gradient
        With Σ c ∘ a^(L) as its cost, without penalties, and with x.
    """
    a, f = trace.a[-1], architecture.output.activation
    # δ^(L) = c ∘ f′
    delta = f.pull_back(cotangent, trace.z[-1], a, operations.xp)
    deltas, gradients, x = recursion(operations, architecture, parameters, trace, delta, wrt_input=True)
    cost = operations.xp.sum(cotangent * a, axis=(-2, -1))
    return Gradient(cost, deltas, list(gradients.thetas), list(gradients.biases), x)


def recursion(
    operations: Operations,
    architecture: Architecture,
    parameters: Parameters,
    trace: Trace,
    delta: Array,
    *,
    wrt_input: bool,
    penalty_share: Array | float | None = None,
) -> tuple[list[Array | None], Parameters, Array | None]:
    """Return every δ, ∂J/∂Θ and ∂J/∂b, and ∂J/∂x if requested, from δ^(L); without a share there are no penalties."""
    output_layer = len(parameters.thetas)
    activations = (Identity(), *architecture.activations)  # the input is its own activation
    deltas: list[Array | None] = [None] * (output_layer + 1)
    thetas: list[Array] = []
    biases: list[Array] = []
    for layer in range(output_layer, 0, -1):
        deltas[layer] = delta
        theta = parameters.thetas[layer - 1]
        # ∂J/∂Θ^(l) = (δ^(l+1))ᵀ a^(l) + λ₂ Θ^(l) + λ₁ sign Θ^(l),  ∂J/∂b^(l) = Σ_rows δ^(l+1)
        grad_theta, grad_bias = operations.gradient(layer, delta, trace.sent[layer - 1], has_bias=architecture.bias)
        if penalty_share is not None:
            penalties = architecture.penalties[layer - 1]
            grad_theta = operations.penalty_gradient(layer, grad_theta, theta, penalties, penalty_share)
        thetas.insert(0, grad_theta)
        if grad_bias is not None:
            biases.insert(0, grad_bias)
        if layer > 1 or wrt_input:
            # δ^(l) = (δ^(l+1) Θ^(l)) ∘ f′(z^(l));  δ^(2) Θ^(1) = ∂J/∂x
            below = layer - 1
            delta = operations.delta(
                below, delta, theta, trace.z[below], trace.a[below], activations[below], trace.masks[below]
            )
    return deltas, Parameters(tuple(thetas), tuple(biases)), delta if wrt_input else None
