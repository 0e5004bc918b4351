"""A line search for the strong Wolfe conditions, over a function φ(t) of one number.

    φ(t) ≤ φ(0) + c1 t φ′(0)        the value falls enough
    |φ′(t)| ≤ c2 |φ′(0)|            the slope has flattened enough

Nocedal & Wright, Numerical Optimization, 2nd ed. (2006), section 3.5: `_bracket` is Algorithm 3.5, `_zoom` Algorithm
3.6. The growth of the interval and the rule for halving are those of Moré & Thuente, ACM TOMS 20 (1994), which SciPy
uses. Everything here is a Python float; φ may be evaluated on any device.
"""

from collections.abc import Callable
from math import inf, isfinite, sqrt
from typing import Any, NamedTuple

_REACH = 1.1, 4.0  # the least and the greatest growth of an interval, as a multiple of its width
_MARGIN = 0.1  # the fraction of an interval, at both ends, in which a minimum of the cubic is not accepted
_SHRINK = 0.66  # an interval that keeps more of its width than this is halved next


class LineTrial(NamedTuple):
    """A step that was evaluated.

    Attributes
    ----------
    step, value, slope : float
        t, φ(t) and φ′(t).
    point : object
        Further data of φ at this step, passed through.
    """

    step: float
    value: float
    slope: float
    point: Any = None


Phi = Callable[[float], LineTrial]


def strong_wolfe(
    phi: Phi,
    start: LineTrial,
    *,
    first_step: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    max_evaluations: int = 20,
    eps: float = 2.0**-52,
) -> LineTrial:
    """Return a step that meets the strong Wolfe conditions.

    Parameters
    ----------
    phi : callable
        Returns the trial of a step; with a NaN or infinite value or slope the step is too long.
    start : LineTrial
        The trial of step 0, with a slope below 0.
    first_step : float
        The first step to evaluate.
    c1, c2 : float
        0 < c1 < c2 < 1.
    max_evaluations : int
        The largest number of evaluations of φ.
    eps : float
        The relative rounding of φ.

    Returns
    -------
    LineTrial
        If none is found, because the evaluations are used up or the remaining decrease is below the rounding of φ, the
        lowest trial with a sufficient decrease; `start` itself if there is none.
    """
    search = _Search(phi, start, c1, c2, max_evaluations, eps)
    return search.bracket(first_step)


class _Search:
    """One search: its arguments, and the number of evaluations that are left."""

    def __init__(self, phi: Phi, start: LineTrial, c1: float, c2: float, max_evaluations: int, eps: float) -> None:
        self.phi, self.start, self.c1, self.c2 = phi, start, c1, c2
        self.left, self.eps = max_evaluations, eps

    def at(self, step: float) -> LineTrial:
        self.left -= 1
        trial = self.phi(step)
        return trial if isfinite(trial.value) and isfinite(trial.slope) else trial._replace(value=inf)

    def falls(self, trial: LineTrial) -> bool:
        return trial.value <= self.start.value + self.c1 * trial.step * self.start.slope

    def is_flat(self, trial: LineTrial) -> bool:
        return abs(trial.slope) <= -self.c2 * self.start.slope

    def bracket(self, step: float) -> LineTrial:
        """Extend the interval until it contains such a step, then narrow it down (Algorithm 3.5)."""
        last = self.start
        while True:
            trial = self.at(step)
            if not self.falls(trial) or trial.value >= last.value:
                return self.zoom(last, trial)
            if self.is_flat(trial) or self.left <= 0:
                return trial
            if trial.slope >= 0.0:
                return self.zoom(trial, last)
            least, most = (trial.step + reach * (trial.step - last.step) for reach in _REACH)
            wanted = _lowest(last, trial)
            step = most if wanted is None or wanted <= trial.step else min(max(wanted, least), most)
            last = trial

    def zoom(self, low: LineTrial, high: LineTrial) -> LineTrial:
        """Narrow the interval down (Algorithm 3.6): `low`, the lowest step that falls enough, slopes down to `high`."""
        halve = False
        while self.left > 0:
            width = high.step - low.step
            # The remaining decrease, or the difference between the steps, is below rounding.
            if abs(width * low.slope) <= self.eps * abs(low.value) or abs(width) <= self.eps * max(low.step, high.step):
                break
            step = None if halve else _lowest(low, high)
            if step is None:
                step = low.step + 0.5 * width
            margins = sorted((low.step + _MARGIN * width, high.step - _MARGIN * width))
            trial = self.at(min(max(step, margins[0]), margins[1]))
            if not self.falls(trial) or trial.value >= low.value:
                high = trial
            else:
                if self.is_flat(trial):
                    return trial
                if trial.slope * width >= 0.0:
                    high = low
                low = trial
            halve = abs(high.step - low.step) > _SHRINK * abs(width)
        return low


def _lowest(one: LineTrial, other: LineTrial) -> float | None:
    """Return the minimum of the cubic through two trials, None if it has none (their equation 3.59)."""
    width = other.step - one.step
    # d1 = φ′(a) + φ′(b) − 3 (φ(b) − φ(a)) / (b − a),  d2 = ±√(d1² − φ′(a) φ′(b))
    d1 = one.slope + other.slope - 3.0 * (other.value - one.value) / width
    square = d1 * d1 - one.slope * other.slope
    if not 0.0 <= square < inf:
        return None
    d2 = sqrt(square) if width > 0.0 else -sqrt(square)
    # t = b − (b − a) (φ′(b) + d2 − d1) / (φ′(b) − φ′(a) + 2 d2)
    curvature = other.slope - one.slope + 2.0 * d2
    step = other.step - width * (other.slope + d2 - d1) / curvature if curvature else inf
    return step if isfinite(step) else None
