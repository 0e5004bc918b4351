"""The types of arguments: names as literals, objects by what they can do, so that a type checker finds a wrong one.

The names are those of the tables; a test holds the two equal, since a type cannot be made from a table.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol, SupportsFloat, TypeAlias

from retroprop.functions.activations import Activation
from retroprop.functions.initializers import Initializer
from retroprop.functions.losses import Loss
from retroprop.functions.metrics import Metric

ActivationName: TypeAlias = Literal[
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "gelu_tanh", "mish", "exp",
    "softmax",
]  # fmt: skip
LossName: TypeAlias = Literal[
    "squared_error", "absolute_error", "huber", "log_cosh", "quantile", "poisson", "binary_cross_entropy",
    "cross_entropy",
]  # fmt: skip
InitializerName: TypeAlias = Literal[
    "uniform", "normal", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun", "orthogonal",
    "constant", "zeros",
]  # fmt: skip
MetricName: TypeAlias = Literal["accuracy", "error", "r2", "mean_absolute_error", "root_mean_squared_error"]
OptimizerName: TypeAlias = Literal["sgd", "rmsprop", "adam", "adamw", "lion", "lbfgs"]
DTypeName: TypeAlias = Literal["float32", "float64"]
Precision: TypeAlias = Literal["highest", "tf32", "bf16"]


class ActivationObject(Protocol):
    """A custom activation."""

    needs_z: bool

    def value(self, z: Any, xp: Any, /) -> Any:
        """Return f(z)."""

    def derivative(self, z: Any, a: Any, xp: Any, /) -> Any:
        """Return f′ at z, where a = f(z)."""


class LossObject(Protocol):
    """A custom loss."""

    def value(self, a: Any, y: Any, xp: Any, /) -> Any:
        """Return J_i of each observation."""

    def derivative(self, a: Any, y: Any, xp: Any, /) -> Any:
        """Return ∂J_i/∂a."""


class HasShape(Protocol):
    """An array of any library, or a data frame."""

    @property
    def shape(self) -> Any:
        """The lengths of its axes."""


class HasItemsize(Protocol):
    """A data type of an array library."""

    @property
    def itemsize(self) -> Any:
        """The bytes of an element."""


class Permutes(Protocol):
    """A generator of random numbers, as `numpy.random.Generator`."""

    def permutation(self, x: Any, /) -> Any:
        """Return a random order."""


ActivationLike: TypeAlias = ActivationName | Activation | ActivationObject
LossLike: TypeAlias = LossName | Loss | LossObject
InitializerLike: TypeAlias = InitializerName | Initializer
MetricLike: TypeAlias = MetricName | Metric | Callable[[Any, Any, Any, Any], Any]
DTypeLike: TypeAlias = DTypeName | type[Any] | HasItemsize
Seed: TypeAlias = int | Permutes | None
ArrayLike: TypeAlias = HasShape | Sequence[SupportsFloat] | Sequence[Sequence[SupportsFloat]] | Sequence[HasShape]
Batches: TypeAlias = Iterator[Any] | Callable[[], Iterable[Any]]
