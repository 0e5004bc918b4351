"""The types of the arguments of an estimator, so that a type checker finds a wrong one; see `functions.literals`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy

from retroprop.functions.activations import Activation
from retroprop.functions.literals import ActivationObject, HasShape, InitializerLike, LossObject, OptimizerName
from retroprop.functions.losses import Loss
from retroprop.functions.schedules import Schedule
from retroprop.training.optimizers import UpdateRule

HiddenName: TypeAlias = Literal[
    "logistic", "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "gelu_tanh",
    "mish", "exp",
]  # fmt: skip
ClassificationLossName: TypeAlias = Literal[
    "log_loss", "squared_error", "absolute_error", "huber", "log_cosh", "binary_cross_entropy", "cross_entropy",
]  # fmt: skip
RegressionLossName: TypeAlias = Literal[
    "squared_error", "absolute_error", "huber", "log_cosh", "quantile", "poisson",
]  # fmt: skip

_Hidden: TypeAlias = HiddenName | Activation | ActivationObject
HiddenLike: TypeAlias = _Hidden | Sequence[_Hidden]
ClassificationLoss: TypeAlias = ClassificationLossName | Loss | LossObject
RegressionLoss: TypeAlias = RegressionLossName | Loss | LossObject
SolverLike: TypeAlias = OptimizerName | UpdateRule
RateLike: TypeAlias = Literal["constant", "invscaling", "adaptive"] | Schedule
LayerSizes: TypeAlias = int | Sequence[int] | HasShape
OfLayers: TypeAlias = float | Sequence[float] | HasShape
Rows: TypeAlias = int | Literal["auto"]
RandomState: TypeAlias = int | numpy.random.RandomState | None
Weights: TypeAlias = Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None
Scoring: TypeAlias = str | Callable[..., Any] | None
Initializing: TypeAlias = InitializerLike | None
