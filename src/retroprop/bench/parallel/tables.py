"""The tables of shared steps: measured, from which batch on they gain, and the model of more ranks."""

from retroprop.bench.parallel.efficiency import OURS, PART, SHARED, efficiency, faster_from, network_of, speed_up
from retroprop.bench.parallel.model import NETWORKS, RANKS, modelled
from retroprop.bench.result_table import LABELS, ResultTable, digits, milliseconds, range_of, with_quartiles
from retroprop.bench.results import Connection, Results


def shared_tables(results: Results) -> list[ResultTable]:
    """Return the tables of shared steps, empty where there are none."""
    return [measured(results), break_even_batch(results), predicted(results)]


def measured(results: Results) -> ResultTable:
    """Return the times of shared steps, with a row per contestant."""
    table = ResultTable(
        "Steps shared by ranks of one thread each, ms",
        [*LABELS, "ranks × rows", "by", "alone", "shared", "efficiency", "speed-up"],
        note="Alone: one rank with its rows. Efficiency: alone over shared, with quartiles. Speed-up: one rank with the"
        " rows of all over shared. Medians over turns, of the ratios in each.",
        labels=3,
        words=5,
    )
    for row in results.shared:
        for name in row.names(SHARED):
            label = [network_of(row), row.optimizer, row.dtype, f"{row.ranks} × {row.batch:,}", name]
            times = [milliseconds(row.timing(kind, name)) for kind in (PART, SHARED)]
            faster = speed_up(row, name)
            gains = [with_quartiles(efficiency(row, name)), f"{faster.median:.2f}" if faster else ""]
            table.rows.append([*label, *times, *gains])
    return table


def break_even_batch(results: Results) -> ResultTable:
    """Return the batch from which ranks take less time than one."""
    table = ResultTable(
        "Break-even: the rows of a batch from which ranks take less time than one",
        ["network", "ranks", "by", "from"],
        note="The rows of all ranks, interpolated between the batches timed.",
        words=4,
    )
    for one in faster_from(results):
        size = range_of(one.rows, one.smallest, one.largest, lambda rows: f"{rows:,.0f}")
        table.rows.append([one.network, str(one.ranks), one.name, size])
    return table


def predicted(results: Results) -> ResultTable:
    """Return the efficiency by the model, of each network with its most rows a rank."""
    numbers = sorted({*RANKS, *(row.ranks or 0 for row in results.shared)})
    table = ResultTable(
        "Efficiency by a model of more ranks and slower networks",
        ["network, rows a rank", "connection", *map(str, numbers)],
        note="T = T(1 rank, its rows) + c + latency ⌈log2 R⌉ + 2 (R − 1)/R · bytes of the gradients / bandwidth, by"
        " ranks R. Here it is measured: c is the rest of the step, latency and bandwidth are those of sums of two"
        " buffers. Those of the networks are assumed.",
        labels=1,
        words=2,
    )
    for network, row, step in modelled(results):
        label = f"{network}, {row.batch:,}: c = {digits(1e3 * step.overhead)} ms"
        for one in results.connections:
            same = [r for r in results.shared if (network_of(r), r.batch, r.ranks) == (network, row.batch, one.ranks)]
            gain = efficiency(same[0], OURS) if same else None
            cells = [f"{gain.median:.2f}" if gain and ranks == one.ranks else "" for ranks in numbers]
            table.rows.append([label, _described(one), *cells])
        for one in NETWORKS:
            table.rows.append([label, _described(one), *(f"{step.efficiency(one, ranks):.2f}" for ranks in numbers)])
    return table


def _described(connection: Connection) -> str:
    latency, bandwidth = 1e6 * connection.latency, connection.bandwidth / 1e9
    return f"{connection.name}: {latency:.3g} µs, {bandwidth:.3g} GB/s"
