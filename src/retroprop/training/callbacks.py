"""What may watch and stop a training: callbacks, and early stopping."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from retroprop.core.parameters import Parameters
from retroprop.functions.metrics import Metric
from retroprop.functions.names import number
from retroprop.training.history import History

if TYPE_CHECKING:
    from retroprop.network import Network

HOOKS = ("on_fit_begin", "on_epoch_end", "on_fit_end")


@dataclass
class TrainingState:
    """What a callback is given.

    Attributes
    ----------
    network : Network
        With the parameters as they stand.
    history : History
        The epochs so far.
    epoch, epochs : int
        How many are done, and how many were asked for.
    n_updates : int
        How many updates are done.
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
    """Call a hook of every callback that has it; return whether one of them said True."""
    answers = [getattr(callback, hook)(state) for callback in callbacks if hasattr(callback, hook)]
    # NumPy's True is one too; 1 and "yes" are none.
    return any(type(answer).__name__ in ("bool", "bool_") and bool(answer) for answer in answers)


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when what is monitored no longer improves.

    Parameters
    ----------
    monitor : str
        "validation_cost", the name of one of the metrics asked for, or "cost": descend until it converges.
    patience : int
        How many epochs in a row without improvement end the training.
    tol : float
        An epoch improves on the best so far by more than this, or it does not count as improving.
    restore_best : bool
        Whether the network ends with the parameters of the best epoch: those of its end, or where it is one step
        and the figure comes from that step, those the figure was measured at.
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

    def start(self, *, validates: bool, metrics: list[Metric]) -> "Watch":
        """Return the watch over one training; raise ValueError if there is nothing of that name to monitor."""
        better_up = {metric.name: metric.greater_is_better for metric in metrics} | {"cost": False}
        if validates:
            better_up["validation_cost"] = False
        if self.monitor not in better_up:
            raise ValueError(
                f"early_stopping monitors {self.monitor!r}, and this training has only {', '.join(better_up)}."
                + ("" if validates else " Pass validation_data=(x, y) to have a validation_cost.")
            )
        sign = -1.0 if better_up[self.monitor] else 1.0
        return Watch(self, sign, of_own_steps=self.monitor == "cost" or not validates)


@dataclass
class Watch:
    """Early stopping over one training."""

    rule: EarlyStopping
    sign: float
    of_own_steps: bool
    best: float = inf
    best_epoch: int | None = None
    waited: int = 0
    parameters: Parameters | None = field(default=None, repr=False)

    def wants_stop(self, state: TrainingState, measured: Callable[[], Parameters]) -> bool:
        """Take note of the epoch just done, whose figures belong to `measured()`; return whether patience is out."""
        history = state.history
        series = {"cost": history.cost, "validation_cost": history.validation_cost} | history.metrics
        value = self.sign * series[self.rule.monitor][-1]
        self.waited = 0 if value < self.best - self.rule.tol else self.waited + 1
        if value < self.best:
            self.best, self.best_epoch = value, state.epoch
            if self.rule.restore_best:
                self.parameters = measured()
        return self.waited >= self.rule.patience
