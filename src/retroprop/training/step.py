"""One step of training as a pure function: parameters and state in, parameters and state out."""

from collections.abc import Callable
from copy import copy
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from retroprop.backends.backend import PLAIN, Backend, Demands
from retroprop.backends.intake.batch import Batch
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.architecture import Architecture
from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.activations import CustomActivation
from retroprop.functions.losses import CustomLoss
from retroprop.functions.types import Array
from retroprop.training.optimizers import OPTIMIZERS, UpdateRule

# The calls of a library for one layer of a step take as long as a loop over so many elements.
_CALLS = 6000


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
    """The results of a step.

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


def bind(
    backend: Backend,
    architecture: Architecture,
    optimizer: UpdateRule,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    penalties_of_sum: bool = False,
    demands: Demands = PLAIN,
) -> CapturedStep:
    """Return the step of one training, in which every choice is made before it runs.

    It may keep buffers, so two trainings at once need a step each.

    Parameters
    ----------
    backend : Backend
        Whose operations and captured steps are used.
    architecture : Architecture
        The network to train.
    optimizer : UpdateRule
        The update of the parameters.
    clip_norm, clip_value : float, optional
        Limits of the gradients, as `Operations.clip` takes them.
    penalties_of_sum : bool
        Whether the penalties of a batch are λ/Σw, not λ; see `backward`.
    demands : Demands
        As `Backend.capture` takes them.

    Returns
    -------
    CapturedStep
        A function of (parameters, state, hyper, data, rows, masks) that returns a `Stepped`: it propagates the `rows`
        of `data` (None: all of them), propagates the error back, and updates. `parameters` and `state` may be
        overwritten: they are results of the last step, or copies. `masks` are mask/(1−p) of the hidden layers, or
        `Masks` if the step `draws` them itself.
    """
    rule = without_rate(optimizer)
    custom = has_custom_parts(architecture) or type(optimizer) not in OPTIMIZERS.values()
    # A user's function may have changed since the last call: its step is not taken from the cache.
    make = _step.__wrapped__ if custom else _step
    step = make(architecture, rule, clip_norm, clip_value, penalties_of_sum)
    return backend.capture(step, donate=(0, 1), demands=demands)


def estimated_elements(architecture: Architecture, rows: int, steps: int) -> int:
    """Return the work of steps over so many rows in all, as `Demands.work` counts it."""
    of_a_step = sum(map(prod, architecture.shapes)) + _CALLS * len(architecture.layer_sizes)
    return rows * sum(architecture.layer_sizes) + steps * of_a_step


def bind_measure(
    backend: Backend,
    architecture: Architecture,
    *,
    penalties_of_sum: bool = False,
    demands: Demands = PLAIN,
) -> CapturedStep:
    """Return the cost and the gradient, without an update, as a function of the parameters and the data: `Measured`.

    Its results, except the cost, are valid until the next call. The arguments are those of `bind`.
    """
    make = _measure.__wrapped__ if has_custom_parts(architecture) else _measure
    return backend.capture(make(architecture, penalties_of_sum), demands=demands)


def without_rate(optimizer: UpdateRule) -> UpdateRule:
    """Return a rule whose learning rate is an argument of the step: one recording serves every rate."""
    rule = copy(optimizer)
    object.__setattr__(rule, "learning_rate", 1.0)
    return rule


def has_custom_parts(architecture: Architecture) -> bool:
    """Return whether an activation or the loss is the user's own object."""
    custom = any(isinstance(f, CustomActivation) for f in architecture.activations)
    return custom or isinstance(architecture.output.loss, CustomLoss)


def measured(
    operations: Operations,
    parameters: Parameters,
    data: Batch,
    masks: tuple[Array | None, ...] | None,
    architecture: Architecture,
    penalties_of_sum: bool,
) -> Measured:
    """Return the cost of a batch and its gradient, of several networks with a leading model axis."""
    # Integer data are cast here, so that only one batch of them exists as floats.
    x = operations.xp.astype(data.x, parameters.thetas[0].dtype, copy=False)
    trace = forward(operations, architecture, parameters, x, masks)
    found = backward(
        operations, architecture, parameters, trace, data.y, data.weight, penalties_of_sum=penalties_of_sum
    )
    return Measured(found.cost, found.parameters, trace.a[-1])


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
        cost, gradients, a = measured(operations, parameters, data, masks, architecture, penalties_of_sum)
        if clips:
            gradients = operations.clip(gradients, clip_norm, clip_value)
        parameters, state = operations.update(optimizer.formula, parameters, gradients, state, hyper)
        return Stepped(parameters, state, cost, a)

    return step


@lru_cache(maxsize=32)
def _measure(architecture: Architecture, penalties_of_sum: bool = False) -> Callable[..., Measured]:
    def measure(operations: Operations, parameters: Parameters, data: Batch) -> Measured:
        return measured(operations, parameters, data, None, architecture, penalties_of_sum)

    return measure
