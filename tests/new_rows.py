"""Three rows that the tables do not have, each one class: what a contributor adds.

`pytest -p new_rows` runs any test with them in the tables; the fixture `new_rows` of a test adds them for its time.
"""

from dataclasses import KW_ONLY, dataclass
from math import inf
from typing import Any, ClassVar

from retroprop.functions import activations, losses, schedules
from retroprop.functions.names import plain_numbers
from retroprop.training import optimizers


class Softsign(activations.Activation):
    """f(z) = z / (1 + |z|), f′ = (1 − |a|)²."""

    name: ClassVar[str] = "softsign"
    range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)

    def value(self, z, xp):
        return z / (1.0 + xp.abs(z))

    def derivative(self, z, a, xp):
        return xp.square(1.0 - xp.abs(a))


@dataclass(frozen=True)
class PseudoHuber(losses.Loss):
    """J_i = Σ δ² (√(1 + (e/δ)²) − 1), with e = a − y."""

    name: ClassVar[str] = "pseudo_huber"
    delta: float = 1.0

    def __post_init__(self):
        plain_numbers(self)
        if not 0.0 < self.delta < inf:
            raise ValueError(f"delta of pseudo_huber must be above 0 and finite, not {self.delta!r}.")

    def value(self, a, y, xp):
        # √(1 + r²) − 1 = r² / (√(1 + r²) + 1), in which nothing cancels
        r = xp.square((a - y) / self.delta)
        return xp.sum(self.delta**2 * r / (xp.sqrt(1.0 + r) + 1.0), axis=-1)

    def derivative(self, a, y, xp):
        return (a - y) / xp.sqrt(1.0 + xp.square((a - y) / self.delta))


@dataclass(frozen=True)
class Adagrad(optimizers.UpdateRule):
    """ν ← ν + g², θ ← θ − η g / (√ν + ε)."""

    name: ClassVar[str] = "adagrad"
    learning_rate: Any = 0.01
    _: KW_ONLY
    epsilon: float = 1e-10

    def __post_init__(self):
        plain_numbers(self)
        schedules.get(self.learning_rate)

    @property
    def slots(self):
        return 1

    def formula(self, xp, theta, grad, *rest):
        nu, eta = rest
        nu = nu + grad * grad
        return theta - eta * grad / (xp.sqrt(nu) + self.epsilon), nu


ROWS = (
    (activations.ACTIVATIONS, Softsign),
    (losses.LOSSES, PseudoHuber),
    (optimizers.OPTIMIZERS, Adagrad),
)


def pytest_configure(config):
    """Add the rows for a whole run."""
    for table, row in ROWS:
        table[row.name] = row
