"""Initial parameters, drawn on the host in float64 from one explicit generator.

The warning of the source text: weights that start equal stay equal, because every neuron of a layer then computes the
same sum and has the same δ. `Constant` and `Zeros` demonstrate it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, ClassVar

from retroprop.functions.names import Named, from_name, plain_numbers
from retroprop.functions.types import Array, Namespace, RandomGenerator


class Initializer(Named, ABC):
    """A distribution of the initial Θ (n_out, n_in) and b (n_out,); drawn layer by layer, Θ first."""

    name: ClassVar[str]

    @abstractmethod
    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        """Return Θ, shape (n_out, n_in), float64, in the host's namespace `xp`."""

    def bias(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        """Return b, shape (n_out,), float64: zeros, unless the initializer draws biases too."""
        return xp.zeros(n_out)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Θ and b uniform in [−ε, ε], as in the source text.

    Parameters
    ----------
    epsilon : float
        ε > 0, close to 0.
    """

    name: ClassVar[str] = "uniform"
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.epsilon < inf:
            raise ValueError(f"epsilon of uniform must be above 0 and finite, not {self.epsilon!r}.")

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return rng.uniform(-self.epsilon, self.epsilon, (n_out, n_in))

    def bias(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return rng.uniform(-self.epsilon, self.epsilon, n_out)


@dataclass(frozen=True)
class Normal(Initializer):
    """Θ and b normal with mean 0.

    Parameters
    ----------
    std : float
        The standard deviation, above 0.
    """

    name: ClassVar[str] = "normal"
    std: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.std < inf:
            raise ValueError(f"std of normal must be above 0 and finite, not {self.std!r}.")

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return rng.normal(0.0, self.std, (n_out, n_in))

    def bias(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return rng.normal(0.0, self.std, n_out)


class GlorotUniform(Initializer):
    """Θ uniform in ±√(6 / (n_in + n_out)) (Glorot & Bengio 2010, eq. 16)."""

    name: ClassVar[str] = "glorot_uniform"

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        limit = sqrt(6.0 / (n_in + n_out))
        return rng.uniform(-limit, limit, (n_out, n_in))


class GlorotNormal(Initializer):
    """Θ normal with variance 2 / (n_in + n_out) (Glorot & Bengio 2010, eq. 12)."""

    name: ClassVar[str] = "glorot_normal"

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return rng.normal(0.0, sqrt(2.0 / (n_in + n_out)), (n_out, n_in))


class HeUniform(Initializer):
    """Θ uniform in ±√(6 / n_in), variance 2 / n_in (He et al. 2015, eq. 10), for relu."""

    name: ClassVar[str] = "he_uniform"

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        limit = sqrt(6.0 / n_in)
        return rng.uniform(-limit, limit, (n_out, n_in))


class HeNormal(Initializer):
    """Θ normal with variance 2 / n_in (He et al. 2015, eq. 10), for relu."""

    name: ClassVar[str] = "he_normal"

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return rng.normal(0.0, sqrt(2.0 / n_in), (n_out, n_in))


class LeCun(Initializer):
    """Θ normal with variance 1 / n_in (LeCun et al. 1998, eq. 16)."""

    name: ClassVar[str] = "lecun"

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return rng.normal(0.0, sqrt(1.0 / n_in), (n_out, n_in))


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Θ with orthonormal rows or columns, uniform over all such (Saxe et al. 2014, arXiv:1312.6120).

    Parameters
    ----------
    gain : float
        Every singular value of Θ.
    """

    name: ClassVar[str] = "orthogonal"
    gain: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not -inf < self.gain < inf:
            raise ValueError(f"gain of orthogonal must be finite, not {self.gain!r}.")

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        gauss = rng.normal(size=(max(n_out, n_in), min(n_out, n_in)))
        q, r = xp.linalg.qr(gauss)
        # The signs of R's diagonal make Q unique, hence uniform (Mezzadri 2007).
        q = self.gain * q * xp.sign(xp.linalg.diagonal(r))
        return q if n_out >= n_in else xp.matrix_transpose(q)


@dataclass(frozen=True)
class ConstantWeights(Initializer):
    """Θ all equal (`retroprop.initializers.Constant`): the symmetry that the source text warns of; updates keep it.

    Parameters
    ----------
    constant : float
        The value of every weight.
    """

    name: ClassVar[str] = "constant"
    constant: float = 0.5

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not -inf < self.constant < inf:
            raise ValueError(f"constant of constant must be finite, not {self.constant!r}.")

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return xp.full((n_out, n_in), float(self.constant))


class Zeros(Initializer):
    """Θ all 0."""

    name: ClassVar[str] = "zeros"

    def theta(self, rng: RandomGenerator, n_out: int, n_in: int, xp: Namespace) -> Array:
        return xp.zeros((n_out, n_in))


Constant = ConstantWeights
"""The public name; a class statement of that name is the constant learning rate of `schedules`."""

INITIALIZERS: dict[str, type[Initializer]] = {
    i.name: i
    for i in (
        Uniform,
        Normal,
        GlorotUniform,
        GlorotNormal,
        HeUniform,
        HeNormal,
        LeCun,
        Orthogonal,
        ConstantWeights,
        Zeros,
    )
}


def get(initializer: Any) -> Initializer:
    """Return the initializer of that name, or the object itself.

    Raises
    ------
    ValueError
        If no initializer has that name; the message suggests one.
    """
    if isinstance(initializer, Initializer):
        return initializer
    found: Initializer = from_name("initializer", initializer, INITIALIZERS)
    return found
