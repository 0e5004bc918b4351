"""Learning rates as functions of the update count t = 0, 1, 2, ... (η in the updates).

A schedule is plain Python on the host: its value is data of a step, so that one captured step serves every learning
rate.
"""

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, field
from math import cos, inf, pi
from typing import Any

from retroprop.functions.names import number, plain_numbers


def _positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not 0.0 < value < inf:
            raise ValueError(f"{name} of {owner} must be above 0 and finite, not {value!r}.")


def _fraction(t: float, length: float) -> float:
    """Return t / length, at most 1. Without length only t = 0 is the start: a single update has the first rate."""
    return min(t / length, 1.0) if length > 0.0 else float(t > 0.0)


class Schedule(ABC):
    """The learning rate of each update. `start` returns the schedule of one run, `observe` ends an epoch of the run."""

    @property
    def run_state(self) -> tuple[float, ...]:
        """The state of a run as a value, from which `start` goes on; empty unless the schedule has a state."""
        return ()

    @abstractmethod
    def __call__(self, t: int) -> float:
        """Return the learning rate of update t (0 for the first)."""

    def start(self, state: tuple[float, ...] = ()) -> "Schedule":
        """Return the schedule for one run, with the `run_state` of another: itself, unless it has a state."""
        return self

    def observe(self, cost: float) -> None:
        """Record the cost of an epoch (of the validation data if given)."""


@dataclass(frozen=True)
class Constant(Schedule):
    """η_t = η."""

    learning_rate: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.learning_rate < inf:
            raise ValueError(f"learning_rate must be above 0 and finite, not {self.learning_rate!r}.")

    def __call__(self, t: int) -> float:
        return self.learning_rate


@dataclass(frozen=True)
class Step(Schedule):
    """η_t = η · factor^⌊t / every⌋: a drop after every `every` updates."""

    learning_rate: float
    every: int
    _: KW_ONLY
    factor: float = 0.1

    def __post_init__(self) -> None:
        plain_numbers(self)
        _positive("Step", learning_rate=self.learning_rate, every=self.every, factor=self.factor)

    def __call__(self, t: int) -> float:
        return self.learning_rate * self.factor ** (t // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """η_t = η · decay^t."""

    learning_rate: float
    decay: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        _positive("Exponential", learning_rate=self.learning_rate, decay=self.decay)

    def __call__(self, t: int) -> float:
        return float(self.learning_rate * self.decay**t)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """η_t = η / (1 + t)^power."""

    learning_rate: float
    _: KW_ONLY
    power: float = 0.5

    def __post_init__(self) -> None:
        plain_numbers(self)
        _positive("InverseScaling", learning_rate=self.learning_rate, power=self.power)

    def __call__(self, t: int) -> float:
        return float(self.learning_rate / (1 + t) ** self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """From η down to `final` along half a cosine (Loshchilov & Hutter 2017).

    η_t = final + ½ (η − final) (1 + cos(π t / (n_updates − 1))): the last of the `n_updates` updates has `final`, and
    so have those after it. PyTorch's CosineAnnealingLR is the same with T_max = n_updates − 1.
    """

    learning_rate: float
    n_updates: int
    _: KW_ONLY
    final: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        _positive("Cosine", learning_rate=self.learning_rate, n_updates=self.n_updates)
        if not 0.0 <= self.final <= self.learning_rate:
            raise ValueError(f"final of Cosine must be in [0, learning_rate], not {self.final!r}.")

    def __call__(self, t: int) -> float:
        phase = _fraction(t, self.n_updates - 1)
        return self.final + 0.5 * (self.learning_rate - self.final) * (1.0 + cos(pi * phase))


@dataclass(frozen=True)
class Warmup(Schedule):
    """A linear rise over `n_updates` to the first value of `then`, followed by `then`.

    η_t = then(0) · (t + 1) / (n_updates + 1) for t < n_updates, then then(t − n_updates)

    Parameters
    ----------
    n_updates : int
        The length of the rise.
    then : float or Schedule
        The schedule after the rise.
    """

    n_updates: int
    then: "float | Schedule"

    def __post_init__(self) -> None:
        plain_numbers(self)
        _positive("Warmup", n_updates=self.n_updates)
        object.__setattr__(self, "then", get(self.then))

    def __call__(self, t: int) -> float:
        then = get(self.then)
        if t < self.n_updates:
            return then(0) * (t + 1) / (self.n_updates + 1)
        return then(t - self.n_updates)

    @property
    def run_state(self) -> tuple[float, ...]:
        return get(self.then).run_state

    def start(self, state: tuple[float, ...] = ()) -> Schedule:
        # A user's schedule may define `start()` without `state`.
        return Warmup(self.n_updates, get(self.then).start(*[state] if state else ()))

    def observe(self, cost: float) -> None:
        get(self.then).observe(cost)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to `peak` and down again, along cosines, over `n_updates` (Smith & Topin 2018, arXiv:1708.07120).

    The peak is at t = rise · n_updates − 1, the end at the last update, t = n_updates − 1, as in PyTorch's OneCycleLR.

    Parameters
    ----------
    peak : float
        The highest learning rate.
    n_updates : int
        The length of the whole cycle.
    rise : float
        The fraction of the cycle that rises, in (0, 1).
    start_factor, final_factor : float
        The first and the last learning rate, as fractions of `peak`.
    """

    peak: float
    n_updates: int
    _: KW_ONLY
    rise: float = 0.3
    start_factor: float = 0.04
    final_factor: float = 4e-6

    def __post_init__(self) -> None:
        plain_numbers(self)
        _positive("OneCycle", peak=self.peak, n_updates=self.n_updates, start_factor=self.start_factor)
        if not 0.0 < self.rise < 1.0:
            raise ValueError(f"rise of OneCycle must be in (0, 1), not {self.rise!r}.")
        if not 0.0 <= self.final_factor < inf:
            raise ValueError(f"final_factor of OneCycle must be 0 or above, not {self.final_factor!r}.")

    def __call__(self, t: int) -> float:
        top = max(self.rise * self.n_updates - 1.0, 0.0)
        low, phase = (
            (self.start_factor, 1.0 - t / top)
            if t < top
            else (self.final_factor, _fraction(t - top, self.n_updates - 1 - top))
        )
        return self.peak * (low + (1.0 - low) * 0.5 * (1.0 + cos(pi * phase)))


@dataclass(eq=False)
class ReduceOnPlateau(Schedule):
    """η times `factor` whenever the cost has not improved for `patience` epochs.

    The cost is that of the validation data where there are any, in `fit` and in the estimators.

    Parameters
    ----------
    learning_rate : float
        η of the first epoch.
    factor : float
        The factor of each reduction, in (0, 1).
    patience : int
        The number of consecutive epochs without improvement that lowers η, as it ends a training in `EarlyStopping`; 0
        is 1. PyTorch's scheduler waits for one epoch more.
    tol : float
        The least improvement that counts: a cost below the best by more than this.
    minimum : float
        The lower bound of η.
    """

    learning_rate: float
    _: KW_ONLY
    factor: float = 0.2
    patience: int = 5
    tol: float = 1e-4
    minimum: float = 0.0
    _scale: float = field(default=1.0, init=False, repr=False)
    _best: float = field(default=inf, init=False, repr=False)
    _waited: float = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        plain_numbers(self)
        _positive("ReduceOnPlateau", learning_rate=self.learning_rate)
        if not 0.0 < self.factor < 1.0:
            raise ValueError(f"factor of ReduceOnPlateau must be in (0, 1), not {self.factor!r}.")
        if self.patience < 0:
            raise ValueError(f"patience of ReduceOnPlateau must be 0 or above, not {self.patience!r}.")
        for name, value in (("tol", self.tol), ("minimum", self.minimum)):
            if not 0.0 <= value < inf:
                raise ValueError(f"{name} of ReduceOnPlateau must be 0 or above and finite, not {value!r}.")

    def __call__(self, t: int) -> float:
        return max(self.learning_rate * self._scale, self.minimum)

    @property
    def run_state(self) -> tuple[float, ...]:
        """η as a multiple of `learning_rate`, the best cost, and the epochs since."""
        return self._scale, self._best, self._waited

    def start(self, state: tuple[float, ...] = ()) -> Schedule:
        run = ReduceOnPlateau(
            self.learning_rate, factor=self.factor, patience=self.patience, tol=self.tol, minimum=self.minimum
        )
        run._scale, run._best, run._waited = state or (1.0, inf, 0)
        return run

    def observe(self, cost: float) -> None:
        if cost < self._best - self.tol:
            self._best, self._waited = cost, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._scale, self._waited = self._scale * self.factor, 0


def get(learning_rate: Any) -> Schedule:
    """Return the schedule itself, or the constant schedule of a number.

    Raises
    ------
    ValueError
        If the number is not above 0 and finite.
    TypeError
        If it is neither a number nor a schedule.
    """
    if isinstance(learning_rate, Schedule):
        return learning_rate
    return Constant(number("learning_rate, unless it is a schedule,", learning_rate))
