"""Statistics over the rounds: ratios within a row, and the size from which one backend overtakes another."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log
from statistics import median, quantiles

from retroprop.bench.peers import HAND_WRITTEN
from retroprop.bench.results import ResultRow, Timing


@dataclass(frozen=True)
class Ratio:
    """A time over another of the same row: median and quartiles of the ratios of each round."""

    median: float
    low: float
    high: float


def ratio(over: Timing | None, under: Timing | None) -> Ratio | None:
    """Return the time of one contestant over another's, None where either has none."""
    if over is None or under is None:
        return None
    # Round by round: a disturbance of a second slows both, and leaves their ratio.
    ratios = [a / b for a, b in zip(over.seconds, under.seconds, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return Ratio(median(ratios), low, high)


def over_floor(row: ResultRow, backend: str) -> Ratio | None:
    """Return the time of a step over that of its bare products, on the same backend."""
    return ratio(row.timing("step", backend), row.timing("floor", backend))


def over_hand_written(row: ResultRow, kind: str, name: str) -> Ratio | None:
    """Return the time of a contestant over that of the hand-written loop."""
    return ratio(row.timing(kind, name), row.timing("peer", HAND_WRITTEN.name))


@dataclass(frozen=True)
class BreakEven:
    """The size from which on a backend takes less time than the reference.

    Attributes
    ----------
    backend : str
        The backend compared with the reference.
    optimizer, dtype : str
        Of the rows compared.
    flops : float or None
        Work of a step, interpolated between two sizes, at which the times are equal; from there on the backend took
        less time at every size. None if it did not at the largest size, and the smallest size if it always did.
    smallest, largest : int
        The smallest and the largest size timed, in floating-point operations a step.
    """

    backend: str
    optimizer: str
    dtype: str
    flops: float | None
    smallest: int
    largest: int


def break_even(rows: Iterable[ResultRow], reference: str = "numpy") -> list[BreakEven]:
    """Return the break-even size of every backend in the rows except the reference."""
    groups: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    for row in rows:
        for backend in row.names("step"):
            found = ratio(row.timing("step", backend), row.timing("step", reference))
            if backend != reference and found is not None:
                key = (backend, row.optimizer, row.dtype)
                groups.setdefault(key, []).append((row.workload.flops, found.median))
    return [
        BreakEven(*key, crossing(points), min(points)[0], max(points)[0])
        for key, points in groups.items()
        if len(points) > 1
    ]


def crossing(points: list[tuple[int, float]]) -> float | None:
    """Return the size from which on every ratio is below 1, interpolated on two logarithmic scales.

    Parameters
    ----------
    points : list of (size, ratio)
        In any order.
    """
    points = sorted(points)
    # Only the last crossing counts: a backend may win, lose again, and win for good.
    first = len(points)
    while first > 0 and points[first - 1][1] < 1.0:
        first -= 1
    if first == len(points):
        return None
    if first == 0:
        return float(points[0][0])
    (below, slower), (above, faster) = points[first - 1], points[first]
    # log r goes from log(slower) >= 0 to log(faster) < 0 as log(size) goes from below to above
    share = log(slower) / (log(slower) - log(faster))
    return exp(log(below) + share * (log(above) - log(below)))
