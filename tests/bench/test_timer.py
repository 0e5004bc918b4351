"""The timer, with a clock that only what is timed moves: no figure here depends on this machine."""

import gc

import pytest

from retroprop.bench.contestant import Contestant
from retroprop.bench.timer import Pace, race, warm_up

MILLISECOND = 1_000_000


class Clock:
    """Nanoseconds that pass only while a contestant runs."""

    def __init__(self):
        self.now = 0
        self.calls = []

    def __call__(self):
        return self.now

    def contestant(self, name, *, call=MILLISECOND, finish=0, pool="numpy", kind="step"):
        def run():
            self.calls.append(name)
            self.now += call

        def wait():
            self.now += finish

        return Contestant(kind=kind, name=name, call=run, finish=wait, pool=pool)


@pytest.fixture
def clock():
    return Clock()


def timed(clock, contestants, **pace):
    warm = [warm_up(contestant, 0.0, clock) for contestant in contestants]
    clock.calls.clear()
    return race(warm, Pace(**pace), clock=clock)


def test_warm_up_tells_the_pace_and_calls_thrice(clock):
    warm = warm_up(clock.contestant("a"), 0.0, clock)
    assert warm.a_call == pytest.approx(1e-3)
    assert len(clock.calls) == 3
    # 1 + 2 + 4 calls of 1 ms are more than 5 ms
    clock.calls.clear()
    warm_up(clock.contestant("a"), 5e-3, clock)
    assert len(clock.calls) == 2 + 7


def test_a_timing_repeats_the_call_and_waits_for_the_device(clock):
    (found,) = timed(clock, [clock.contestant("a", finish=5 * MILLISECOND)], timing=0.06, rounds=(3, 3), lead=0.0)
    # the pace seen alone is 6 ms a call with its wait; ten calls together wait once
    assert found.calls == 10
    assert found.seconds == pytest.approx([1.5e-3] * 3)


def test_rounds_are_as_many_as_the_budget_has_room_for(clock):
    contestants = [clock.contestant(name) for name in "ab"]
    pace = {"timing": 0.01, "lead": 0.0, "lead_after_others": 0.0, "rounds": (2, 100)}
    for budget, rounds in ((0.001, 2), (0.23, 10), (100.0, 100)):
        found = timed(clock, contestants, budget=budget, **pace)
        assert [len(one.seconds) for one in found] == [rounds] * 2


def test_everybody_has_a_turn_each_round_and_another_begins(clock):
    contestants = [clock.contestant(name, call=10 * MILLISECOND) for name in "abc"]
    timed(clock, contestants, timing=0.01, lead=0.0, lead_after_others=0.0, rounds=(3, 3))
    # one call of lead-in, one that counts
    assert "".join(clock.calls[::2]) == "".join(clock.calls[1::2]) == "abcbcacab"


def test_libraries_keep_together_and_a_change_has_a_longer_lead_in(clock):
    one, two = (clock.contestant(name, pool="numpy", call=10 * MILLISECOND) for name in "ab")
    other = clock.contestant("T", pool="torch", call=10 * MILLISECOND)
    timed(clock, [one, other, two], timing=0.01, lead=0.0, lead_after_others=0.05, rounds=(2, 2))
    first, second = "aaaaaabbTTTTTT", "TTbbbbbbaa"
    assert "".join(clock.calls) == first + second


def test_the_context_of_a_contestant_is_entered_outside_the_clock(clock):
    from contextlib import contextmanager
    from dataclasses import replace

    inside = []

    @contextmanager
    def active():
        clock.now += 1000 * MILLISECOND
        inside.append(True)
        yield

    contestant = replace(clock.contestant("a", call=10 * MILLISECOND), active=active)
    (found,) = timed(clock, [contestant], rounds=(2, 2))
    assert found.seconds == pytest.approx([0.01, 0.01])
    assert len(inside) == 3


def test_no_garbage_is_collected_while_the_clock_runs(clock):
    seen = []
    contestant = clock.contestant("a")
    looking = Contestant(kind="step", name="a", call=lambda: (contestant.call(), seen.append(gc.isenabled())))
    warm = warm_up(looking, 0.0, clock)
    seen.clear()
    race([warm], Pace(rounds=(1, 1)), clock=clock)
    assert set(seen) == {False}
    assert gc.isenabled()


def test_progress_ends_at_one(clock):
    shares = []
    warm = [warm_up(clock.contestant(name), 0.0, clock) for name in "ab"]
    race(warm, Pace(rounds=(2, 4), budget=100.0), tick=shares.append, clock=clock)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_nobody_is_no_error(clock):
    assert race([], Pace(), clock=clock) == []
