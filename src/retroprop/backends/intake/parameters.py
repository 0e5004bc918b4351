"""A network's parameters: taken as copies on its backend, in its dtype and of its shapes, and shown as lists."""

from collections.abc import Sequence
from typing import Any

from retroprop.backends import host
from retroprop.backends.backend import Backend
from retroprop.backends.intake.arrays import take_in
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array

DTYPES = ("float32", "float64")


class Arrays(list[Array]):
    """A network's arrays, to read: `net.thetas = [...]` changes them, and checks their shapes."""

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("this list is a copy: assign a whole one, net.thetas = [...] or net.biases = [...].")


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype a network may have, given as a string or as a library's own object.

    Raises ValueError if it is another.
    """
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype)).rpartition(".")[2]
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}: a network needs real numbers.")
    return name


def dtype_of(theta: Any) -> str:
    """Return the dtype of a network made of this Θ: its own, "float32" for a list or integers."""
    own = str(getattr(theta, "dtype", "")).rpartition(".")[2]
    return own if own in DTYPES else "float32"


def shape_of(theta: Any, name: str) -> tuple[int, ...]:
    """Return the shape (..., to, from) of a Θ.

    Raises ValueError if it has fewer axes than two.
    """
    shape = tuple(theta.shape) if hasattr(theta, "shape") else tuple(host.as_host(theta, name).shape)
    if len(shape) < 2:
        raise ValueError(f"{name} must have two axes, (to, from); its shape is {shape}.")
    return shape


def take_parameters(
    backend: Backend, architecture: Architecture, dtype: str, thetas: Sequence[Any], biases: Sequence[Any]
) -> Parameters:
    """Return copies of the parameters given: Θ^(l) of shape (..., n_{l+1}, n_l), b^(l) of shape (..., n_{l+1}).

    Raises TypeError for another library, device or kind of data, ValueError for more or fewer arrays than the
    architecture has, other shapes, or different model axes.
    """
    shapes = architecture.shapes
    wanted = {"thetas": shapes, "biases": tuple(s[:1] for s in shapes) if architecture.bias else ()}
    taken, models = [], set()
    for name, arrays in (("thetas", thetas), ("biases", biases)):
        if len(arrays) != len(wanted[name]):
            raise ValueError(f"{name} must hold {len(wanted[name])} arrays, not {len(arrays)}.")
        for l, (array, shape) in enumerate(zip(arrays, wanted[name], strict=True)):
            array = array.detach() if getattr(array, "requires_grad", False) is True else array  # it is copied
            array = take_in(backend, array, name=f"{name}[{l}]", dtype=dtype)
            if tuple(array.shape[array.ndim - len(shape) :]) != shape:
                raise ValueError(f"{name}[{l}] must have the shape {shape}, not {tuple(array.shape)}.")
            models.add(tuple(array.shape[: array.ndim - len(shape)]))
            with backend.active():
                taken.append(backend.asarray(array, dtype, copy=True))
    if len(models) > 1:
        raise ValueError(f"thetas and biases must have the same model axes, not {sorted(models)}.")
    return Parameters(tuple(taken[: len(thetas)]), tuple(taken[len(thetas) :]))
