"""A user's arrays: the kinds that are accepted, and the errors that name the kind that was given instead."""

from collections.abc import Sequence
from typing import Any

from retroprop.backends import host
from retroprop.backends.backend import Backend
from retroprop.functions.types import Array


def take_in(
    backend: Backend, x: Any, *, name: str, dtype: str | None, check: bool = False, in_rows: bool = False
) -> Array:
    """Return `x` as an array of `backend`: arrays that live there, and host arrays or lists of any real dtype.

    Parameters
    ----------
    backend : Backend
        The backend the result is on.
    x : array, nested sequence or frame
        Text, objects and complex numbers are refused, and so are arrays of another library or device.
    name : str
        The user's name for it, for the messages.
    dtype : str or None
        The dtype it is cast to; None keeps its own.
    check : bool
        Whether an array on a device is checked for NaN and inf, which waits for the device; host input always is.
    in_rows : bool
        Whether host input is brought into C order, see `host.in_rows`.

    Raises TypeError for another library, device or kind of data, ValueError for NaN or inf.
    """
    if type(x) is not host.xp.ndarray:  # by far the most frequent kind
        refuse_tensor(x, name)
    if host.is_host(x):
        return backend.asarray(take_host(x, name=name, dtype=dtype, in_rows=in_rows))
    if not backend.owns(x):
        raise TypeError(_elsewhere(backend, x, name))
    if not backend.xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{name} must hold real numbers; this is {backend.dtype_name(x)}.")
    if check and backend.xp.isdtype(x.dtype, "real floating") and not holds(backend, backend.xp.isfinite(x)):
        _refuse_not_finite(backend.to_numpy(x), name)
    return x if dtype is None else backend.asarray(x, dtype)


def take_host(x: Any, *, name: str, dtype: str | None, first: int = 0, in_rows: bool = False) -> Array:
    """Return host input as a finite NumPy array, cast here so that no other library meets a dtype it lacks.

    `first` is the index of its first row in the array that the user calls `name`.

    Raises TypeError for text, objects or complex numbers, ValueError for NaN, inf, or numbers too large for it.
    """
    given = host.as_host(x, name)
    _refuse_not_finite(given, name, first)
    if dtype is None or given.dtype == host.xp.dtype(dtype):
        return host.in_rows(given) if in_rows else given
    with host.quiet():
        cast = given.astype(dtype, order="C" if in_rows else "K", copy=False)
    if not host.all_finite(cast):
        place = host.first_not_finite(cast)
        raise ValueError(f"{name}[{_index(place, first)}] is {given[place]}, too large for {dtype}.")
    return cast


def holds(backend: Backend, condition: Array) -> bool:
    """Return whether a boolean array is True everywhere, or has no values yet; this waits for the device."""
    with backend.active():
        return backend.is_traced(condition) or bool(backend.to_numpy(backend.xp.all(condition)))


def read(backend: Backend, numbers: Sequence[Array]) -> list[float]:
    """Return the elements of arrays of one dtype, in order, as Python floats; this waits for the device, once."""
    return backend.to_numpy(backend.xp.concat(numbers, axis=None)).tolist()  # type: ignore[no-any-return]


def refuse_tensor(x: Any, name: str) -> None:
    """Raise TypeError for a sparse tensor of PyTorch's, and for one, or a list of them, that requires a gradient."""
    for row in x if isinstance(x, (list, tuple)) else (x,):
        one = row[0] if isinstance(row, (list, tuple)) and row else row
        if hasattr(one, "requires_grad") and "sparse" in str(one.layout):
            raise TypeError(f"{name} is a sparse tensor, {one.layout}: pass {name}.to_dense().")
        if getattr(one, "requires_grad", False) is True:
            raise TypeError(
                f"{name} requires a gradient, and PyTorch does not differentiate the results: pass {name}.detach(). "
                "∂J/∂x is net.gradient(x, y, wrt_input=True).x, and of an estimator input_gradient(X, y)."
            )


def _elsewhere(backend: Backend, x: Any, name: str) -> str:
    if not hasattr(x, "__array_namespace__") and not hasattr(x, "device"):
        return (
            f"{name} must be an array of {backend}, or a NumPy array, list or data frame of real numbers, not "
            f"{type(x).__module__}.{type(x).__name__}."
        )
    library = type(x).__module__.partition(".")[0]
    return (
        f"{name} is an array of {library} on {getattr(x, 'device', 'its own device')}, and this network lives on "
        f"{backend}. Move one: net.to(...) takes the network where the data live, and host data go everywhere."
    )


def _refuse_not_finite(array: Array, name: str, first: int = 0) -> None:
    if not host.all_finite(array):
        place = host.first_not_finite(array)
        raise ValueError(f"{name} must be finite; {name}[{_index(place, first)}] is {array[place]}.")


def _index(place: tuple[int, ...], first: int) -> str:
    return ", ".join(str(i + first if axis == 0 else i) for axis, i in enumerate(place))
