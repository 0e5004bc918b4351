"""A batch as the core takes it: inputs, targets and weights, checked against the network's shapes and loss."""

from math import isinf
from typing import Any, NamedTuple

from retroprop.backends import host
from retroprop.backends.backend import Backend
from retroprop.backends.intake.arrays import holds, take_in
from retroprop.backends.intake.mapped_file import NARROW, Mapped
from retroprop.backends.registry import host_backend
from retroprop.core.architecture import Architecture
from retroprop.functions.losses import Loss
from retroprop.functions.types import Array

INDEX_DTYPE = "int32"


class Batch(NamedTuple):
    """The data a network is evaluated on.

    Attributes
    ----------
    x : array (..., m, n_1), or Mapped
        One observation a row.
    y : array (..., m, n_L) or integer array (..., m)
        Target rows, or class indices.
    weight : array (..., m) or None
        The weights of the observations.
    """

    x: Array
    y: Array
    weight: Array | None


def take_inputs(
    backend: Backend,
    architecture: Architecture,
    dtype: str,
    x: Any,
    *,
    check: bool = False,
    as_stored: bool = False,
    name: str = "x",
) -> Array:
    """Return inputs of shape (..., m, n_1).

    `as_stored` is for rows that are gathered at each step: a mapped file then becomes a `Mapped`, integers of a
    `NARROW` dtype keep their dtype, and host arrays are in C order.

    Raises TypeError for another library, device or kind of data, ValueError for a wrong shape, no rows, NaN or inf.
    """
    if as_stored and host.is_mapped(x):
        x = Mapped(x, name=name, dtype=dtype)
    elif not isinstance(x, Mapped):
        narrow = as_stored and str(getattr(x, "dtype", "")).rpartition(".")[2] in NARROW
        x = take_in(backend, x, name=name, dtype=None if narrow else dtype, check=check, in_rows=as_stored)
    n_in = architecture.layer_sizes[0]
    if x.ndim < 2:
        raise ValueError(
            f"{name} must have two axes, one observation a row: shape (m, {n_in}); this has the shape "
            f"{tuple(x.shape)}. For one observation write {name}[None, :]."
        )
    if x.shape[-1] != n_in:
        raise ValueError(
            f"{name} has {x.shape[-1]} columns and the network {n_in} inputs (layer_sizes[0]); its shape is "
            f"{tuple(x.shape)}."
        )
    if x.shape[-2] == 0:
        raise ValueError(f"{name} is empty: its shape is {tuple(x.shape)}.")
    if isinstance(x, Mapped):
        x.check()
    return x


def take_targets(
    backend: Backend,
    architecture: Architecture,
    dtype: str,
    y: Any,
    rows: tuple[int, ...],
    *,
    check: bool = False,
    name: str = "y",
) -> Array:
    """Return targets for inputs whose shape without the last axis is `rows`.

    Raises TypeError for another library, device or kind of data, ValueError for a wrong shape, NaN or inf, or
    values the loss has no meaning for.
    """
    # Host data are checked and cast on the host: labels may have a dtype that only NumPy has.
    on_host = host.is_host(y)
    here, check = (host_backend(), True) if on_host else (backend, check)
    loss, n_out = architecture.output.loss, architecture.layer_sizes[-1]
    y = take_in(here, y, name=name, dtype=None, check=check)
    shape = tuple(y.shape)
    if shape == rows and loss.takes_indices:
        y = _class_indices(here, y, n_out, check=check, name=name)
    elif shape != (*rows, n_out) and (shape != rows or n_out != 1):
        one_axis = f" or class indices of shape {rows}" if loss.takes_indices else ""
        raise ValueError(
            f"{name} must have the shape {(*rows, n_out)}{one_axis} for this x and {n_out} output(s) with the loss "
            f"{loss.name!r}; it has the shape {shape}."
        )
    else:
        y = take_in(here, here.xp.reshape(y, (*rows, n_out)), name=name, dtype=dtype)
        if check:
            _check_values(here, y, loss, name=name)
    return backend.asarray(host.in_rows(y)) if on_host else y


def take_weights(
    backend: Backend,
    dtype: str,
    weight: Any,
    rows: tuple[int, ...],
    *,
    check: bool = False,
    some: bool = True,
    name: str = "sample_weight",
) -> Array | None:
    """Return the weights of the observations, shape `rows`, or None; `some` of them must be above 0.

    Raises TypeError for another library, device or kind of data, ValueError for a wrong shape, NaN or inf, negative
    weights, or weights that are all 0.
    """
    if weight is None:
        return None
    on_host = host.is_host(weight)
    here, check = (host_backend(), True) if on_host else (backend, check)
    weight = take_in(here, weight, name=name, dtype=dtype, check=check, in_rows=True)
    if tuple(weight.shape) != rows:
        raise ValueError(f"{name} must have one weight a row, shape {rows}; it has the shape {tuple(weight.shape)}.")
    if check:
        if not holds(here, weight >= 0.0):
            raise ValueError(f"{name} must be 0 or above; the least is {_extremes(here, weight)[0]}.")
        with here.active():
            total = here.xp.sum(weight)
        if some and not holds(here, total > 0.0):
            raise ValueError(
                f"{name} is 0 for every row, so none has a part in the cost: give at least one row a weight above 0, "
                f"or leave {name} out."
            )
        if not holds(here, here.xp.isfinite(total)):
            raise ValueError(f"{name} must have a sum that {dtype} can hold; make all weights smaller alike.")
    return backend.asarray(weight) if on_host else weight


def _class_indices(backend: Backend, y: Array, n_classes: int, *, check: bool, name: str) -> Array:
    xp = backend.xp
    if check and xp.isdtype(y.dtype, "real floating") and not holds(backend, y == xp.floor(y)):
        raise ValueError(f"{name} must hold class indices, whole numbers in [0, {n_classes}), or rows of them.")
    if not check and not xp.isdtype(y.dtype, ("integral", "bool")):
        raise TypeError(f"{name} must hold class indices of an integer dtype, not {backend.dtype_name(y)}.")
    if check and not (xp.isdtype(y.dtype, "bool") or (holds(backend, y >= 0) and holds(backend, y < n_classes))):
        least, largest = _extremes(backend, y)
        raise ValueError(
            f"{name} must hold class indices in [0, {n_classes}), one for each of the network's {n_classes} "
            f"outputs; these are from {least} to {largest}."
        )
    return backend.asarray(y, INDEX_DTYPE)


def _check_values(backend: Backend, y: Array, loss: Loss, *, name: str) -> None:
    """Raise unless the loss has a meaning for the targets."""
    xp, (low, high) = backend.xp, loss.target_range
    if not ((isinf(low) or holds(backend, y >= low)) and (isinf(high) or holds(backend, y <= high))):
        least, largest = _extremes(backend, y)
        raise ValueError(
            f"{name} must be in [{low:g}, {high:g}] for the loss {loss.name!r}; it is from {least} to {largest}."
        )
    if loss.takes_indices:
        off = xp.abs(xp.sum(y, axis=-1) - 1.0)
        if not holds(backend, off <= 4.0 * float(xp.finfo(y.dtype).eps) ** 0.5):
            raise ValueError(
                f"the rows of {name} must sum to 1 for the loss 'cross_entropy' (one-hot, or probabilities); one is "
                f"off by {_extremes(backend, off)[1]}."
            )


def _extremes(backend: Backend, array: Array) -> tuple[float, float]:
    """Return the least and the largest element."""
    return backend.to_numpy(backend.xp.min(array)).item(), backend.to_numpy(backend.xp.max(array)).item()
