"""The interleaved timer: each round times every contestant once, so that a change of the machine affects them all.

Warm-up is separate: each contestant runs alone until it is compiled, its buffers are allocated and its pace is known. A
timing repeats the call until it lasts long enough for the clock, and ends when the device has finished the last call.
Before a timing the contestant runs unmeasured for a moment, to have its own data in the caches. Where the timing before
was of another library, that moment is longer: OpenBLAS's threads, for one, hold on to a processor for a tenth of a
second after their last product, and on two cores that doubles the time of the next contestant.
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
"""A clock that returns nanoseconds."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The duration and repetition of a timing.

    Attributes
    ----------
    budget : float
        Seconds for all rounds of one race together.
    timing : float
        The least seconds of a timing.
    warm_up : float
        The least seconds a contestant runs before the rounds.
    lead, lead_after_others : float
        Seconds a contestant runs before each of its timings: after a timing of the same library, and of another.
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
    """A contestant that is ready to be timed, and the approximate seconds of one call."""

    contestant: Contestant
    a_call: float


@dataclass(frozen=True)
class Timed:
    """The timings of one contestant in a race.

    Attributes
    ----------
    contestant : Contestant
        The contestant.
    calls : int
        Calls per timing.
    seconds : list of float
        Seconds per call, one for each round.
    """

    contestant: Contestant
    calls: int
    seconds: list[float]


def warm_up(contestant: Contestant, seconds: float, clock: Clock = perf_counter_ns) -> Warm:
    """Run a contestant for so many seconds, at least three times: the first two calls may compile."""
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
        The contestants.
    pace : Pace
        How long and how often they are timed.
    tick : callable
        Called after every timing with the fraction of the race that is done.
    clock : callable
        Returns nanoseconds.
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
            # Another round begins only if it is expected to end in time.
            if done >= fewest and _share(clock() - begun, pace.budget) * (done + 1) / done > 1.0:
                break
    return timed


def _share(nanoseconds: int, budget: float) -> float:
    return min(1.0, nanoseconds * _NANO / budget)


def _turn(timed: list[Timed], n: int) -> list[Timed]:
    """Return the order of round n: pools stay together; the first pool, and the first of each pool, change."""
    pools: dict[str, list[Timed]] = {}
    for one in timed:
        pools.setdefault(one.contestant.pool, []).append(one)
    return [one for pool in _rotated(list(pools.values()), n) for one in _rotated(pool, n)]


def _rotated(items: list[T], n: int) -> list[T]:
    at = n % len(items)
    return items[at:] + items[:at]


def _time(contestant: Contestant, calls: int, lead: float, clock: Clock) -> float:
    """Return the seconds per call, over so many calls, after a lead-in of so many seconds."""
    call, finish = contestant.call, contestant.finish
    with contestant.active():
        until = clock() + round(lead / _NANO)
        while True:
            call()
            finish()  # otherwise a device is still busy with the lead-in when the clock starts
            if clock() >= until:
                break
        begun = clock()
        for _ in range(calls):
            call()
        finish()
        return (clock() - begun) * _NANO / calls


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect garbage now, and none while the clock runs."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
