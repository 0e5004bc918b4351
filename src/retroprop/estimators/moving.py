"""Copies of a fitted estimator, on the same or another device, and pickles, with all its arrays on the host."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from retroprop.backends import Backend, backend_of
from retroprop.core.parameters import Parameters
from retroprop.estimators.arrays import backend_holding
from retroprop.estimators.stopping import Solver
from retroprop.functions.types import Array

ATTRIBUTES = ("coefs_", "intercepts_", "_best", "_optimizer")
"""The attributes that hold arrays of the device; classes and labels stay on the host."""


def with_arrays(value: Any, change: Callable[[Array], Array]) -> Any:
    """Return a fitted attribute with a function applied to every array."""
    if isinstance(value, Solver):
        state = tuple(with_arrays(part, change) for part in value.state)
        return replace(value, state=state, schedule=copy(value.schedule))
    if isinstance(value, Parameters):
        return value.like(map(change, value.leaves))
    return [change(part) for part in value]


CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")
"""The lists that a further fit appends to."""


def of_its_own(estimator: Any) -> None:
    """Copy the attributes that a further fit changes in place."""
    own = vars(estimator)
    if "coefs_" in own:
        change = partial(array_copy, backend_of(own["coefs_"][0]))
        own |= {name: with_arrays(own[name], change) for name in ATTRIBUTES if name in own}
    own |= {name: list(own[name]) for name in CURVES if own.get(name) is not None}


@contextmanager
def unchanged_before_an_update(estimator: Any) -> Iterator[None]:
    """Give an estimator back the attributes it had, if an error ends a fit before its first update."""
    before = dict(vars(estimator))
    # The parts that a fit changes in place.
    curves = {name: list(before[name]) for name in CURVES if before.get(name) is not None}
    try:
        yield
    except BaseException:
        own = vars(estimator)
        if "_has_updated" not in own:
            own.clear()
            own.update(before | curves)
        raise
    finally:
        vars(estimator).pop("_has_updated", None)


def array_copy(backend: Backend, array: Array) -> Array:
    """Return a copy of an array on its own device."""
    return backend.asarray(array, copy=True)


def on_host(state: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's attributes with all arrays on the host, so that they load without the device."""
    backend = backend_holding(state["coefs_"][0]) if "coefs_" in state else None
    if backend is None:
        return state
    return state | {name: with_arrays(state[name], backend.to_numpy) for name in ATTRIBUTES if name in state}
