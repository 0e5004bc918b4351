"""The training of one network of a group: all of it that does not lie in the group's arrays."""

from operator import mul
from time import perf_counter
from typing import NamedTuple

from retroprop.backends import host
from retroprop.functions import schedules
from retroprop.functions.types import Array
from retroprop.training.batches import mask_stream
from retroprop.training.callbacks import StoppingState, TrainingState
from retroprop.training.divergence import error_of, fault_of, fault_of_validation
from retroprop.training.history import History
from retroprop.training.preparation import Preparation
from retroprop.training.rows import among


class Outcome(NamedTuple):
    """The parameters that belong to a member after an epoch, by the names of the group's arrays.

    Attributes
    ----------
    best : str
        Those of the best epoch so far, empty unless this one is the best.
    final : str
        Those that the network ends with, empty while its training goes on.
    """

    best: str = ""
    final: str = ""


class Member:
    """One training of a group.

    Parameters
    ----------
    number : int
        Its place in the list of networks.
    preparation : Preparation
        Its arguments.
    weight : array (m,) or None
        The weights of the rows of the data, on the host.

    Attributes
    ----------
    epoch, n_updates, n_batches : int
        The finished epochs, all updates, and the batches done of the current epoch.
    costs : list of float
        J of those batches, as far as they were read from the device.
    order : integer array or None
        The rows of the data in the order of the current epoch, on the host; None for the order they are stored in.
    """

    def __init__(self, number: int, preparation: Preparation, weight: Array | None) -> None:
        self.number, self.preparation, self.net = number, preparation, preparation.net
        net = self.net
        self.schedule = schedules.get(preparation.rule.learning_rate).start()
        # The key of the masks is drawn before the first order.
        self.masks = mask_stream(net.backend, net.architecture, net.dtype, preparation.rng)
        self.windows = preparation.order.windows
        self.history = History(metrics={metric.name: [] for metric in preparation.metrics})
        self.state = TrainingState(net, self.history, preparation.epochs)
        self.stopping = StoppingState()
        self.epoch = self.n_updates = self.n_batches = 0
        self.costs: list[float] = []
        self.order: Array | None = None
        self.drawn: Array | None = None
        self.began = perf_counter()
        self._weight = weight
        self._rows = [float(window.stop - window.start) for window in self.windows]

    @property
    def collects(self) -> bool:
        """Whether its metrics are computed of the outputs of the steps."""
        return bool(self.preparation.metrics) and self.preparation.validation is None

    def begin_epoch(self) -> None:
        """Draw the order of the next epoch."""
        self.drawn = self.preparation.order.draw(self.preparation.rng, None)
        self.order = among(self.preparation.rows, self.drawn)
        self.costs, self.began = [], perf_counter()

    def rows(self, at: int, steps: int) -> Array:
        """Return the rows of the data of consecutive batches of one size, from batch `at` on."""
        window = slice(self.windows[at].start, self.windows[at + steps - 1].stop)
        return host.xp.arange(window.start, window.stop) if self.order is None else self.order[window]

    def size(self, at: int) -> int:
        """Return the number of rows of a batch, 0 after the last."""
        if at >= len(self.windows):
            return 0
        return int(self.windows[at].stop - self.windows[at].start)

    def close_epoch(self, validation_cost: float | None, metrics: dict[str, float], *, finite: bool) -> Outcome:
        """Write the epoch whose steps are done into the history; return which parameters belong to it."""
        preparation, costs, stopping = self.preparation, self.costs, self.stopping
        shares = self._shares()
        cost = sum(map(mul, shares, costs)) / sum(shares)
        learning_rate = float(self.schedule(self.n_updates - 1))
        fault = fault_of(costs, finite=finite) or fault_of_validation(validation_cost, len(costs))
        if fault is not None:
            remedy = preparation.rule.remedy(learning_rate)
            kept = stopping.parameters is not None
            best_epoch = stopping.best_epoch if kept else None
            error = error_of(fault, finished=self.epoch, best_epoch=best_epoch, remedy=remedy, history=self.history)
            self.history.error = error
            return Outcome(final="best" if kept else "good" if fault.at_start else "last")
        self.schedule.observe(cost if validation_cost is None else validation_cost)
        self.history.append(
            cost=cost,
            validation_cost=validation_cost,
            metrics=metrics,
            learning_rate=learning_rate,
            seconds=perf_counter() - self.began,
        )
        self.epoch += 1
        self.n_batches = 0
        return self._judged()

    def _judged(self) -> Outcome:
        """Let early stopping take the epoch into account."""
        monitor, best = self.preparation.monitor, ""
        ends = self.epoch >= self.preparation.epochs
        if monitor is not None:
            self.state.epoch = self.epoch
            before = self.stopping
            # As for one network: the figure of a single step belongs to the parameters before it.
            measured = "last" if len(self.windows) == 1 and monitor.of_own_steps else "current"
            self.stopping = monitor.after(before, self.state, measured)
            if self.stopping.best_epoch != before.best_epoch and monitor.rule.restore_best:
                best = measured
            if monitor.is_out(self.stopping):
                self.history.stop_reason, ends = "early_stopping", True
        return Outcome(best, self.best_or("current") if ends else "")

    def best_or(self, other: str) -> str:
        """Return the name of the parameters to end with: the best, if early stopping keeps them."""
        if self.stopping.parameters is None:
            return other
        self.history.best_epoch = self.stopping.best_epoch
        return "best"

    def _shares(self) -> list[float]:
        """Return W_b of the batches of the epoch: their rows, or the sums of their weights."""
        if self._weight is None:
            return self._rows
        own = self._weight if self.order is None else self._weight[self.order]
        return [float(own[window].sum()) for window in self.windows]
