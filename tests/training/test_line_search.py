"""The line search: by hand, on random smooth functions, where φ ends or is rounded, where there is no step."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retroprop.training.line_search import LineTrial, strong_wolfe


class Recorded:
    """A function of one number that keeps the steps it was asked for."""

    def __init__(self, value, slope):
        self.value, self.slope, self.steps = value, slope, []

    def __call__(self, step):
        self.steps.append(step)
        return LineTrial(step, self.value(step), self.slope(step), f"point {len(self.steps)}")

    def start(self):
        return LineTrial(0.0, self.value(0.0), self.slope(0.0), "start")


def parabola():
    return Recorded(lambda t: (t - 1.0) ** 2, lambda t: 2.0 * (t - 1.0))


def holds_strong_wolfe(start, found, c1, c2):
    falls = found.value <= start.value + c1 * found.step * start.slope
    return falls and abs(found.slope) <= c2 * abs(start.slope)


# By hand ----------------------------------------------------------------------------------------------------------


def test_a_first_step_that_is_good_is_taken_as_it_is():
    phi = parabola()
    found = strong_wolfe(phi, phi.start())
    assert found == (1.0, 0.0, 0.0, "point 1")
    assert phi.steps == [1.0]


def test_of_a_step_too_long_the_cubic_finds_the_minimum_of_a_parabola():
    phi = parabola()
    found = strong_wolfe(phi, phi.start(), first_step=5.0)
    assert phi.steps == [5.0, 1.0]
    assert found.point == "point 2"


def test_from_a_step_too_short_it_goes_on_by_1_1_to_4_times_the_interval():
    phi = parabola()
    found = strong_wolfe(phi, phi.start(), first_step=0.01, c2=0.1)
    # 0.01 → 0.05 → 0.05 + 4 · 0.04 = 0.21 → 0.21 + 4 · 0.16 = 0.85 → 0.85 + 1.1 · 0.64, as 1 is too near → 1
    assert phi.steps == pytest.approx([0.01, 0.05, 0.21, 0.85, 1.554, 1.0])
    assert found.step == pytest.approx(1.0)


def test_a_minimum_near_the_end_of_the_interval_is_not_believed():
    # φ′ rises steeply at 0 and hardly afterwards: the minimum of the cubic over [0, 10] lies in its first tenth.
    phi = Recorded(lambda t: math.sqrt(0.01 + (t - 0.2) ** 2), lambda t: (t - 0.2) / math.sqrt(0.01 + (t - 0.2) ** 2))
    found = strong_wolfe(phi, phi.start(), first_step=10.0)
    assert phi.steps[1] >= 1.0
    assert holds_strong_wolfe(phi.start(), found, 1e-4, 0.9)


def test_an_interval_that_hardly_shrinks_is_halved():
    # −t with a wall at 9.9: the minimum of the cubic over [0, 10] is next to 0, so that 1 is tried, and falls.
    phi = Recorded(lambda t: -t if t < 9.9 else 1e6, lambda t: -1.0)
    strong_wolfe(phi, phi.start(), first_step=10.0, max_evaluations=3)
    assert phi.steps == pytest.approx([10.0, 1.0, 5.5])


# Random functions -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(
    waves=st.lists(st.tuples(st.floats(-2.0, 2.0), st.floats(0.1, 5.0), st.floats(0.0, 6.0)), min_size=1, max_size=4),
    bend=st.floats(0.01, 2.0),
    tilt=st.floats(0.1, 5.0),
    first_step=st.floats(1e-3, 1e3),
    c1=st.sampled_from([1e-4, 1e-2]),
    c2=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_strong_wolfe_holds_for_smooth_functions_that_are_bounded_below(waves, bend, tilt, first_step, c1, c2):
    def value(t):
        return bend * t * t + sum(a * math.cos(w * t + p) for a, w, p in waves)

    def slope(t):
        return 2.0 * bend * t - sum(a * w * math.sin(w * t + p) for a, w, p in waves)

    # Turned so that it goes down at 0, by `tilt`.
    lean = -tilt - slope(0.0)
    phi = Recorded(lambda t: value(t) + lean * t, lambda t: slope(t) + lean)
    start = phi.start()
    found = strong_wolfe(phi, start, first_step=first_step, c1=c1, c2=c2, max_evaluations=100)
    assert holds_strong_wolfe(start, found, c1, c2)
    assert found.point == f"point {len(phi.steps)}"  # the one that is taken is the last that was looked at
    assert all(step > 0.0 for step in phi.steps)


# Where φ is not what it should be ---------------------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("what", ["value", "slope"])
def test_a_step_where_the_cost_is_not_finite_is_too_long(beyond, what):
    # −log(0.3 − t) − 20 t, which ends at 0.3 and is lowest at 0.25
    def value(t):
        return -math.log(0.3 - t) - 20.0 * t if t < 0.3 else (beyond if what == "value" else -1e9)

    def slope(t):
        return 1.0 / (0.3 - t) - 20.0 if t < 0.3 else (beyond if what == "slope" else -1e9)

    phi = Recorded(value, slope)
    found = strong_wolfe(phi, phi.start(), c2=0.1)
    assert 0.0 < found.step < 0.3
    assert holds_strong_wolfe(phi.start(), found, 1e-4, 0.1)


def test_a_function_without_a_lower_bound_is_followed_as_long_as_it_may_be():
    phi = Recorded(lambda t: -t, lambda t: -1.0)
    found = strong_wolfe(phi, phi.start(), max_evaluations=7)
    assert len(phi.steps) == 7
    assert found.step == phi.steps[-1] == max(phi.steps)


def test_a_slope_that_lies_gives_the_start_back():
    phi = Recorded(lambda t: t, lambda t: -1.0)
    start = phi.start()
    assert strong_wolfe(phi, start, max_evaluations=12) is start
    assert len(phi.steps) <= 12


def test_evaluations_used_up_give_the_lowest_that_falls_enough():
    # Steep walls: the first steps into the valley fall enough, and are not flat yet.
    phi = Recorded(lambda t: abs(t - 1.0) ** 1.01, lambda t: 1.01 * abs(t - 1.0) ** 0.01 * math.copysign(1.0, t - 1.0))
    found = strong_wolfe(phi, phi.start(), first_step=0.3, c2=0.1, max_evaluations=6)
    assert len(phi.steps) == 6
    assert found.value == min(phi.value(step) for step in phi.steps)
    assert found.step > 0.0


def test_it_gives_up_where_what_is_left_to_gain_is_rounding():
    eps = float(np.finfo("float32").eps)
    # 1 + (t − 1)² / 10⁸ is 1 everywhere in float32
    phi = Recorded(lambda t: float(np.float32(1.0 + 1e-8 * (t - 1.0) ** 2)), lambda t: 2e-8 * (t - 1.0))
    start = phi.start()
    assert strong_wolfe(phi, start, first_step=3.0, max_evaluations=100, eps=eps) is start
    assert len(phi.steps) == 1


@pytest.mark.parametrize("first_step", [1e-3, 0.7, 1.0, 40.0])
def test_float32_values_do_not_make_it_loop(first_step):
    eps = float(np.finfo("float32").eps)
    phi = Recorded(
        lambda t: float(np.float32(3.0 + 1e-6 * (t - 1.0) ** 2)), lambda t: float(np.float32(2e-6 * (t - 1.0)))
    )
    start = phi.start()
    found = strong_wolfe(phi, start, first_step=first_step, c2=1e-3, max_evaluations=100, eps=eps)
    assert len(phi.steps) < 40
    assert found is start or found.value < start.value
