"""One step of training as a pure function: parameters and state in, parameters and state out."""

from collections.abc import Callable
from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from retroprop.backends.backend import PLAIN, Backend, Demands
from retroprop.backends.intake.batch import Batch
from retroprop.backends.masks import Masks
from retroprop.core.architecture import Architecture
from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.activations import CustomActivation
from retroprop.functions.losses import CustomLoss
from retroprop.functions.types import Array
from retroprop.training.optimizers import OPTIMIZERS, UpdateRule


class Measured(NamedTuple):
    """The cost of a batch and its gradient.

    Attributes
    ----------
    cost : array, 0-d
        J, penalties included.
    gradients : Parameters
        ∂J/∂Θ and ∂J/∂b.
    a : array (m, n_L)
        The output.
    """

    cost: Array
    gradients: Parameters
    a: Array


class Stepped(NamedTuple):
    """What a step gives back.

    Attributes
    ----------
    parameters, state
        After the update.
    cost : array, 0-d
        J of the batch before the update.
    a : array (m, n_L)
        The output before the update; the next step may overwrite it.
    """

    parameters: Parameters
    state: tuple[Any, ...]
    cost: Array
    a: Array


class Step(Protocol):
    """A step bound to a network's architecture, an optimizer and a backend."""

    def __call__(
        self,
        parameters: Parameters,
        state: tuple[Any, ...],
        hyper: tuple[float, ...],
        data: Batch,
        rows: Array | None,
        masks: tuple[Array | None, ...] | Masks | None,
    ) -> Stepped:
        """Propagate the `rows` of `data` (None: all of them), send the error back, update.

        `parameters` and `state` may be overwritten: they are the last step's, or copies. `masks` are mask/(1−p) of the
        hidden layers, or `Masks` if the step `draws`.
        """


def bind(
    backend: Backend,
    architecture: Architecture,
    optimizer: UpdateRule,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    penalties_of_sum: bool = False,
    demands: Demands = PLAIN,
) -> Step:
    """Return the step of one training: no name is looked up and nothing is chosen while it runs.

    It may keep buffers, so two trainings at once take a step each.

    Parameters
    ----------
    backend : Backend
        Whose operations and captured steps are used.
    architecture : Architecture
        What is trained.
    optimizer : UpdateRule
        How the parameters follow the gradients.
    clip_norm, clip_value : float, optional
        What the gradients are held to.
    penalties_of_sum : bool
        Whether J has λ/Σw of each batch, not λ; see `backward`.
    demands : Demands
        As `Backend.capture` takes them.

    Returns
    -------
    Step
        It may have a method `run`, for many steps as one, and `draws`; `Backend.capture` says what they are.
    """
    # The learning rate is data of the step, not a part of it.
    rule = copy(optimizer)
    object.__setattr__(rule, "learning_rate", 1.0)
    custom = _has_custom_parts(architecture) or type(optimizer) not in OPTIMIZERS.values()
    # A function from outside may have changed since it was last seen: its step is made anew.
    make = _step.__wrapped__ if custom else _step
    step = make(architecture, rule, clip_norm, clip_value, penalties_of_sum)
    bound: Step = backend.capture(step, donate=(0, 1), demands=demands)
    return bound


def bind_measure(
    backend: Backend,
    architecture: Architecture,
    *,
    penalties_of_sum: bool = False,
    demands: Demands = PLAIN,
) -> Callable[[Parameters, Batch], Measured]:
    """Return the cost and the gradient, without an update, as a function of the parameters and the data.

    But for the cost, what it returns holds until the next call. The arguments are those of `bind`.
    """
    make = _measure.__wrapped__ if _has_custom_parts(architecture) else _measure
    measure = make(architecture, penalties_of_sum)
    bound: Callable[[Parameters, Batch], Measured] = backend.capture(measure, demands=demands)
    return bound


def _has_custom_parts(architecture: Architecture) -> bool:
    custom = any(isinstance(f, CustomActivation) for f in architecture.activations)
    return custom or isinstance(architecture.output.loss, CustomLoss)


@lru_cache(maxsize=32)
def _step(
    architecture: Architecture,
    optimizer: UpdateRule,
    clip_norm: float | None,
    clip_value: float | None,
    penalties_of_sum: bool = False,
) -> Callable[..., Stepped]:
    clips = clip_norm is not None or clip_value is not None

    def step(
        operations: Operations,
        parameters: Parameters,
        state: tuple[Parameters, ...],
        hyper: tuple[float, ...],
        data: Batch,
        rows: Array | None,
        masks: tuple[Array | None, ...] | None,
    ) -> Stepped:
        if rows is not None:
            data = Batch(*(operations.gather(part, rows) for part in data))
        cost, gradients, a = _measured(operations, parameters, data, masks, architecture, penalties_of_sum)
        if clips:
            gradients = operations.clip(gradients, clip_norm, clip_value)
        parameters, state = operations.update(optimizer.formula, parameters, gradients, state, hyper)
        return Stepped(parameters, state, cost, a)

    return step


@lru_cache(maxsize=32)
def _measure(architecture: Architecture, penalties_of_sum: bool = False) -> Callable[..., Measured]:
    def measure(operations: Operations, parameters: Parameters, data: Batch) -> Measured:
        return _measured(operations, parameters, data, None, architecture, penalties_of_sum)

    return measure


def _measured(
    operations: Operations,
    parameters: Parameters,
    data: Batch,
    masks: tuple[Array | None, ...] | None,
    architecture: Architecture,
    penalties_of_sum: bool,
) -> Measured:
    # Whole numbers of the data are cast here, where no more than a batch of them is real numbers.
    x = operations.xp.astype(data.x, parameters.thetas[0].dtype, copy=False)
    trace = forward(operations, architecture, parameters, x, masks)
    found = backward(
        operations, architecture, parameters, trace, data.y, data.weight, penalties_of_sum=penalties_of_sum
    )
    return Measured(found.cost, found.parameters, trace.a[-1])
