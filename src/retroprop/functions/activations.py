"""Activations: f and its derivative f′ side by side, elementwise, one f for a whole layer.

Each f′ is computed from a = f(z) alone where possible (`needs_z` is False), so that z need not be kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, pi, sqrt
from operator import index
from typing import Any, ClassVar

from retroprop.functions import special
from retroprop.functions.names import Named, from_name, plain_numbers
from retroprop.functions.types import Array, Namespace


class Activation(Named, ABC):
    """An activation function a = f(z).

    Attributes
    ----------
    name : str
        The name by which a user selects it.
    needs_z : bool
        Whether `derivative` reads z. Where it does not, a hidden layer's z is not kept.
    range : tuple of float or None
        The closed interval that holds its values, None if it is not known.
    elementwise : bool
        Whether a_j depends on z_j alone; a hidden layer takes no other.
    """

    name: ClassVar[str]
    needs_z: ClassVar[bool] = False
    range: ClassVar[tuple[float, float] | None] = (-inf, inf)
    elementwise: ClassVar[bool] = True

    @abstractmethod
    def value(self, z: Array, xp: Namespace) -> Array:
        """Return f(z), of the shape of `z`."""

    @abstractmethod
    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        """Return f′ at z, where a = f(z); `z` may be None unless `needs_z`."""

    def pull_back(self, delta: Array, z: Array, a: Array, xp: Namespace) -> Array:
        """Return δ ∘ f′: ∂J/∂z, given δ = ∂J/∂a (both of shape (..., m, n))."""
        return delta * self.derivative(z, a, xp)


class Identity(Activation):
    """f(z) = z."""

    name: ClassVar[str] = "identity"

    def value(self, z: Array, xp: Namespace) -> Array:
        return z

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return xp.ones_like(a)

    def pull_back(self, delta: Array, z: Array, a: Array, xp: Namespace) -> Array:
        return delta


class Sigmoid(Activation):
    """f(z) = 1 / (1 + e^−z), f′ = a (1 − a)."""

    name: ClassVar[str] = "sigmoid"
    range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def value(self, z: Array, xp: Namespace) -> Array:
        return special.sigmoid(z, xp)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return a * (1.0 - a)


class Tanh(Activation):
    """f(z) = tanh z, f′ = 1 − a²."""

    name: ClassVar[str] = "tanh"
    range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)

    def value(self, z: Array, xp: Namespace) -> Array:
        return xp.tanh(z)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return 1.0 - a * a


class ReLU(Activation):
    """f(z) = max(z, 0), f′ = [a > 0], and f′(0) = 0. NaN stays NaN."""

    name: ClassVar[str] = "relu"
    range: ClassVar[tuple[float, float] | None] = (0.0, inf)

    def value(self, z: Array, xp: Namespace) -> Array:
        return xp.maximum(z, 0.0)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return xp.astype(a > 0.0, a.dtype)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """f(z) = max(z, s z), f′ = 1 where a > 0, else s.

    Parameters
    ----------
    slope : float
        s, the slope of the negative side, 0 <= s < 1.
    """

    name: ClassVar[str] = "leaky_relu"
    slope: float = 0.01

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 <= self.slope < 1.0:
            raise ValueError(f"slope of leaky_relu must be in [0, 1), not {self.slope!r}.")

    def value(self, z: Array, xp: Namespace) -> Array:
        return xp.maximum(z, self.slope * z)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return self.slope + (1.0 - self.slope) * xp.astype(a > 0.0, a.dtype)


@dataclass(frozen=True)
class ELU(Activation):
    """f(z) = z where z > 0, else α (e^z − 1); f′ = 1 or a + α (Clevert et al. 2016, arXiv:1511.07289).

    Parameters
    ----------
    alpha : float
        α > 0: the negative side saturates at −α.
    """

    name: ClassVar[str] = "elu"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.alpha < inf:
            raise ValueError(f"alpha of elu must be above 0 and finite, not {self.alpha!r}.")

    def value(self, z: Array, xp: Namespace) -> Array:
        return xp.maximum(z, 0.0) + self.alpha * xp.expm1(xp.minimum(z, 0.0))

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        # a + α on the negative side, α + (1 − α) = 1 on the positive
        return xp.minimum(a, 0.0) + self.alpha + (1.0 - self.alpha) * xp.astype(a > 0.0, a.dtype)


class Softplus(Activation):
    """f(z) = log(1 + e^z), f′ = 1 − e^−a."""

    name: ClassVar[str] = "softplus"
    range: ClassVar[tuple[float, float] | None] = (0.0, inf)

    def value(self, z: Array, xp: Namespace) -> Array:
        return special.softplus(z, xp)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return -xp.expm1(-a)


class SiLU(Activation):
    """f(z) = z σ(z), f′ = σ + a (1 − σ), σ the sigmoid (Elfwing et al. 2018, arXiv:1702.03118)."""

    name: ClassVar[str] = "silu"
    needs_z: ClassVar[bool] = True

    def value(self, z: Array, xp: Namespace) -> Array:
        return z * special.sigmoid(z, xp)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        s = special.sigmoid(z, xp)
        return s + a * (1.0 - s)


class GELU(Activation):
    """f(z) = z Φ(z), f′ = Φ + z φ, with the exact normal distribution (Hendrycks & Gimpel, arXiv:1606.08415)."""

    name: ClassVar[str] = "gelu"
    needs_z: ClassVar[bool] = True

    def value(self, z: Array, xp: Namespace) -> Array:
        return z * special.normal_cdf(z, xp)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return special.normal_cdf(z, xp) + z * special.normal_pdf(z, xp)


class GELUTanh(Activation):
    """f(z) = z (1 + tanh u) / 2 with u = √(2/π) (z + 0.044715 z³): the approximation of gelu by tanh."""

    name: ClassVar[str] = "gelu_tanh"
    needs_z: ClassVar[bool] = True
    _scale: ClassVar[float] = sqrt(2.0 / pi)

    def value(self, z: Array, xp: Namespace) -> Array:
        t = xp.tanh(self._scale * z * (1.0 + 0.044715 * z * z))
        return 0.5 * z * (1.0 + t)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        # ½ (1 + t) + ½ z (1 − t²) u′
        t = xp.tanh(self._scale * z * (1.0 + 0.044715 * z * z))
        slope = self._scale * (1.0 + 3.0 * 0.044715 * z * z)
        return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * slope


class Mish(Activation):
    """f(z) = z t with t = tanh(softplus z), f′ = t + z (1 − t²) σ(z) (Misra 2020, arXiv:1908.08681)."""

    name: ClassVar[str] = "mish"
    needs_z: ClassVar[bool] = True

    def value(self, z: Array, xp: Namespace) -> Array:
        return z * xp.tanh(special.softplus(z, xp))

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        t = xp.tanh(special.softplus(z, xp))
        return t + z * (1.0 - t * t) * special.sigmoid(z, xp)


class Exp(Activation):
    """f(z) = e^z, f′ = a. The log link of counts and rates, with the loss poisson."""

    name: ClassVar[str] = "exp"
    range: ClassVar[tuple[float, float] | None] = (0.0, inf)

    def value(self, z: Array, xp: Namespace) -> Array:
        return xp.exp(z)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return a


class Softmax(Activation):
    """a_j = e^{z_j} / Σ_k e^{z_k} over the neurons of the layer; an output activation only.

    Its Jacobian is not elementwise, ∂a_j/∂z_k = a_j ([j = k] − a_k), so it has a `pull_back` and no
    `derivative`.
    """

    name: ClassVar[str] = "softmax"
    range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    elementwise: ClassVar[bool] = False

    def value(self, z: Array, xp: Namespace) -> Array:
        e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        raise TypeError("softmax has no elementwise derivative: its pull_back applies the whole Jacobian.")

    def pull_back(self, delta: Array, z: Array, a: Array, xp: Namespace) -> Array:
        # δ_k ← a_k (δ_k − Σ_j δ_j a_j)
        return a * (delta - xp.sum(delta * a, axis=-1, keepdims=True))


@dataclass(frozen=True)
class GroupedSoftmax(Softmax):
    """One softmax over each of several groups of neurons: one for each column of classes.

    Parameters
    ----------
    sizes : tuple of int
        The number of neurons of each group, in order.
    """

    name: ClassVar[str] = "grouped_softmax"
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", group_sizes(self.name, self.sizes))

    def value(self, z: Array, xp: Namespace) -> Array:
        one = super().value
        return xp.concat([one(part, xp) for part in groups(z, self.sizes)], axis=-1)

    def pull_back(self, delta: Array, z: Array, a: Array, xp: Namespace) -> Array:
        one = super().pull_back
        pairs = zip(groups(delta, self.sizes), groups(a, self.sizes), strict=True)
        return xp.concat([one(d, None, part, xp) for d, part in pairs], axis=-1)


def group_sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of the groups of `name`, checked: each is 2 or above, as a softmax over one neuron is always 1.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number, or below 2.
    """
    whole = tuple(map(index, sizes))
    if not whole or min(whole) < 2:
        raise ValueError(f"sizes of {name} must be 2 or above, one a group, not {sizes!r}.")
    return whole


def groups(array: Array, sizes: tuple[int, ...]) -> list[Array]:
    """Return the last axis split into parts of these sizes."""
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    if ends[-1] != array.shape[-1]:
        raise ValueError(f"groups of {sizes} neurons make {ends[-1]}, and the layer has {array.shape[-1]}.")
    return [array[..., end - size : end] for end, size in zip(ends, sizes, strict=True)]


class CustomActivation(Activation):
    """A user-defined object with `value(z, xp)`, `derivative(z, a, xp)` and `needs_z`, as an `Activation`."""

    range: ClassVar[tuple[float, float] | None] = None

    def __init__(self, custom: Any) -> None:
        if isinstance(custom, type):
            raise TypeError(f"an activation must be a name or an object, not a class: write {custom.__name__}().")
        for needed in ("value", "derivative", "needs_z"):
            if not hasattr(custom, needed):
                raise TypeError(
                    f"an activation must be a name or an object with value(z, xp), derivative(z, a, xp) and "
                    f"needs_z; {custom!r} has no {needed}."
                )
        self.custom = custom
        self.name = getattr(custom, "name", type(custom).__name__)  # type: ignore[misc]
        self.needs_z = custom.needs_z  # type: ignore[misc]

    def value(self, z: Array, xp: Namespace) -> Array:
        return self.custom.value(z, xp)

    def derivative(self, z: Array, a: Array, xp: Namespace) -> Array:
        return self.custom.derivative(z, a, xp)


ACTIVATIONS: dict[str, type[Activation]] = {
    f.name: f
    for f in (Identity, Sigmoid, Tanh, ReLU, LeakyReLU, ELU, Softplus, SiLU, GELU, GELUTanh, Mish, Exp, Softmax)
}


def elementwise_names() -> list[str]:
    """Return the names of the activations that a hidden layer takes."""
    return [name for name, f in ACTIVATIONS.items() if f.elementwise]


def get(activation: Any) -> Activation:
    """Return the activation of that name, or the object itself (wrapped, if it is a custom one).

    Raises
    ------
    ValueError
        If no activation has that name; the message suggests one.
    TypeError
        If the object lacks `value`, `derivative` or `needs_z`.
    """
    if type(activation) in (*ACTIVATIONS.values(), GroupedSoftmax) or isinstance(activation, CustomActivation):
        return activation  # type: ignore[no-any-return]
    if isinstance(activation, str):
        found: Activation = from_name("activation", activation, ACTIVATIONS)
        return found
    return CustomActivation(activation)
