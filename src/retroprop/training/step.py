"""One step of training as a pure function: parameters and state in, parameters and state out."""

from collections.abc import Callable
from copy import copy
from functools import lru_cache
from typing import NamedTuple, Protocol

from retroprop.backends import Backend
from retroprop.backends.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.activations import CustomActivation
from retroprop.functions.losses import CustomLoss
from retroprop.functions.types import Array
from retroprop.training.optimizers import OPTIMIZERS, Optimizer


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
    state: tuple[Parameters, ...]
    cost: Array
    a: Array


class Step(Protocol):
    """A step bound to a network's architecture, an optimizer and a backend."""

    def __call__(
        self,
        parameters: Parameters,
        state: tuple[Parameters, ...],
        hyper: tuple[float, ...],
        data: Batch,
        rows: Array | None,
        masks: tuple[Array | None, ...] | None,
    ) -> Stepped:
        """Propagate the `rows` of `data` (None: all of them), send the error back, update.

        `parameters` and `state` may be overwritten: they are the last step's, or copies.
        """


def bind(
    backend: Backend,
    architecture: Architecture,
    optimizer: Optimizer,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    precision: str = "highest",
    deterministic: bool = False,
) -> Step:
    """Return the step of one training: no name is looked up and nothing is chosen while it runs.

    It may keep buffers, so two trainings at once take a step each.

    Parameters
    ----------
    backend : Backend
        Whose operations and captured steps are used.
    architecture : Architecture
        What is trained.
    optimizer : Optimizer
        The update rule.
    clip_norm, clip_value : float, optional
        What the gradients are held to.
    precision, deterministic
        As `Backend.capture` takes them.

    Returns
    -------
    Step
        It may have a method `run`, for many steps as one; `Backend.capture` says what that is.
    """
    # The learning rate is data of the step, not a part of it.
    rule = copy(optimizer)
    object.__setattr__(rule, "learning_rate", 1.0)
    custom = any(isinstance(f, CustomActivation) for f in architecture.activations)
    custom = custom or isinstance(architecture.output.loss, CustomLoss)
    custom = custom or type(optimizer) not in OPTIMIZERS.values()
    # A function from outside may have changed since it was last seen: its step is made anew.
    step = (_step.__wrapped__ if custom else _step)(architecture, rule, clip_norm, clip_value)
    bound: Step = backend.capture(step, donate=(0, 1), precision=precision, deterministic=deterministic)
    return bound


@lru_cache(maxsize=32)
def _step(
    architecture: Architecture, optimizer: Optimizer, clip_norm: float | None, clip_value: float | None
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
        x, y, weight = data if rows is None else (operations.gather(part, rows) for part in data)
        trace = forward(operations, architecture, parameters, x, masks)
        found = backward(operations, architecture, parameters, trace, y, weight)
        gradients = found.parameters
        if clips:
            gradients = operations.clip(gradients, clip_norm, clip_value)
        parameters, state = operations.update(optimizer.formula, parameters, gradients, state, hyper)
        return Stepped(parameters, state, found.cost, trace.a[-1])

    return step
