"""One step of training as a pure function: parameters and state in, parameters and state out."""

from copy import copy
from functools import lru_cache
from typing import NamedTuple, Protocol

from retroprop.backends import Backend
from retroprop.core.architecture import Architecture
from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array
from retroprop.training.optimizers import Optimizer


class Stepped(NamedTuple):
    """What a step gives back.

    Attributes
    ----------
    parameters, state
        After the update.
    cost : array, 0-d
        J of the batch before the update.
    a : array (m, n_L)
        The output before the update.
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
        x: Array,
        y: Array,
        weight: Array | None,
        masks: tuple[Array | None, ...] | None,
    ) -> Stepped:
        """Propagate, send the error back, update."""


def bind(
    backend: Backend,
    architecture: Architecture,
    optimizer: Optimizer,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> Step:
    """Return the step, resolved once: no name is looked up and nothing is chosen while it runs.

    Parameters
    ----------
    backend : Backend
        Whose operations, fused formulas and captured steps are used.
    architecture : Architecture
        What is trained.
    optimizer : Optimizer
        The update rule.
    clip_norm, clip_value : float, optional
        What the gradients are held to.
    """
    # The learning rate is data of the step, not a part of it.
    rule = copy(optimizer)
    object.__setattr__(rule, "learning_rate", 1.0)
    try:
        return _bound(backend, architecture, rule, clip_norm, clip_value)
    except TypeError:  # an optimizer or a function from outside that cannot be hashed
        return _bound.__wrapped__(backend, architecture, rule, clip_norm, clip_value)


@lru_cache(maxsize=32)
def _bound(
    backend: Backend,
    architecture: Architecture,
    optimizer: Optimizer,
    clip_norm: float | None,
    clip_value: float | None,
) -> Step:
    operations = backend.operations()
    # The new θ and the new state may overwrite the old ones; the gradient, argument 1, stays.
    rule = backend.fuse(optimizer.formula, donate=(0, *range(2, 2 + optimizer.slots)))
    clips = clip_norm is not None or clip_value is not None

    def step(
        parameters: Parameters,
        state: tuple[Parameters, ...],
        hyper: tuple[float, ...],
        x: Array,
        y: Array,
        weight: Array | None,
        masks: tuple[Array | None, ...] | None,
    ) -> Stepped:
        trace = forward(operations, architecture, parameters, x, masks)
        found = backward(operations, architecture, parameters, trace, y, weight)
        gradients = found.parameters
        if clips:
            gradients = operations.clip(gradients, clip_norm, clip_value)
        parameters, state = operations.update(rule, parameters, gradients, state, hyper)
        return Stepped(parameters, state, found.cost, trace.a[-1])

    captured: Step = backend.capture(step, donate=(0, 1))
    return captured
