"""The labels of classes as NumPy arrays that hold them exactly: integers of any size, texts, booleans, floats."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def exact(labels: Sequence[Any]) -> NDArray[Any]:
    """Return labels as an array of the narrowest dtype that changes none: bool, int64, uint64, float64, str, or object.

    Examples
    --------
    >>> exact([9007199254740993, 1]).dtype, exact(["01", "1"])[0] == "01", exact([True, 1]).dtype
    (dtype('int64'), np.True_, dtype('O'))
    """
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    (kind, *others) = {type(label) for label in labels} or {object}
    if others:
        return array
    if kind is int:
        for dtype in (np.int64, np.uint64):
            limits = np.iinfo(dtype)
            if limits.min <= min(labels) and max(labels) <= limits.max:
                return array.astype(dtype)
        return array
    # NumPy cuts zero characters off the end of a str.
    if kind in (bool, float) or (kind is str and not any(label.endswith("\0") for label in labels)):
        return array.astype(kind)
    return array


def ordered(labels: Sequence[Any]) -> tuple[Any, ...]:
    """Return the different labels in order; labels of several types that cannot be compared, by type and then text."""
    different = list(dict.fromkeys(labels))
    try:
        return tuple(sorted(different))
    except TypeError:
        return tuple(sorted(different, key=lambda label: (type(label).__name__, str(label))))
