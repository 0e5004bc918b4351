"""Callbacks, and early stopping: they observe a training and may end it."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from retroprop.functions.metrics import Metric
from retroprop.functions.names import number
from retroprop.functions.types import Array
from retroprop.training.history import History

if TYPE_CHECKING:
    from retroprop.network import Network

HOOKS = ("on_fit_begin", "on_epoch_end", "on_fit_end")


@dataclass
class TrainingState:
    """The argument of a callback.

    Attributes
    ----------
    network : Network
        With its current parameters.
    history : History
        The epochs so far.
    epoch, epochs : int
        How many are finished, and how many were requested.
    n_updates : int
        How many updates were made.
    """

    network: "Network"
    history: History
    epochs: int
    epoch: int = 0
    n_updates: int = 0


def check(callbacks: Any) -> list[Any]:
    """Return the callbacks as a list; raise TypeError for an object that has none of the hooks."""
    listed = list(callbacks) if hasattr(callbacks, "__iter__") else [callbacks]
    for callback in listed:
        if not any(hasattr(callback, hook) for hook in HOOKS):
            raise TypeError(f"a callback has at least one of {', '.join(HOOKS)}; {callback!r} has none.")
    return listed


def call(callbacks: list[Any], hook: str, state: TrainingState) -> bool:
    """Call a hook of every callback that has it; return whether one of them returned True."""
    answers = [getattr(callback, hook)(state) for callback in callbacks if hasattr(callback, hook)]
    # NumPy's True counts; 1 and "yes" do not.
    return any(type(answer).__name__ in ("bool", "bool_") and bool(answer) for answer in answers)


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when the monitored figure no longer improves.

    Parameters
    ----------
    monitor : str
        "validation_cost", the name of one of the metrics of the training, or "cost": descend until it converges.
    patience : int
        The number of consecutive epochs without improvement that ends the training.
    tol : float
        The least improvement on the best figure so far that counts as one.
    restore_best : bool
        Whether the network ends with the parameters of the best epoch: those of its end or, where the epoch is one
        step and the figure comes from that step, those that the figure was measured at.
    """

    monitor: str = "validation_cost"
    patience: int = 10
    tol: float = 1e-4
    restore_best: bool = True

    def __post_init__(self) -> None:
        if not hasattr(self.patience, "__index__") or self.patience < 1:
            raise ValueError(f"patience of EarlyStopping must be a whole number, 1 or more, not {self.patience!r}.")
        if not 0.0 <= number("tol of EarlyStopping", self.tol) < inf:
            raise ValueError(f"tol of EarlyStopping must be 0 or above and finite, not {self.tol!r}.")

    def start(self, *, validates: bool, metrics: list[Metric]) -> "StoppingMonitor":
        """Return the monitor for one training; raise ValueError if the training has no figure of that name."""
        better_up = {metric.name: metric.greater_is_better for metric in metrics} | {"cost": False}
        if validates:
            better_up["validation_cost"] = False
        if self.monitor not in better_up:
            raise ValueError(
                f"early_stopping monitors {self.monitor!r}, and this training has only {', '.join(better_up)}."
                + ("" if validates else " Pass validation_data=(x, y) to have a validation_cost.")
            )
        sign = -1.0 if better_up[self.monitor] else 1.0
        return StoppingMonitor(self, sign, of_own_steps=self.monitor == "cost" or not validates)


class StoppingState(NamedTuple):
    """The state of early stopping.

    Attributes
    ----------
    best : float
        The best figure so far, with the sign that makes smaller better.
    best_epoch : int or None
        Its epoch, counted from 1.
    waited : int
        The number of epochs since the last that improved by more than the tolerance.
    parameters : array (n,) or None
        The parameters of the best epoch, joined; None if they are not to be restored.
    """

    best: float = inf
    best_epoch: int | None = None
    waited: int = 0
    parameters: Array | None = None


@dataclass(frozen=True)
class StoppingMonitor:
    """Early stopping in one training: its rule, and the figure it monitors; its state is a `StoppingState`.

    Attributes
    ----------
    rule : EarlyStopping
        The user's options.
    sign : float
        −1 where a greater figure is better.
    of_own_steps : bool
        Whether the figure is measured by the steps of the epoch, before their updates.
    """

    rule: EarlyStopping
    sign: float
    of_own_steps: bool

    def after(self, stopping: StoppingState, state: TrainingState, measured: Array) -> StoppingState:
        """Return the state after the epoch just finished, whose figure belongs to the parameters `measured`."""
        history = state.history
        series = {"cost": history.cost, "validation_cost": history.validation_cost} | history.metrics
        value = self.sign * series[self.rule.monitor][-1]
        waited = 0 if value < stopping.best - self.rule.tol else stopping.waited + 1
        if not value < stopping.best:
            return stopping._replace(waited=waited)
        return StoppingState(value, state.epoch, waited, measured if self.rule.restore_best else None)

    def is_out(self, stopping: StoppingState) -> bool:
        """Return whether the patience is used up."""
        return stopping.waited >= self.rule.patience
