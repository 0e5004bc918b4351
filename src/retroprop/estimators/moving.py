"""A fitted estimator somewhere else: on another device, or pickled, with all its arrays on the host."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from retroprop.core.parameters import Parameters
from retroprop.estimators.arrays import backend_holding
from retroprop.estimators.stopping import Solver
from retroprop.functions.types import Array

ATTRIBUTES = ("coefs_", "intercepts_", "_best", "_optimizer")
"""What holds arrays of the device; classes and labels stay on the host."""


def with_arrays(value: Any, change: Callable[[Array], Array]) -> Any:
    """Return a fitted attribute with every array changed."""
    if isinstance(value, Solver):
        return replace(value, state=tuple(with_arrays(part, change) for part in value.state))
    if isinstance(value, Parameters):
        return value.like(map(change, value.leaves))
    return [change(part) for part in value]


def on_host(state: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's attributes with the arrays of a device on the host, so that they load without it."""
    backend = backend_holding(state["coefs_"][0]) if "coefs_" in state else None
    if backend is None:
        return state
    return state | {name: with_arrays(state[name], backend.to_numpy) for name in ATTRIBUTES if name in state}
