"""The output layer: an activation and a loss together, where the cost of an observation meets its error.

The pairs softmax + cross-entropy, sigmoid + binary cross-entropy, identity + squared error and exp + poisson
give ∂J_i/∂z = a − y and compute J_i from z; any other pair follows the general rule. Outputs of different classes are
never equal: a step that is bound to one must not be reused for the other.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from retroprop.functions.activations import ACTIVATIONS, Activation, GroupedSoftmax
from retroprop.functions.losses import GroupedCrossEntropy, Loss
from retroprop.functions.types import Array, Namespace


class Output(Protocol):
    """The output layer as the core uses it."""

    @property
    def activation(self) -> Activation:
        """The output activation, f in a = f(z)."""

    @property
    def loss(self) -> Loss:
        """The loss J_i."""

    def value(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        """Return J_i, shape (..., m)."""

    def error(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        """Return ∂J_i/∂z, shape (..., m, n_L)."""


class PairedOutput(NamedTuple):
    """An activation and the loss whose `link` it is: ∂J_i/∂z = a − y."""

    activation: Activation
    loss: Loss

    def value(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return self.loss.value_from_z(z, y, xp)

    def error(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return a - y


class GeneralOutput(NamedTuple):
    """Any other activation and loss: ∂J_i/∂z = ∂J_i/∂a ∘ f′ (softmax: times its Jacobian)."""

    activation: Activation
    loss: Loss

    def value(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return self.loss.value(a, y, xp)

    def error(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return self.activation.pull_back(self.loss.derivative(a, y, xp), z, a, xp)


@dataclass(frozen=True)
class ClippedOutput:
    """A pair whose J_i is reported for probabilities clipped to [ε, 1 − ε], ε the dtype's: it never exceeds −log ε.

    It is differentiated as if they were not clipped: ∂J_i/∂z = a − y.
    """

    activation: Activation
    loss: Loss

    def value(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        eps = float(xp.finfo(a.dtype).eps)
        return self.loss.value(xp.minimum(xp.maximum(a, eps), 1.0 - eps), y, xp)

    def error(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return a - y


@dataclass(frozen=True)
class AveragedOutput:
    """A pair whose J_i is reported as the mean over the outputs, and differentiated as the sum: ∂J_i/∂z = a − y."""

    activation: Activation
    loss: Loss

    def value(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return self.loss.value_from_z(z, y, xp) * (1.0 / z.shape[-1])

    def error(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return a - y


@dataclass(frozen=True)
class ProjectedOutput:
    """J_i = Σ_k y_k a_k, whose derivatives are those of the outputs themselves: of a single one if y is one-hot."""

    activation: Activation
    loss: Loss

    def value(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return xp.sum(y * a, axis=-1)

    def error(self, z: Array, a: Array, y: Array, xp: Namespace) -> Array:
        return self.activation.pull_back(y, z, a, xp)


def pair(activation: Activation, loss: Loss) -> Output:
    """Return the output layer of that activation and that loss."""
    # The type decides: a custom object may have any name.
    own = ACTIVATIONS | {GroupedSoftmax.name: GroupedSoftmax}
    paired = loss.link is not None and type(activation) is own[loss.link]
    if isinstance(loss, GroupedCrossEntropy) and isinstance(activation, GroupedSoftmax):
        paired = loss.sizes == activation.sizes
    return (PairedOutput if paired else GeneralOutput)(activation, loss)
