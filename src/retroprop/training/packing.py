"""The state of a training as plain values and arrays of the host, and back: for a file, or for a pickle."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from retroprop.backends import Backend, host
from retroprop.backends.intake.batch import Batch
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array
from retroprop.training.callbacks import StoppingState
from retroprop.training.course import Course
from retroprop.training.lbfgs import Pair, Point, State

Kinds = Mapping[str, type[Any]]
KINDS: Kinds = {kind.__name__: kind for kind in (Batch, Course, Pair, Parameters, Point, State, StoppingState)}
"""The named tuples that the state of a training is made of."""
NOT_OURS = (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError, RecursionError)
"""The errors of values that `Packing` did not make."""
_MANY = 16  # whole numbers, from which on they are an array


class Packing:
    """Nested tuples of plain values and arrays, as plain values that name arrays of the host.

    Parameters
    ----------
    backend : Backend
        The arrays live there, or on the host.

    Attributes
    ----------
    tensors : dict of array
        The arrays, on the host, by name.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend, self.tensors = backend, dict[str, Array]()
        self._names: dict[int, tuple[str, Any]] = {}  # with the array itself, so that no other takes its place

    def plain(self, value: Any, name: str) -> Any:
        """Return a value as plain values; its arrays are added under names that begin with `name`."""
        if hasattr(value, "dtype"):
            return self._array(value, name)
        if isinstance(value, float) and not isfinite(value):
            return {"float": str(value)}
        if hasattr(value, "_fields"):
            parts = {part: self.plain(getattr(value, part), f"{name}.{part}") for part in value._fields}
            return {"kind": type(value).__name__, "parts": parts}
        if isinstance(value, dict):
            return {"dict": {key: self.plain(part, f"{name}.{key}") for key, part in value.items()}}
        if isinstance(value, tuple):
            if len(value) > _MANY and all(type(part) is int and abs(part) < 2**63 for part in value):
                self.tensors[name] = host.xp.asarray(value, dtype="int64")
                return {"integers": name}
            return [self.plain(part, f"{name}.{i}") for i, part in enumerate(value)]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"a checkpoint cannot hold {name}, an object of {type(value).__name__}.")

    def _array(self, value: Array, name: str) -> dict[str, Any]:
        """Return the description of an array; one that is there already is not stored twice."""
        there = self.backend.owns(value)
        if id(value) not in self._names:
            array = self.backend.to_numpy(value) if there else host.xp.asarray(value)
            self.tensors[name] = array
            self._names[id(value)] = name, value
        name = self._names[id(value)][0]
        # The bits of a matrix product depend on the memory order of its operands.
        columns = self.tensors[name].ndim > 1 and not self.tensors[name].flags.c_contiguous
        return {"tensor": name, "host": not there, "order": "F" if columns else "C"}


class Unpacking:
    """The inverse of `Packing`: values whose arrays live on a backend, in memory of their own."""

    def __init__(self, backend: Backend, tensors: Mapping[str, Array], kinds: Kinds) -> None:
        self.backend, self.tensors, self.kinds = backend, tensors, kinds

    def value(self, plain: Any) -> Any:
        """Return the value.

        Raises KeyError, TypeError or ValueError where it is not one that `Packing` made.
        """
        if isinstance(plain, list):
            return tuple(map(self.value, plain))
        if not isinstance(plain, dict):
            return plain
        if "tensor" in plain:
            array = host.xp.array(self.tensors[plain["tensor"]], order=plain["order"])
            return (array if array.ndim else array[()]) if plain["host"] else self.backend.asarray(array)
        if "integers" in plain:
            return tuple(self.tensors[plain["integers"]].tolist())
        if "float" in plain:
            return float(plain["float"])
        if "dict" in plain:
            return {key: self.value(part) for key, part in plain["dict"].items()}
        return self.kinds[plain["kind"]](**{part: self.value(one) for part, one in plain["parts"].items()})
