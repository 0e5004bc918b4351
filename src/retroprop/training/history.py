"""The history of a training: lists of Python floats, one per epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(repr=False)
class History:
    """The figures of a training, epoch by epoch.

    Attributes
    ----------
    cost : list of float
        Σ W_b J_b / Σ W_b over the batches of the epoch, each measured before its update.
    validation_cost : list of float
        J of the validation data after the epoch; empty without such data.
    metrics : dict of list of float
        Each metric, of the validation data where given, else of the outputs of the epoch's own steps.
    learning_rate : list of float
        η of the last update of the epoch; 1 for L-BFGS, which has none.
    seconds : list of float
        The duration of the epoch.
    best_epoch : int or None
        The epoch whose parameters early stopping restored, counted from 1.
    stop_reason : str
        "epochs", "early_stopping", "callback", "interrupted" or, by SIGTERM or SIGUSR1 in a training with checkpoints,
        "terminated"; of L-BFGS also "converged" and "stalled"; "diverged"
        in the history a `DivergenceError` holds, "error" in that of any other error.
    peak_memory : int or None
        The peak of the device memory of this process in bytes; None where the device uses the host's memory.
    error : DivergenceError or None
        Of a network that diverged in `fit_many`, which trains the others on, the error that `fit` would have raised.
    models : list of History
        Of a network with a model axis the history of each model; empty for a single one.
    continuation : Continuation or None
        The point from which `resume_from` goes on: while the history lives, so do the state of the optimizer and the
        data. None after a divergence, or an interruption in the middle of an update.
    """

    cost: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    stop_reason: str = "epochs"
    peak_memory: int | None = None
    error: "DivergenceError | None" = field(default=None, repr=False, compare=False)
    models: "list[History]" = field(default_factory=list, repr=False)
    continuation: Any = field(default=None, repr=False, compare=False)

    def append(
        self,
        *,
        cost: float,
        validation_cost: float | None,
        metrics: dict[str, float],
        learning_rate: float,
        seconds: float,
    ) -> None:
        """Add an epoch."""
        self.learning_rate.append(learning_rate)
        self.seconds.append(seconds)
        for name, value in metrics.items():
            self.metrics[name].append(value)
        if validation_cost is not None:
            self.validation_cost.append(validation_cost)
        self.cost.append(cost)

    def __repr__(self) -> str:
        ends = {"cost": self.cost, "validation_cost": self.validation_cost} | self.metrics
        figures = "".join(f", {k} {v[0]:.4g} -> {v[-1]:.4g}" for k, v in ends.items() if v)
        return f"<History of {len(self)} epochs{figures}; ended by {self.stop_reason!r}>"

    def __len__(self) -> int:
        """Return the number of finished epochs."""
        return len(self.cost)


class DivergenceError(ArithmeticError):
    """The cost is no longer finite.

    Attributes
    ----------
    epoch, batch : int
        The place of the first such cost, counted from 1.
    history : History
        The finished epochs.
    model : TabularModel or None
        The whole model with the last good parameters, where `retroprop.tabular.fit` trained it.
    """

    model: Any = None

    def __init__(self, message: str, *, epoch: int, batch: int, history: History) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.batch = batch
        self.history = history


@contextmanager
def kept(history: History) -> Iterator[None]:
    """Attach the history to an error that ends a training, such as that of a callback, as its attribute `history`."""
    try:
        yield
    except DivergenceError:
        raise  # it has the history already
    except Exception as error:
        history.stop_reason = "error"
        error.history = history  # type: ignore[attr-defined]
        error.add_note(
            "The network has the parameters of the last epoch whose steps were completed, and the history of "
            f"{len(history)} epochs is this error's attribute `history`."
        )
        raise
