"""The check of an epoch for numbers that are not finite, and the error that reports them."""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from retroprop.training.history import DivergenceError, History


class Fault(NamedTuple):
    """The first number of an epoch that is not finite.

    Attributes
    ----------
    place : str
        Its place, and its value.
    batch : int
        Its batch, counted from 1.
    at_start : bool
        Whether the parameters at fault are those that the epoch started with, so that those before are the last good.
    """

    place: str
    batch: int
    at_start: bool = False


def fault_of(costs: Sequence[float], *, finite: bool) -> Fault | None:
    """Return the fault of the costs of an epoch's batches, or of the parameters after its last update."""
    n = len(costs)
    if finite and isfinite(sum(costs)):  # as a rule; a sum that overflows is looked into
        return None
    for batch, value in enumerate(costs, start=1):
        if not isfinite(value):
            # At the first batch the parameters at fault are those that the epoch started with.
            return Fault(f"batch {batch} of {n}, the cost is {value}", batch, at_start=batch == 1)
    return None if finite else Fault(f"batch {n} of {n}, a parameter is not finite after the update", n)


def fault_of_validation(cost: float | None, n: int) -> Fault | None:
    """Return the fault of the validation cost after an epoch of n batches."""
    if cost is None or isfinite(cost):
        return None
    return Fault(f"batch {n} of {n}, the validation cost is {cost}", n)


def error_of(fault: Fault, *, finished: int, best_epoch: int | None, remedy: str, history: History) -> DivergenceError:
    """Return the error for a training of so many finished epochs, and write its end into the history.

    `best_epoch` is that of early stopping, whose parameters the network gets, None where it has none.
    """
    good = finished - 1 if fault.at_start else finished
    name = f"of the end of epoch {good}" if good > 0 else "it started with"
    if best_epoch is not None:
        history.best_epoch, name = best_epoch, f"of the best epoch, {best_epoch}"
    history.stop_reason = "diverged"
    place = f"at epoch {finished + 1}, {fault.place}"
    return DivergenceError(
        f"the training diverged: {place}. {remedy} The network has the parameters {name}.",
        epoch=finished + 1,
        batch=fault.batch,
        history=history,
    )
