"""The handful of steps that backpropagation consists of, each with its formula.

This is the seam between the algorithm and the array libraries: `forward`, `backward` and the update are written
over these operations, and a backend that has a faster way overrides one of them with the same signature. What
it does not override, it inherits. `layer` is the list index of the layer a result belongs to, 1 for the first hidden
layer: l of the formulas of `delta`, l + 1 of those of `affine`. A backend that keeps buffers keys them by it; the
formulas do not read it.

Where a batch is spread over several processes, override `total` (how many observations the batch stands for) and
`reduced` (the sum of the gradients), and set `penalty_fraction`; on one process they are trivial.
"""

from collections.abc import Callable, Sequence
from typing import Any

from retroprop.core.parameters import Parameters
from retroprop.functions import special
from retroprop.functions.activations import Activation
from retroprop.functions.outputs import Output
from retroprop.functions.types import Array, Device, Namespace


class Operations:
    """The steps in Array API terms, over the library `xp`; new arrays are made on `device`.

    Attributes
    ----------
    penalty_fraction : float
        The fraction of the penalties that this process adds to J and to its gradient. It is 1 unless `reduced` sums
        over processes; their fractions then sum to 1.
    """

    penalty_fraction: float = 1.0

    def __init__(self, xp: Namespace, device: Device = None) -> None:
        self.xp = xp
        self.device = device

    def gather(self, part: Array | None, rows: Array) -> Array | None:
        """Return the `rows` of x, y or the weights, in their order; the indices are known to be valid."""
        return None if part is None else self.xp.take(part, rows, axis=0)

    def affine(
        self, layer: int, a: Array, theta: Array, bias: Array | None, activation: Activation, *, keep_z: bool
    ) -> tuple[Array | None, Array]:
        """Return z and f(z) of the next layer; z is None unless `keep_z`."""
        xp = self.xp
        # z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
        z = xp.matmul(a, xp.matrix_transpose(theta))
        if bias is not None:
            z = z + bias[..., None, :]
        # a^(l+1) = f(z^(l+1))
        return (z if keep_z else None), activation.value(z, xp)

    def drop(self, layer: int, a: Array, mask: Array) -> Array:
        """Return a ∘ mask/(1−p), the input of the next layer; `mask` is already divided by 1−p."""
        return a * mask

    def output(
        self, layer: int, z: Array, a: Array, y: Array, weight: Array | None, output: Output
    ) -> tuple[Array, Array]:
        """Return J without penalties, shape (...), and δ^(L) = ∂J/∂z^(L), shape (..., m, n_L)."""
        xp = self.xp
        if xp.isdtype(y.dtype, "integral"):
            y = self.one_hot(y, z)
        losses, error = output.value(z, a, y, xp), output.error(z, a, y, xp)
        m = z.shape[-2]
        total = self.total(weight, m)
        if weight is None:
            # J = 1/m Σ J_i,  δ^(L) = 1/m ∂J_i/∂z
            value = xp.mean(losses, axis=-1)
            # The sum over other processes completes J: this one divides by the rows of all of them.
            return (value if total == m else value * (m / total)), error * (1.0 / total)
        # J = Σ w_i J_i / Σ w_i,  δ^(L) = w_i / Σ w ∂J_i/∂z
        share = weight / total
        return xp.sum(share * losses, axis=-1), error * share[..., None]

    def total(self, weight: Array | None, m: int) -> Any:
        """Return the number of observations that a batch stands for: m, or Σw, an array (..., 1).

        It normalises J and δ^(L), and nothing else does. Where Σw = 0 it is 1, so that J is 0, not 0/0.
        """
        if weight is None:
            return m
        xp = self.xp
        total = xp.sum(weight, axis=-1, keepdims=True)
        return total + xp.astype(total == 0.0, total.dtype)

    def one_hot(self, y: Array, like: Array) -> Array:
        """Return class indices (..., m) as one-hot rows (..., m, n_L) of the dtype of `like`."""
        xp = self.xp
        classes = xp.arange(like.shape[-1], dtype=y.dtype, device=self.device)
        return xp.astype(y[..., None] == classes, like.dtype)

    def delta(
        self,
        layer: int,
        delta_next: Array,
        theta: Array,
        z: Array | None,
        a: Array,
        activation: Activation,
        mask: Array | None,
    ) -> Array:
        """Return δ^(l), shape (..., m, n_l); `a` is the activation before the mask."""
        # δ^(l) = (δ^(l+1) Θ^(l) ∘ mask/(1−p)) ∘ f′(z^(l))
        back = self.xp.matmul(delta_next, theta)
        if mask is not None:
            back = back * mask
        return activation.pull_back(back, z, a, self.xp)

    def gradient(self, layer: int, delta_next: Array, a: Array, *, has_bias: bool) -> tuple[Array, Array | None]:
        """Return ∂J/∂Θ^(l), shape (..., n_{l+1}, n_l), and ∂J/∂b^(l), shape (..., n_{l+1})."""
        xp = self.xp
        # ∂J/∂Θ^(l) = (δ^(l+1))ᵀ a^(l)
        grad_theta = xp.matmul(xp.matrix_transpose(delta_next), a)
        # ∂J/∂b^(l) = Σ_rows δ^(l+1)
        return grad_theta, xp.sum(delta_next, axis=-2) if has_bias else None

    def share(self, weight: Array | None, m: int) -> Array | float:
        """Return 1/m, or 1/Σw of shape (..., 1, 1): the factor of penalties that go with a sum over observations."""
        total = self.total(weight, m)
        return self.penalty_fraction / (total if weight is None else total[..., None])

    def reduced(self, cost: Array, gradients: Parameters) -> tuple[Array, Parameters]:
        """Return J, shape (...), and its gradient over all processes that share the batch: here, those given.

        Every gradient passes here once, before clipping and the update. `evaluate` has a J and no gradients.
        """
        return cost, gradients

    def penalty(self, thetas: tuple[Array, ...], penalties: Sequence[tuple[float, float]]) -> Array | float:
        """Return Σ_l λ₂/2 ‖Θ^(l)‖² + λ₁ ‖Θ^(l)‖₁, shape (...), where (λ₂, λ₁) are the layer's."""
        xp = self.xp
        penalty: Array | float = 0.0
        for theta, (l2, l1) in zip(thetas, penalties, strict=True):
            if l2:
                penalty = penalty + 0.5 * l2 * xp.sum(xp.square(theta), axis=(-2, -1))
            if l1:
                penalty = penalty + l1 * xp.sum(xp.abs(theta), axis=(-2, -1))
        return penalty

    def penalty_gradient(
        self, layer: int, grad_theta: Array, theta: Array, penalties: tuple[float, float], share: Array | float
    ) -> Array:
        """Return ∂J/∂Θ plus the gradient of the penalties, λ₂ Θ + λ₁ sign Θ, times `share`."""
        l2, l1 = penalties
        if l2:
            grad_theta = grad_theta + (l2 * share) * theta
        if l1:
            grad_theta = grad_theta + (l1 * share) * special.sign(theta, self.xp)
        return grad_theta

    def clip(self, gradients: Parameters, clip_norm: float | None, clip_value: float | None) -> Parameters:
        """Return the gradients clipped to [−clip_value, clip_value], then scaled to a norm of `clip_norm` at most.

        The norm is the Euclidean norm of all gradients of a model together (Pascanu et al. 2013, arXiv:1211.5063).
        """
        xp = self.xp
        leaves = gradients.leaves
        # The axes of a Θ and of a b, after the model axes
        axes = [(-2, -1)] * len(gradients.thetas) + [(-1,)] * len(gradients.biases)
        if clip_value is not None:
            leaves = tuple(xp.maximum(xp.minimum(g, clip_value), -clip_value) for g in leaves)
        if clip_norm is not None:
            # Scaled by the largest element first: the squares of float32 gradients of 1e20 would overflow. Its
            # reciprocal must be a normal number, as some compilers divide by multiplying with it.
            largest = [xp.max(xp.abs(g), axis=own) for g, own in zip(leaves, axes, strict=True)]
            unit = special.positive(xp.max(xp.stack(largest), axis=0), xp)
            unit = xp.minimum(unit, 0.25 / float(xp.finfo(unit.dtype).smallest_normal))
            scaled = [g / _over(unit, own) for g, own in zip(leaves, axes, strict=True)]
            norm = xp.sqrt(
                sum(xp.sum(xp.square(g), axis=own) for g, own in zip(scaled, axes, strict=True))
            )  # ‖g‖ / unit
            # g ← c g / ‖g‖ where ‖g‖ > c
            scale, exceeds = clip_norm / special.positive(norm, xp), norm * unit > clip_norm
            leaves = tuple(
                xp.where(_over(exceeds, own), g * _over(scale, own), as_it_is)
                for g, as_it_is, own in zip(scaled, leaves, axes, strict=True)
            )
        return gradients.like(leaves)

    def update(
        self,
        rule: Callable[..., tuple[Array, ...]],
        parameters: Parameters,
        gradients: Parameters,
        state: tuple[Parameters, ...],
        hyper: tuple[float, ...],
    ) -> tuple[Parameters, tuple[Parameters, ...]]:
        """Return parameters and optimizer state after one update of the pointwise formula `rule`."""
        # θ, state ← rule(θ, ∂J/∂θ, state, hyper), elementwise
        columns = zip(parameters.leaves, gradients.leaves, *(s.leaves for s in state), strict=True)
        new = [rule(self.xp, theta, grad, *slots, *hyper) for theta, grad, *slots in columns]
        updated, *slots_updated = (parameters.like(column) for column in zip(*new, strict=True))
        return updated, tuple(slots_updated)


def _over(value: Array, axes: tuple[int, ...]) -> Array:
    """Return a value of each model, shape (...), as it is broadcast over arrays with these axes beside."""
    return value[(..., *[None] * len(axes))] if value.ndim else value


def overridden(operations: Operations, *names: str) -> bool:
    """Return whether one of these operations, or without names anything, is not the one above.

    A backend overrides an operation in a class of its own, or sets it on the object that it returns.
    """
    own = vars(operations).keys() - {"xp", "device"}
    if not names:
        return type(operations) is not Operations or own != set()
    return any(name in own or getattr(type(operations), name) is not getattr(Operations, name) for name in names)
