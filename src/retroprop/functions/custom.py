"""The check of custom activations and losses by central differences, once, when the network is built."""

from collections.abc import Callable

from retroprop.functions.activations import Activation, CustomActivation
from retroprop.functions.losses import CustomLoss, Loss
from retroprop.functions.types import Array, Namespace, RandomGenerator

_STEP = 1e-6
_TOLERANCE = 1e-5


def check_activation(activation: Activation, rng: RandomGenerator, xp: Namespace) -> None:
    """Raise if a custom activation's derivative is not that of its value.

    Parameters
    ----------
    activation : Activation
        Only a `CustomActivation` is checked.
    rng : Generator
        Draws the points.
    xp : namespace
        The namespace of host arrays; the points are float64.

    Raises
    ------
    ValueError
        If the shape of value or derivative is not that of z, or the two disagree.
    """
    if not isinstance(activation, CustomActivation):
        return
    z = rng.uniform(-2.0, 2.0, (8, 5))
    a = activation.value(z, xp)
    name = f"activation {activation.name!r}"
    _same_shape(f"value(z, xp) of the {name}", a, z.shape)
    try:
        derivative = activation.derivative(z if activation.needs_z else None, a, xp)
    except (TypeError, AttributeError) as error:
        if activation.needs_z:
            raise
        message = f"derivative(z, a, xp) of the {name} failed with z=None; if it reads z, set needs_z = True ({error})."
        raise TypeError(message) from error
    _same_shape(f"derivative(z, a, xp) of the {name}", derivative, z.shape)
    _compare(name, "z", z, derivative, lambda at: activation.value(at, xp), xp)


def check_loss(loss: Loss, n_outputs: int, rng: RandomGenerator, xp: Namespace) -> None:
    """Raise if a custom loss's derivative is not that of its value; see `check_activation`."""
    if not isinstance(loss, CustomLoss):
        return
    a, y = rng.uniform(0.1, 0.9, (8, n_outputs)), rng.uniform(0.1, 0.9, (8, n_outputs))
    name = f"loss {loss.name!r}"
    _same_shape(f"value(a, y, xp) of the {name} (one number an observation)", loss.value(a, y, xp), (8,))
    derivative = loss.derivative(a, y, xp)
    _same_shape(f"derivative(a, y, xp) of the {name}", derivative, a.shape)
    for output in range(n_outputs):
        # One output varies at a time; the others are constant.
        along = xp.zeros(n_outputs)
        along[output] = 1.0

        def moved(by: Array, along: Array = along) -> Array:
            return loss.value(a + by[:, None] * along, y, xp)

        _compare(name, f"a[:, {output}]", xp.zeros(8), derivative[:, output], moved, xp)


def _same_shape(what: str, array: Array, shape: tuple[int, ...]) -> None:
    if getattr(array, "shape", None) != shape:
        raise ValueError(f"{what} has the shape {getattr(array, 'shape', None)}, not {shape}.")


def _compare(name: str, of: str, at: Array, derivative: Array, value: Callable[[Array], Array], xp: Namespace) -> None:
    difference = (value(at + _STEP) - value(at - _STEP)) / (2.0 * _STEP)
    error = xp.abs(derivative - difference) / xp.maximum(xp.abs(difference), 1.0)
    worst = float(xp.max(error))
    if not worst <= _TOLERANCE:
        raise ValueError(
            f"the derivative of the {name} is not that of its value: with respect to {of} it is off by "
            f"{worst:.2g} (relative to central differences; at most {_TOLERANCE:g} is accepted)."
        )
