"""The efficiency of ranks, and the batch from which they are faster than one process."""

from typing import NamedTuple

from retroprop.bench.analysis import Ratio, crossing, ratio
from retroprop.bench.results import ResultRow, Results

PART, WHOLE, SHARED = "part", "whole", "shared"
"""Kinds of a timing: one process with the rows of a rank, one with the rows of all, and all ranks."""
OURS, THEIRS = "retroprop", "torch DDP"
"""Names of the contestants."""


def efficiency(row: ResultRow, name: str) -> Ratio | None:
    """Return T(1 rank, m rows) / T(R ranks, R m rows) of a contestant."""
    return ratio(row.timing(PART, name), row.timing(SHARED, name))


def speed_up(row: ResultRow, name: str) -> Ratio | None:
    """Return T(1 rank, R m rows) / T(R ranks, R m rows) of a contestant."""
    return ratio(row.timing(WHOLE, name), row.timing(SHARED, name))


class FasterFrom(NamedTuple):
    """The rows of a batch from which on ranks take less time than one process, None if not at the largest."""

    network: str
    ranks: int
    name: str
    rows: float | None
    smallest: int
    largest: int


def faster_from(results: Results) -> list[FasterFrom]:
    """Return the break-even batch of every network, number of ranks and contestant, by what was timed."""
    groups: dict[tuple[str, int, str], list[tuple[int, float]]] = {}
    for row in results.shared:
        for name in row.names(SHARED):
            found = speed_up(row, name)
            if found is not None and row.ranks is not None:
                key = network_of(row), row.ranks, name
                groups.setdefault(key, []).append((row.ranks * row.batch, 1.0 / found.median))
    return [FasterFrom(*key, crossing(points), min(points)[0], max(points)[0]) for key, points in groups.items()]


def network_of(row: ResultRow) -> str:
    """Return the name of a network without its batch."""
    return row.workload.name.partition("@")[0]
