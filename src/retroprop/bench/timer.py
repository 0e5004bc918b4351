"""The interleaved timer: every contestant once a round, in turn, so that what changes on the machine changes for all.

Warm-up is apart: each contestant runs alone until it is compiled, its buffers are there and its pace is known. A timing
repeats the call until it lasts long enough for the clock, and ends when the device has done the last one. Before a
timing the contestant runs unmeasured for a moment, to have its own data in the caches. Where the timing before was of
another library, that moment is longer: OpenBLAS's threads, for one, hold on to a processor for a tenth of a second
after their last product, and on two cores that doubles the time of whoever computes next.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import perf_counter_ns
from typing import TypeVar

from retroprop.bench.contestant import Contestant

T = TypeVar("T")
_NANO = 1e-9

Clock = Callable[[], int]
"""Nanoseconds."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long and how often things are timed.

    Attributes
    ----------
    budget : float
        Seconds the rounds of one race may take together.
    timing : float
        Seconds a timing lasts at least.
    warm_up : float
        Seconds a contestant runs at least before the rounds.
    lead, lead_after_others : float
        Seconds a contestant runs before each of its timings: after one of the same library, and of another.
    rounds : tuple of int
        The fewest and the most rounds; the fewest are run whatever the budget.
    """

    budget: float = 5.0
    timing: float = 0.01
    warm_up: float = 0.1
    lead: float = 0.001
    lead_after_others: float = 0.2
    rounds: tuple[int, int] = (5, 31)


@dataclass(frozen=True)
class Warm:
    """A contestant that is ready to be timed, and about how many seconds a call of it takes."""

    contestant: Contestant
    a_call: float


@dataclass(frozen=True)
class Timed:
    """What a race found of one contestant.

    Attributes
    ----------
    contestant : Contestant
        Who.
    calls : int
        Calls of a timing.
    seconds : list of float
        Seconds a call, one for each round.
    """

    contestant: Contestant
    calls: int
    seconds: list[float]


def warm_up(contestant: Contestant, seconds: float, clock: Clock = perf_counter_ns) -> Warm:
    """Run a contestant for so many seconds, but three times at least: the first call may compile, and the second."""
    with contestant.active():
        for _ in range(2):
            contestant.call()
            contestant.finish()
        calls, begun, fastest = 1, clock(), inf
        while True:
            at = clock()
            for _ in range(calls):
                contestant.call()
            contestant.finish()
            now = clock()
            fastest = min(fastest, max(now - at, 1) * _NANO / calls)
            if (now - begun) * _NANO >= seconds:
                return Warm(contestant, fastest)
            calls *= 2


def race(
    contestants: Sequence[Warm],
    pace: Pace,
    *,
    tick: Callable[[float], None] = lambda share: None,
    clock: Clock = perf_counter_ns,
) -> list[Timed]:
    """Time contestants in rounds.

    Parameters
    ----------
    contestants : sequence of Warm
        Who takes part.
    pace : Pace
        How long and how often.
    tick : callable
        Called after every timing with the share of the race that is done.
    clock : callable
        Nanoseconds.
    """
    timed = [Timed(warm.contestant, max(1, round(pace.timing / warm.a_call)), []) for warm in contestants]
    fewest, most = pace.rounds
    begun, last_pool, done = clock(), "", 0
    with _no_garbage_collection():
        while timed and done < most:
            for one in _turn(timed, done):
                lead = pace.lead if one.contestant.pool == last_pool else pace.lead_after_others
                one.seconds.append(_time(one.contestant, one.calls, lead, clock))
                last_pool = one.contestant.pool
                n_timings = sum(len(other.seconds) for other in timed)
                tick(max(_share(clock() - begun, pace.budget), n_timings / (most * len(timed))))
            done += 1
            # Another round only if it can be expected to end in time.
            if done >= fewest and _share(clock() - begun, pace.budget) * (done + 1) / done > 1.0:
                break
    return timed


def _share(nanoseconds: int, budget: float) -> float:
    return min(1.0, nanoseconds * _NANO / budget)


def _turn(timed: list[Timed], n: int) -> list[Timed]:
    """Return the order of round n: those of one pool together; pools, and who is first of a pool, take turns."""
    pools: dict[str, list[Timed]] = {}
    for one in timed:
        pools.setdefault(one.contestant.pool, []).append(one)
    return [one for pool in _rotated(list(pools.values()), n) for one in _rotated(pool, n)]


def _rotated(items: list[T], n: int) -> list[T]:
    at = n % len(items)
    return items[at:] + items[:at]


def _time(contestant: Contestant, calls: int, lead: float, clock: Clock) -> float:
    """Return the seconds a call takes, over so many calls, after a lead-in of so many seconds."""
    call, finish = contestant.call, contestant.finish
    with contestant.active():
        until = clock() + round(lead / _NANO)
        while True:
            call()
            finish()  # or a device would still be busy with the lead-in when the clock starts
            if clock() >= until:
                break
        begun = clock()
        for _ in range(calls):
            call()
        finish()
        return (clock() - begun) * _NANO / calls


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect garbage now, and not while the clock runs."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
