"""Arguments of many trainings: one value for all of them, or a list with one for each."""

from collections.abc import Mapping, Set
from typing import Any

DATA = ("x", "y", "sample_weight")
SEQUENCES = ("metrics", "callbacks")


def per_model(name: str, given: Any, k: int) -> list[Any]:
    """Return an argument as a list of k values, one for each training.

    An argument is one value for all trainings unless it is a list of values. A list of values is

    * of x, y and sample_weight a list or tuple of arrays, frames or sources of batches (also of None); lists of numbers
      and of lists of numbers are data;
    * of rows a list or tuple of sequences (or None);
    * of validation_data a list; a tuple (x, y) or (x, y, sample_weight) is one value;
    * of metrics and callbacks a list or tuple whose elements are lists or tuples;
    * of any other argument everything with a length and elements that is no text: a list, a tuple, a range, an array.

    Raises
    ------
    TypeError, ValueError
        For a list of another length than k, and for one that holds values and lists of values.
    """
    if not _is_list(name, given):
        return [given] * k
    if len(given) != k:
        rows = " Rows are passed as one array, as in numpy.stack(rows)." if name in DATA else ""
        raise ValueError(
            f"{name} is a list of {len(given)}, and there are {k} networks: pass one value for all of them, or one for "
            f"each.{rows}"
        )
    return list(given)


def _is_list(name: str, given: Any) -> bool:
    listed = isinstance(given, (list, tuple))
    if name in DATA:
        arrays = [_is_array(one) or callable(one) or hasattr(one, "__next__") for one in given] if listed else []
        if any(arrays) and not all(found or one is None for found, one in zip(arrays, given, strict=True)):
            raise TypeError(f"{name} is a list of arrays and of other things: one value for each network is an array.")
        return any(arrays) or (listed and len(given) > 0 and all(one is None for one in given))
    if name == "rows":
        return listed and any(one is None or hasattr(one, "__len__") for one in given)
    if name == "validation_data":
        if isinstance(given, list) and not all(one is None or isinstance(one, tuple) for one in given):
            raise TypeError(
                "validation_data is a list, and so one for each network: each must be a tuple (x, y) or "
                "(x, y, sample_weight), or None; one for all networks is such a tuple, not a list."
            )
        return isinstance(given, list)
    if name in SEQUENCES:
        inner = [isinstance(one, (list, tuple)) for one in given] if listed else []
        if any(inner) and not all(inner):
            raise TypeError(f"{name} is a list of lists and of other things: pass a list for each network, or one.")
        return any(inner)
    listed = hasattr(given, "__len__") and hasattr(given, "__iter__")
    return listed and not isinstance(given, (str, bytes, Mapping, Set)) and _has_axis(given)


def _is_array(one: Any) -> bool:
    """Return whether it is an array with axes, or a frame."""
    return hasattr(one, "shape") and len(one.shape) > 0


def _has_axis(given: Any) -> bool:
    return len(getattr(given, "shape", (1,))) > 0
