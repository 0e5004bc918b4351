"""The weights of classes, as weights of observations."""

from typing import Any

import numpy

from retroprop.functions.types import Array


def balanced(column: Array) -> dict[Any, float]:
    """Return n / (k n_c) for each of k classes, n_c of n rows: equal weights of all classes together."""
    classes, counts = numpy.unique(column, return_counts=True)
    return dict(zip(classes.tolist(), (len(column) / (len(counts) * counts)).tolist(), strict=True))


def checked(class_weight: Any, known: list[list[Any]]) -> list[dict[Any, float]]:
    """Return the given weights as one dict for each column of y, whose classes are `known`.

    Raises
    ------
    ValueError
        If they have another form, name a class that is not known, or are negative or not finite.
    """
    n = len(known)
    if isinstance(class_weight, dict) != (n == 1) or (n > 1 and len(class_weight) != n):
        wanted = "a dict" if n == 1 else f"a list of {n} dicts, one for each column of y"
        raise ValueError(f'class_weight must be {wanted}, or "balanced", not {class_weight!r}.')
    found = [class_weight] if isinstance(class_weight, dict) else list(class_weight)
    for one, classes in zip(found, known, strict=True):
        unknown = [c for c in one if c not in classes]
        if unknown:
            raise ValueError(f"class_weight has {unknown}, not among the classes {classes}.")
        if not all(0.0 <= value < numpy.inf for value in one.values()):
            raise ValueError(f"class_weight must be 0 or above and finite, not {class_weight!r}.")
    return found


def weights(column: Array, of_classes: dict[Any, float]) -> Array:
    """Return the weight of each label of a column; 1 for a class without a weight."""
    classes, which = numpy.unique(column, return_inverse=True)
    return numpy.asarray([of_classes.get(c, 1.0) for c in classes.tolist()], dtype="float64")[which]
