"""The learning rate and the patience, by scikit-learn's rules."""

from dataclasses import dataclass, field
from typing import Any

from retroprop.core.parameters import Parameters
from retroprop.estimators.parameters import optimizer_of, schedule_of
from retroprop.functions.schedules import Schedule
from retroprop.training.optimizers import UpdateRule

SMALLEST = 1e-6  # "adaptive" lowers the learning rate no more below this


@dataclass
class Solver:
    """An update rule at work: what goes on from one `partial_fit` to the next.

    Attributes
    ----------
    rule : UpdateRule
        The update rule.
    kind : str
        "constant", "invscaling" or "adaptive".
    schedule : Schedule or None
        What gives the learning rate of each update instead.
    initial, learning_rate, power_t : float
        η at the beginning, η now, and the exponent of invscaling.
    state : tuple of Parameters
        The moments.
    n_updates : int
        How many updates are done.
    """

    rule: UpdateRule
    kind: str
    schedule: Schedule | None
    initial: float
    learning_rate: float
    power_t: float
    state: tuple[Parameters, ...] = field(repr=False, default=())
    n_updates: int = 0

    @classmethod
    def of(cls, estimator: Any) -> "Solver":
        """Return the solver an estimator asks for, before its first update."""
        e, eta = estimator, float(estimator.learning_rate_init)
        # As in scikit-learn, whose Adam takes no notice of the three names; a schedule serves every solver.
        named = isinstance(e.learning_rate, str) and e.solver != "adam"
        return cls(optimizer_of(e), e.learning_rate if named else "constant", schedule_of(e), eta, eta, e.power_t)

    def hyper(self, n_updates: int) -> tuple[float, ...]:
        """Return the numbers of the update after so many."""
        if self.schedule is not None:
            self.learning_rate = float(self.schedule(n_updates))
        return self.rule.hyper(n_updates + 1, self.learning_rate)

    def epoch_ends(self, samples_seen: int, cost: float) -> None:
        """Take note of the end of an epoch."""
        if self.schedule is not None:
            self.schedule.observe(cost)
        elif self.kind == "invscaling":
            # η = η_0 / (t + 1)^power, t counting samples
            self.learning_rate = self.initial / (samples_seen + 1) ** self.power_t

    def patience_is_out(self, message: str, *, verbose: bool) -> bool:
        """Return whether to stop; "adaptive" lowers the learning rate instead, while it is not too small."""
        if self.kind != "adaptive" or self.schedule is not None:
            said, stops = "Stopping.", True
        elif self.learning_rate <= SMALLEST:
            said, stops = "Learning rate too small. Stopping.", True
        else:
            self.learning_rate /= 5.0
            said, stops = f"Setting learning rate to {self.learning_rate:f}", False
        if verbose:
            print(message, said)
        return stops


def decides(*, validates: bool) -> str:
    """Return what says which epoch is the best."""
    return "score" if validates else "loss"


def note_loss(estimator: Any, loss: float) -> bool:
    """Count the epochs whose loss is not better than the best by more than tol; return whether it is the best."""
    e = estimator
    e._no_improvement_count = e._no_improvement_count + 1 if loss > e.best_loss_ - e.tol else 0
    best: bool = loss < e.best_loss_
    if best:
        e.best_loss_ = loss
    return best


def note_score(estimator: Any, score: float) -> bool:
    """Return whether a validation score is the best; where it decides, count the epochs not better by tol.

    NaN compares as neither, and so resets the count, as in scikit-learn.
    """
    e = estimator
    if e.early_stopping:
        e._no_improvement_count = e._no_improvement_count + 1 if score < e.best_validation_score_ + e.tol else 0
    best: bool = score > e.best_validation_score_
    if best:
        e.best_validation_score_ = score
    return best
