"""A model of a step that ranks share: T = T_1(m) + c + latency ⌈log2 R⌉ + 2 (R − 1)/R · bytes / bandwidth.

T_1(m) is the step of one process with the rows of a rank, and c what dividing a step costs beside the sum: the rest of
a measured shared step. The sum of the gradients is that of the best algorithms: each rank sends 2 (R − 1)/R times the
buffer, by a reduce-scatter and a gather, and a message is passed on ⌈log2 R⌉ times (Thakur, Rabenseifner and Gropp,
Optimization of Collective Communication Operations in MPICH, 2005).
"""

from collections.abc import Iterator
from typing import NamedTuple

from retroprop.bench.parallel.efficiency import OURS, PART, SHARED, network_of
from retroprop.bench.results import Connection, ResultRow, Results

RANKS = (2, 4, 8, 16, 64)
"""The numbers of ranks of a prediction."""

NETWORKS = (
    Connection(name="1 GbE", latency=50e-6, bandwidth=0.117e9),
    Connection(name="10 GbE", latency=25e-6, bandwidth=1.17e9),
    Connection(name="100 Gb InfiniBand", latency=2e-6, bandwidth=12e9),
)
"""Assumed: the latency of an MPI message over TCP and over RDMA, and 94 to 96 % of the bit rate as bandwidth."""


def seconds_of_sum(connection: Connection, ranks: int, size: float) -> float:
    """Return the seconds of a sum of buffers of `size` bytes over ranks, one a process."""
    hops = (ranks - 1).bit_length()
    return connection.latency * hops + 2.0 * (ranks - 1) / ranks * size / connection.bandwidth


class SharedStep(NamedTuple):
    """The seconds of a step by the model: T_1(m) and c, and the bytes of the gradients."""

    alone: float
    overhead: float
    size: int

    def efficiency(self, connection: Connection, ranks: int) -> float:
        """Return T_1(m) / T."""
        return self.alone / (self.alone + self.overhead + seconds_of_sum(connection, ranks, self.size))


def step_of(row: ResultRow, here: Connection) -> SharedStep | None:
    """Return the model of retroprop's step of a row, whose ranks were connected by `here`; None where it has none."""
    alone, shared = row.timing(PART, OURS), row.timing(SHARED, OURS)
    if alone is None or shared is None or row.ranks is None:
        return None
    size = row.workload.n_parameters * (8 if row.dtype == "float64" else 4)
    rest = shared.median - alone.median - seconds_of_sum(here, row.ranks, size)
    return SharedStep(alone.median, max(rest, 0.0), size)


def modelled(results: Results) -> Iterator[tuple[str, ResultRow, SharedStep]]:
    """Yield each network with its row of most rows a rank and fewest ranks, and the model of its step."""
    here = {one.ranks: one for one in results.connections}
    rows = sorted(results.shared, key=lambda row: (-row.batch, row.ranks or 0))
    for network in dict.fromkeys(map(network_of, results.shared)):
        row = next(row for row in rows if network_of(row) == network)
        step = step_of(row, here[row.ranks]) if row.ranks in here else None
        if step is not None:
            yield network, row, step


def connection_of(ranks: int, sums: dict[int, float]) -> Connection:
    """Return the connection of the ranks of a job, from the seconds of sums of two buffers, by their bytes."""
    (small, short), (large, long) = sorted(sums.items())
    # Two equations of the model with two unknowns.
    bandwidth = 2.0 * (ranks - 1) / ranks * (large - small) / max(long - short, 1e-9)
    latency = max(short - 2.0 * (ranks - 1) / ranks * small / bandwidth, 0.0) / (ranks - 1).bit_length()
    return Connection(name="this machine", ranks=ranks, latency=latency, bandwidth=bandwidth)
