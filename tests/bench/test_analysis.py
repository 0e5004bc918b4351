"""Ratios and break-even sizes, by hand."""

import pytest
from made_up import row

from retroprop.bench.analysis import break_even, crossing, over_floor, over_hand_written, ratio
from retroprop.bench.results import Timing


def timing(*seconds):
    return Timing(kind="step", name="x", calls=1, seconds=list(seconds))


def test_a_ratio_is_the_median_of_the_ratios_of_each_round():
    # the machine was three times slower in the last round, for both
    found = ratio(timing(2.0, 4.0, 9.0), timing(1.0, 1.0, 3.0))
    assert (found.low, found.median, found.high) == (2.5, 3.0, 3.5)
    assert ratio(timing(3.0), timing(2.0)).median == 1.5
    assert ratio(None, timing(1.0)) is None
    assert ratio(timing(1.0), None) is None


def test_ratios_of_a_row(results):
    small = results.rows[0]
    assert over_floor(small, "numpy").median == pytest.approx(2.0)
    assert over_floor(small, "torch:cpu") is None
    assert over_hand_written(small, "step", "numpy").median == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("points", "size"),
    [
        ([(10, 2.0), (1000, 0.5)], 100.0),  # half way on both logarithmic scales
        ([(1000, 0.5), (10, 2.0)], 100.0),
        ([(10, 4.0), (1000, 0.5)], 10.0 * 100.0 ** (2 / 3)),
        ([(10, 0.9), (100, 2.0), (10_000, 0.5)], 1000.0),  # won once, lost again: only the last crossing counts
        ([(10, 1.0), (1000, 0.5)], 10.0),
        ([(10, 0.5), (100, 0.4)], 10.0),
        ([(10, 2.0), (100, 1.0)], None),
        ([(10, 0.5), (100, 2.0)], None),
    ],
)
def test_crossing(points, size):
    assert crossing(points) == (None if size is None else pytest.approx(size))


def test_break_even(results):
    (found,) = break_even(results.steps)
    small, large = (one.workload.flops for one in results.steps)
    assert (found.backend, found.optimizer, found.smallest, found.largest) == ("torch:cpu", "adam", small, large)
    assert small < found.flops < large
    won = [row([2, 2, 2], m, {("step", "numpy"): (2.0,), ("step", "cupy:0"): (1.0,)}) for m in (4, 8)]
    assert break_even(won)[0].flops == won[0].workload.flops
    assert break_even(won[:1]) == []
    assert break_even([row([2, 2, 2], 4, {("step", "cupy:0"): (1.0,)})]) == []
