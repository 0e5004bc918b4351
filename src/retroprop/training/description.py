"""The description of a training: everything that it must have in common with one that goes on from it."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from math import isfinite
from types import FunctionType
from typing import Any

from retroprop._version import __version__
from retroprop.backends import Backend, host, host_backend
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.core.architecture import Architecture
from retroprop.functions.schedules import Schedule
from retroprop.functions.types import Array

PART = 2**24  # bytes that are hashed at a time
SHORT = 100  # elements of an array that is described by its numbers
_ANY = ("seed", None)  # a training goes on with the generator that it has, whatever the first seed was


def described(thing: Any, depth: int = 4) -> Any:
    """Return an argument as plain values: the type and the options of an object, the name of a function."""
    if hasattr(thing, "item") and not getattr(thing, "ndim", 0):
        thing = thing.item()  # a scalar of NumPy
    if isinstance(thing, float) and not isfinite(thing):
        return str(thing)
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, (list, tuple)):
        return [described(one, depth) for one in thing]
    if isinstance(thing, dict):
        return {str(key): described(one, depth) for key, one in thing.items()}
    if isinstance(thing, host.xp.ndarray):
        return described(thing.tolist()) if thing.size <= SHORT else fingerprint(host_backend(), thing)
    if isinstance(thing, (FunctionType, type)):
        return thing.__qualname__
    if is_dataclass(thing):
        parts = {one.name: getattr(thing, one.name) for one in fields(thing) if one.init}
    else:
        own = vars(thing) if hasattr(thing, "__dict__") else {}
        parts = {name: one for name, one in own.items() if not name.startswith("_")}
    # The attributes of a user's object may be anything, and refer to one another.
    found = {name: described(one, depth - 1) for name, one in parts.items()} if depth else {}
    return {"type": type(thing).__qualname__} | found


def of_network(architecture: Architecture, backend: Backend, dtype: str) -> dict[str, Any]:
    """Return the description of a network, and of its backend."""
    library, _, device = str(backend).partition(":")
    return {
        "layer_sizes": list(architecture.layer_sizes),
        "hidden": described(architecture.hidden),
        "output": described(architecture.output.activation),
        "loss": described(architecture.output.loss),
        "bias": architecture.bias,
        "l2": described(architecture.l2),
        "l1": described(architecture.l1),
        "dropout": described(architecture.dropout),
        "dtype": dtype,
        # The number of a device is not the training's: after a restart it may be another.
        "backend": ":".join([library, *(part for part in device.split(":") if part and not part.isdigit())]),
        "retroprop": ".".join(__version__.split(".")[:2]),
    }


def of_seed(seed: Any) -> Any:
    """Return the description of a seed: a number, None, or the kind of a generator."""
    generator = getattr(seed, "bit_generator", None)
    return described(seed) if generator is None else type(generator).__name__


def check_schedule(schedule: Schedule) -> None:
    """Raise TypeError for a schedule whose state would be lost."""
    kind = type(schedule)
    if kind.observe is not Schedule.observe and kind.run_state is Schedule.run_state:
        raise TypeError(
            f"the schedule {kind.__name__} observes the cost and has no `run_state`, so a training cannot go on with "
            "it: define the property `run_state`, a tuple of numbers, and `start(state)`."
        )


def fingerprint(backend: Backend, array: Any, rows: Array | None = None) -> str | None:
    """Return a hash of dtype, shape and numbers of an array, or of some `rows` of it; None for None.

    A large one is read part by part.
    """
    if array is None:
        return None
    from hashlib import sha256

    dtype = str(array.dtype).rpartition(".")[2]
    m = array.shape[0] if rows is None else len(rows)
    digest = sha256(f"{dtype} {(m, *array.shape[1:])}".encode())
    for part in _parts(backend, array, rows):
        digest.update(part.tobytes())
    return digest.hexdigest()


def _parts(backend: Backend, array: Any, own: Array | None) -> Iterator[Array]:
    """Yield the rows of an array, or its `own` ones, a part at a time, on the host."""
    m = array.shape[0] if own is None else len(own)
    a_row = 8 * max(1, *array.shape[1:], 1)
    rows = max(PART // a_row, 1)
    for at in range(0, m, rows):
        window = slice(at, min(at + rows, m))
        if isinstance(array, Mapped):
            part = host.xp.empty((window.stop - at, *array.shape[1:]), array.dtype)
            array.read(window if own is None else own[window], part)
            yield part
        elif own is None:
            yield backend.to_numpy(array[window, ...])
        else:
            yield backend.to_numpy(backend.xp.take(array, backend.asarray(own[window]), axis=0))


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the first field in which two descriptions differ, with both values; an empty text for none.

    A number is named before the objects that may follow from it, as a schedule from the size of the batches.
    """
    names = {**now, **before}
    for name in sorted(names, key=lambda name: isinstance(now.get(name), dict)):
        was, is_now = before.get(name), now.get(name)
        if was != is_now and (name, is_now) != _ANY:
            if name in DATA:
                return f"{name} holds other data now"
            return _named(name, was, is_now)
    return ""


def _named(name: str, was: Any, is_now: Any) -> str:
    """Return the first difference of two values, of two objects of one type that of an option of theirs."""
    if isinstance(was, dict) and isinstance(is_now, dict) and was.get("type") == is_now.get("type"):
        for part in {**is_now, **was}:
            if was.get(part) != is_now.get(part):
                return _named(f"{name}.{part}", was.get(part), is_now.get(part))
    return f"{name} was {_shown(was)}, and is {_shown(is_now)} now"


DATA = ("x", "y", "sample_weight", "validation x", "validation y", "validation sample_weight", "validation rows")
"""The fields that are fingerprints of arrays."""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:116]} ..."
