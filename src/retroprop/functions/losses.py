"""Losses: J_i of one observation and its derivative ∂J_i/∂a, side by side.

Every loss sums over the outputs of an observation; the mean over observations, with or without weights, is
taken by the core, once.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

from retroprop.functions import special
from retroprop.functions.activations import group_sizes, groups
from retroprop.functions.names import Named, from_name, plain_numbers
from retroprop.functions.types import Array, Namespace


class Loss(Named, ABC):
    """The loss J_i of one observation.

    Attributes
    ----------
    name : str
        The name by which a user selects it.
    link : str or None
        The output activation of its pair, with which ∂J_i/∂z = a − y, and the value is computed from z
        (`value_from_z`), finite and right at any logit.
    target_range : tuple of float
        The closed interval that holds the targets.
    output_range : tuple of float
        The interval that must hold the outputs for the loss to be defined.
    takes_indices : bool
        Whether a target may be the index of a class.
    tasks : tuple of str
        The tasks for which its name is accepted, by the estimators and the command line: "classification",
        "regression" or both.
    """

    name: ClassVar[str]
    link: ClassVar[str | None] = None
    target_range: ClassVar[tuple[float, float]] = (-inf, inf)
    output_range: ClassVar[tuple[float, float]] = (-inf, inf)
    takes_indices: ClassVar[bool] = False
    tasks: ClassVar[tuple[str, ...]] = ("classification", "regression")

    @abstractmethod
    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        """Return J_i, shape (..., m), from outputs and targets of shape (..., m, n_L)."""

    @abstractmethod
    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        """Return ∂J_i/∂a, shape (..., m, n_L)."""

    def value_from_z(self, z: Array, y: Array, xp: Namespace) -> Array:
        """Return J_i from the pre-activation of the output, where its activation is `link`."""
        raise TypeError(f"{self.name} makes no pair with an output activation.")


class SquaredError(Loss):
    """J_i = ½ Σ (a − y)²."""

    name: ClassVar[str] = "squared_error"
    link: ClassVar[str | None] = "identity"

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        return 0.5 * xp.sum(xp.square(a - y), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        return a - y

    def value_from_z(self, z: Array, y: Array, xp: Namespace) -> Array:
        return self.value(z, y, xp)


class AbsoluteError(Loss):
    """J_i = Σ |a − y|; its derivative at a = y is taken as 0."""

    name: ClassVar[str] = "absolute_error"

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        return xp.sum(xp.abs(a - y), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        return special.sign(a - y, xp)


@dataclass(frozen=True)
class Huber(Loss):
    """J_i = Σ ½ e² where |e| <= δ, else δ (|e| − ½ δ), with e = a − y (Huber 1964).

    Parameters
    ----------
    delta : float
        δ > 0, where the loss turns from quadratic to linear, in units of y.
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.delta < inf:
            raise ValueError(f"delta of huber must be above 0 and finite, not {self.delta!r}.")

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        r = xp.abs(a - y)
        q = xp.minimum(r, self.delta)
        return xp.sum(q * (r - 0.5 * q), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        return xp.maximum(xp.minimum(a - y, self.delta), -self.delta)


class LogCosh(Loss):
    """J_i = Σ log cosh(a − y)."""

    name: ClassVar[str] = "log_cosh"

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        # Far out r + log((1 + e^−2r) / 2), near 0 log(1 + (cosh r − 1)): neither overflows nor cancels.
        r = xp.abs(a - y)
        e = xp.expm1(-xp.minimum(r, 1.0))
        near = xp.log1p(0.5 * e * e / (1.0 + e))  # cosh r − 1 = (1 − e^−r)² / 2e^−r
        far = r + xp.log1p(0.5 * xp.expm1(-2.0 * r))
        return xp.sum(xp.where(r <= 1.0, near, far), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        return xp.tanh(a - y)


@dataclass(frozen=True)
class Quantile(Loss):
    """J_i = Σ max(q (y − a), (q − 1) (y − a)), the pinball loss (Koenker & Bassett 1978).

    Parameters
    ----------
    q : float
        The quantile the output estimates, 0 < q < 1.
    """

    name: ClassVar[str] = "quantile"
    tasks: ClassVar[tuple[str, ...]] = ("regression",)
    q: float = 0.5

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.q < 1.0:
            raise ValueError(f"q of quantile must be in (0, 1), not {self.q!r}.")

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        e = y - a
        return xp.sum(xp.maximum(self.q * e, (self.q - 1.0) * e), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        # 1 − q above the target, −q below, 0 on it
        return (1.0 - self.q) * xp.astype(a > y, a.dtype) - self.q * xp.astype(a < y, a.dtype)


class Poisson(Loss):
    """J_i = Σ y log(y / a) − y + a, half the Poisson deviance, for counts and rates y >= 0."""

    name: ClassVar[str] = "poisson"
    link: ClassVar[str | None] = "exp"
    target_range: ClassVar[tuple[float, float]] = (0.0, inf)
    output_range: ClassVar[tuple[float, float]] = (0.0, inf)
    tasks: ClassVar[tuple[str, ...]] = ("regression",)

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        # With d = log(a / y): y log(y / a) − y + a = y (e^d − 1 − d), in which nothing large cancels
        d = xp.where(y > 0.0, xp.log(special.positive(a, xp)) - xp.log(special.positive(y, xp)), 0.0)
        return xp.sum(xp.where(y > 0.0, y * (xp.expm1(d) - d), a), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        # The denominator stays far enough from 0 for y up to 2³⁰: a saturated activation never gives 0 · ∞.
        return 1.0 - y / xp.maximum(a, 2.0**30 * float(xp.finfo(a.dtype).smallest_normal))

    def value_from_z(self, z: Array, y: Array, xp: Namespace) -> Array:
        d = xp.where(y > 0.0, z - xp.log(special.positive(y, xp)), 0.0)
        return xp.sum(xp.where(y > 0.0, y * (xp.expm1(d) - d), xp.exp(z)), axis=-1)


class BinaryCrossEntropy(Loss):
    """J_i = −Σ y log a + (1 − y) log(1 − a), for one label or several (multilabel), y in [0, 1]."""

    name: ClassVar[str] = "binary_cross_entropy"
    link: ClassVar[str | None] = "sigmoid"
    target_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    output_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    tasks: ClassVar[tuple[str, ...]] = ("classification",)

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        return -xp.sum(special.xlogy(y, a, xp) + special.xlogy(1.0 - y, 1.0 - a, xp), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        # Near 1 an output is exact to eps, so 1 − a is not smaller than eps.
        b = xp.maximum(1.0 - a, float(xp.finfo(a.dtype).eps))
        return (1.0 - y) / b - y / special.positive(a, xp)

    def value_from_z(self, z: Array, y: Array, xp: Namespace) -> Array:
        # −y log σ(z) − (1 − y) log(1 − σ(z)) = max(z, 0) − y z + log(1 + e^−|z|): the large terms cancel exactly
        return xp.sum(xp.maximum(z, 0.0) - y * z + xp.log1p(xp.exp(-xp.abs(z))), axis=-1)


class CrossEntropy(Loss):
    """J_i = −Σ_j y_j log a_j, y a class index, one-hot, or soft: a row of probabilities that sum to 1."""

    name: ClassVar[str] = "cross_entropy"
    link: ClassVar[str | None] = "softmax"
    target_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    output_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes_indices: ClassVar[bool] = True
    tasks: ClassVar[tuple[str, ...]] = ("classification",)

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        return -xp.sum(special.xlogy(y, a, xp), axis=-1)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        return -y / special.positive(a, xp)

    def value_from_z(self, z: Array, y: Array, xp: Namespace) -> Array:
        # −Σ_j y_j log a_j, with log a_j = z_j − log Σ_k e^{z_k}
        shifted, log_sum = special.log_softmax_parts(z, xp)
        return xp.sum(y * (log_sum - shifted), axis=-1)


@dataclass(frozen=True)
class GroupedCrossEntropy(CrossEntropy):
    """The sum of the cross-entropies of several groups of outputs; targets are the groups' rows, concatenated.

    Parameters
    ----------
    sizes : tuple of int
        The number of outputs of each group, as in `GroupedSoftmax`.
    """

    name: ClassVar[str] = "grouped_cross_entropy"
    link: ClassVar[str | None] = "grouped_softmax"
    takes_indices: ClassVar[bool] = False
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", group_sizes(self.name, self.sizes))

    def value_from_z(self, z: Array, y: Array, xp: Namespace) -> Array:
        one = super().value_from_z
        pairs = zip(groups(z, self.sizes), groups(y, self.sizes), strict=True)
        return sum(one(part, target, xp) for part, target in pairs)


class CustomLoss(Loss):
    """A user-defined object with `value(a, y, xp)` and `derivative(a, y, xp)`, as a `Loss`."""

    def __init__(self, custom: Any) -> None:
        if isinstance(custom, type):
            raise TypeError(f"a loss must be a name or an object, not a class: write {custom.__name__}().")
        for needed in ("value", "derivative"):
            if not hasattr(custom, needed):
                raise TypeError(
                    f"a loss must be a name or an object with value(a, y, xp) per observation and "
                    f"derivative(a, y, xp); {custom!r} has no {needed}."
                )
        self.custom = custom
        self.name = getattr(custom, "name", type(custom).__name__)  # type: ignore[misc]

    def value(self, a: Array, y: Array, xp: Namespace) -> Array:
        return self.custom.value(a, y, xp)

    def derivative(self, a: Array, y: Array, xp: Namespace) -> Array:
        return self.custom.derivative(a, y, xp)


LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (
        SquaredError,
        AbsoluteError,
        Huber,
        LogCosh,
        Quantile,
        Poisson,
        BinaryCrossEntropy,
        CrossEntropy,
    )
}


def names(task: str) -> list[str]:
    """Return the names of the losses of a task, "classification" or "regression"."""
    return [name for name, loss in LOSSES.items() if task in loss.tasks]


def get(loss: Any) -> Loss:
    """Return the loss of that name, or the object itself (wrapped, if it is a custom one).

    Raises
    ------
    ValueError
        If no loss has that name; the message suggests one.
    TypeError
        If the object lacks `value` or `derivative`.
    """
    if type(loss) in (*LOSSES.values(), GroupedCrossEntropy) or isinstance(loss, CustomLoss):
        return loss  # type: ignore[no-any-return]
    if isinstance(loss, str):
        found: Loss = from_name("loss", loss, LOSSES)
        return found
    return CustomLoss(loss)
