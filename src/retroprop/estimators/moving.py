"""Copies of a fitted estimator, on the same or another device, and pickles, with all its arrays on the host."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from sklearn.utils.validation import check_is_fitted

from retroprop.backends import Backend, backend_of, get_backend
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


class Moving:
    """The copies, moves and pickles of both estimators."""

    coefs_: list[Array]
    _optimizer: Solver

    def _backend(self) -> Backend:
        return backend_of(self.coefs_[0])

    def __copy__(self) -> Any:
        """Return an estimator with the same attributes, on the same device."""
        found = type(self).__new__(type(self))
        # A bound step has buffers, and a further fit changes arrays and lists in place: two estimators share neither.
        found.__dict__.update({name: value for name, value in vars(self).items() if name != "_bound"})
        of_its_own(found)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return an independent copy, on the same device."""
        found: Any = copy(self)
        memo[id(self)] = found
        on_device = {name: vars(found)[name] for name in ATTRIBUTES if name in vars(found)}
        found.__dict__.update({n: v if n in on_device else deepcopy(v, memo) for n, v in vars(found).items()})
        if "_optimizer" in vars(found):  # whose rate is compared with the parameters of the estimator
            found._optimizer = replace(found._optimizer, rate=deepcopy(found._optimizer.rate, memo))
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, with all arrays on the host, so that it loads without the device."""
        state: dict[str, Any] = {**super().__getstate__()}  # type: ignore[dict-item]
        state.pop("_bound", None)
        return on_host(state)

    def _move_to(self, backend: Backend, dtype: str) -> None:
        """Move the parameters to the data of a further fit."""
        old = self._backend()

        def moved(array: Array) -> Array:
            return backend.asarray(array if old == backend else old.to_numpy(array), dtype)

        # The moments of the solver and the best weights move along: a further fit continues from them.
        if old != backend or old.dtype_name(self.coefs_[0]) != dtype:
            for name in ATTRIBUTES:
                if hasattr(self, name):
                    setattr(self, name, with_arrays(getattr(self, name), moved))

    def to(self, backend: Any) -> Any:
        """Return a copy of this fitted estimator that lives on another backend ("numpy", "torch:cuda:0", ...)."""
        check_is_fitted(self)
        moved = copy(self)
        moved._move_to(get_backend(backend), self._backend().dtype_name(self.coefs_[0]))
        return moved


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
