"""The learning rate and the patience, by scikit-learn's rules."""

from copy import copy
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple

from retroprop.core.parameters import Parameters
from retroprop.estimators.parameters import optimizer_of, schedule_of
from retroprop.functions.schedules import Schedule
from retroprop.functions.types import Array
from retroprop.training.optimizers import UpdateRule

SMALLEST = 1e-6  # "adaptive" does not lower a learning rate at or below this


class NamedRate(Schedule):
    """The learning rate that scikit-learn calls "constant", "invscaling" or "adaptive".

    Parameters
    ----------
    kind : str
        One of these.
    initial : float
        η at the beginning.
    power_t : float
        The exponent of "invscaling".
    """

    def __init__(self, kind: str, initial: float, power_t: float) -> None:
        self.kind, self.initial, self.power_t = kind, initial, power_t
        self.learning_rate = initial

    def __call__(self, t: int) -> float:
        """Return the learning rate, the same in all updates of an epoch."""
        return self.learning_rate

    @property
    def run_state(self) -> tuple[float, ...]:
        """The current learning rate."""
        return (self.learning_rate,)

    def start(self, state: tuple[float, ...] = ()) -> "NamedRate":
        """Return the rate of one run, at the beginning or in a given state."""
        run = copy(self)
        (run.learning_rate,) = state or (self.initial,)
        return run

    def epoch_ends(self, samples_seen: int) -> None:
        """Scale the learning rate after an epoch."""
        if self.kind == "invscaling":
            # η = η_0 / (t + 1)^power, t counting samples
            self.learning_rate = self.initial / (samples_seen + 1) ** self.power_t


@dataclass
class Solver:
    """An update rule and its state, which goes on from one `partial_fit` to the next.

    Attributes
    ----------
    rule : UpdateRule
        The update rule.
    schedule : Schedule
        The learning rate: a `NamedRate`, or one of retroprop's own.
    state : tuple of Parameters
        The state of the rule, such as moments; empty before the first update.
    n_updates : int
        How many updates were made.
    rate : tuple
        The parameters of the estimator that the schedule comes from.
    """

    rule: UpdateRule
    schedule: Schedule
    state: tuple[Parameters, ...] = field(repr=False, default=())
    n_updates: int = 0
    rate: tuple[Any, ...] = ()

    @classmethod
    def of(cls, estimator: Any) -> "Solver":
        """Return the solver of an estimator, before its first update."""
        e = estimator
        # As in scikit-learn, whose Adam ignores the three names; a schedule serves every solver.
        named = isinstance(e.learning_rate, str) and e.solver != "adam"
        rate = NamedRate(e.learning_rate if named else "constant", float(e.learning_rate_init), e.power_t)
        rule = optimizer_of(e)
        return cls(rule, schedule_of(e) or rate, rate=(e.learning_rate, named, e.power_t, rule.learning_rate))

    def continued(self, wanted: "Solver") -> "Solver":
        """Return the solver of a further `partial_fit`, whose parameters may have been set since the last.

        The moments go on unless the update rule is another; the learning rate, unless it was set.
        """
        if _apart_from_the_rate(self.rule) != _apart_from_the_rate(wanted.rule):
            return wanted
        if self.rate != wanted.rate:
            return replace(self, rule=wanted.rule, schedule=wanted.schedule, rate=wanted.rate)
        return self

    @property
    def learning_rate(self) -> float:
        """η of the next update of a `NamedRate`, else of the last update."""
        return float(self.schedule(max(self.n_updates - 1, 0)))

    def epoch_ends(self, samples_seen: int, cost: float) -> None:
        """Update the learning rate after an epoch."""
        if isinstance(self.schedule, NamedRate):
            self.schedule.epoch_ends(samples_seen)
        else:
            self.schedule.observe(cost)

    def patience_is_out(self, message: str, *, verbose: bool) -> bool:
        """Return whether to stop; "adaptive" lowers the learning rate instead, while it is not too small."""
        rate = self.schedule
        if not isinstance(rate, NamedRate) or rate.kind != "adaptive":
            reaction, stops = "Stopping.", True
        elif rate.learning_rate <= SMALLEST:
            reaction, stops = "Learning rate too small. Stopping.", True
        else:
            rate.learning_rate /= 5.0
            reaction, stops = f"Setting learning rate to {rate.learning_rate:f}", False
        if verbose:
            print(message, reaction)
        return stops


def _apart_from_the_rate(rule: UpdateRule) -> tuple[Any, ...]:
    return type(rule), {name: value for name, value in vars(rule).items() if name != "learning_rate"}


class Bests(NamedTuple):
    """The state of the patience, by scikit-learn's rules.

    Attributes
    ----------
    loss, score : float or None
        The least loss and the best validation score of this fit, and of those that a `partial_fit` goes on from.
    waited : int
        The number of epochs in a row without improvement.
    parameters : array (n,) or None
        The parameters of the best epoch of this fit, joined; None if none was better than those before.
    least : float
        The least loss of earlier fits, which `best_loss_` reports too.
    validation : tuple of float
        The least validation loss of this fit, and that of the best epoch; used where classes have weights.
    """

    loss: float | None
    score: float | None
    waited: int
    parameters: Array | None = None
    least: float = inf
    validation: tuple[float, float] = (inf, inf)

    @classmethod
    def of(cls, estimator: Any, least: float) -> "Bests":
        """Return the state that an estimator's attributes hold."""
        e = estimator
        return cls(e.best_loss_, vars(e).get("best_validation_score_"), e._no_improvement_count, least=least)

    def write_to(self, estimator: Any) -> None:
        """Write the figures into an estimator's attributes."""
        e = estimator
        e.best_loss_ = None if self.loss is None else min(self.loss, self.least)
        e.best_validation_score_, e._no_improvement_count = self.score, self.waited

    def with_loss(self, loss: float, tol: float) -> tuple["Bests", bool]:
        """Return the state after an epoch of that loss, and whether it is the least so far.

        An epoch that is not better than the best by more than tol counts as one without improvement.
        """
        assert self.loss is not None
        waited, is_best = self.waited + 1 if loss > self.loss - tol else 0, loss < self.loss
        return self._replace(loss=loss if is_best else self.loss, waited=waited), bool(is_best)

    def with_score(self, score: float, tol: float, *, counts: bool, loss: float | None = None) -> tuple["Bests", bool]:
        """Return the state after an epoch of that validation score, and whether it is the best so far.

        Where the score `counts`, an epoch that is not better by tol is one without improvement. A NaN compares as
        neither, and so ends the waiting, as in scikit-learn. A `loss` of the validation data decides between equal
        scores, and an epoch that lowers it by tol is no epoch without improvement: the few rows of a heavy class keep
        the score where it is for many epochs.
        """
        assert self.score is not None
        waited, is_best = self.waited, score > self.score
        least, of_best = self.validation
        lowers = loss is not None and loss < least - tol
        if loss is not None:
            is_best = is_best or (score == self.score and loss < of_best)
            least, of_best = min(least, loss), loss if is_best else of_best
        if counts:
            waited = self.waited + 1 if score < self.score + tol and not lowers else 0
        found = self._replace(score=score if is_best else self.score, waited=waited, validation=(least, of_best))
        return found, bool(is_best)
