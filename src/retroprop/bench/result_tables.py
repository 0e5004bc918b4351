"""Tables of results, for a page and for a terminal."""

import retroprop as rp
from retroprop.bench.analysis import break_even, over_floor, over_hand_written, ratio
from retroprop.bench.parallel.tables import shared_tables
from retroprop.bench.peers import HAND_WRITTEN
from retroprop.bench.processor_load import NOTICED
from retroprop.bench.result_table import (
    LABELS,
    ResultTable,
    flop,
    in_order,
    labels_of,
    megabytes,
    milliseconds,
    narrowed,
    range_of,
    with_quartiles,
)
from retroprop.bench.results import Results


def tables(results: Results, *, wide: bool = True) -> list[ResultTable]:
    """Return every table that is not empty.

    Parameters
    ----------
    results : Results
        A run.
    wide : bool
        Whether to include the table of all times, a column per contestant; the next table repeats its figures.
    """
    found = [ratios(results), parts(results), fits(results), overtaking(results), memory(results), peaks(results)]
    found = [times(results), *found] if wide else found
    found += shared_tables(results)
    return [narrowed(table) for table in (*found, skipped(results)) if table.rows]


def warning(results: Results) -> str:
    """Return a warning about the quality of the figures, empty if there is none."""
    warnings, share = [], results.machine.get("others")
    if share is not None and share >= NOTICED:
        warnings.append(
            f"The machine was busy: other programs used {100.0 * share:.0f} % of its processors' time. On few cores"
            " that changes the ratios too; measure again when it is idle."
        )
    if results.interrupted:
        warnings.append("The run was interrupted: some of the requested figures are missing.")
    return " ".join(warnings)


def headline(results: Results) -> str:
    """Return a description of the machine in one line."""
    machine = results.machine
    gpus = [f"{name} is an {model}" for name, model in machine.get("gpus", {}).items()]
    packages = [f"{name} {version}" for name, version in machine["packages"].items()]
    environment = [f"{name}={value}" for name, value in machine["environment"].items()]
    commit = [f"commit {machine['commit']}"] if machine["commit"] else []
    about = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        *gpus,
        f"NumPy's BLAS is {machine['blas']}",
        f"Python {machine['python']}, {', '.join(packages)}",
        *environment,
        ", ".join([f"retroprop {machine['retroprop']}", *commit, machine["date"]]),
    ]
    return "; ".join(about) + "."


def reports() -> list[str]:
    """Return lines on this process that are not stored with the figures: its compiled loops, and their cache."""
    return [f"{name.capitalize()}: {said}." for name, said in rp.get_backend("numpy").report().items()]


# The tables -------------------------------------------------------------------------------------------------


def times(results: Results) -> ResultTable:
    """Return the times of a step, with a column per contestant: the floor, the backends, the peers."""
    steps = results.steps
    backends = in_order(name for row in steps for name in row.names("step"))
    others = in_order(name for row in steps for name in row.names("peer"))
    floors = in_order(name for row in steps for name in row.names("floor"))
    floor = "numpy" if "numpy" in floors else next(iter(floors), "")
    table = ResultTable(
        "Time of a training step, ms",
        [*LABELS, f"floor ({floor})" if floor else "floor", *(f"retroprop {name}" for name in backends), *others],
        note="Medians of interleaved rounds. The floor is the bare matrix products of the step.",
        labels=3,
        words=3,
    )
    for row in steps:
        timings = [
            row.timing("floor", floor),
            *(row.timing("step", name) for name in backends),
            *(row.timing("peer", name) for name in others),
        ]
        table.rows.append([*labels_of(row), *map(milliseconds, timings)])
    return table


def ratios(results: Results) -> ResultTable:
    """Return the ratios of a step to its floor and to the hand-written loop, with a row per contestant."""
    table = ResultTable(
        "A training step, over its bare products (the floor) and over hand-written NumPy",
        [*LABELS, "by", "ms", "/ floor", "/ hand-written"],
        note="Medians of the ratios of each round, with quartiles; below 1 is less time.",
        labels=3,
        words=4,
    )
    for row in results.steps:
        for timing in row.timings:
            if timing.kind not in ("step", "peer"):
                continue
            ours = timing.kind == "step"
            floor = over_floor(row, timing.name) if ours else None
            if timing.name == HAND_WRITTEN.name:
                floor, by_hand = ratio(timing, row.timing("floor", "numpy")), None
            else:
                by_hand = over_hand_written(row, timing.kind, timing.name)
            name = f"retroprop {timing.name}" if ours else timing.name
            table.rows.append(
                [*labels_of(row), name, milliseconds(timing), with_quartiles(floor), with_quartiles(by_hand)]
            )
    return table


def parts(results: Results) -> ResultTable:
    """Return the times of the parts of a step, where they were timed."""
    table = ResultTable(
        "Parts of a training step, ms",
        [*LABELS, "backend", "bare products", "forward", "forward, backward", "whole step"],
        labels=3,
        words=4,
    )
    for row in results.steps:
        for name in row.names("gradient"):
            kinds = ("floor", "forward", "gradient", "step")
            table.rows.append([*labels_of(row), name, *(milliseconds(row.timing(kind, name)) for kind in kinds)])
    return table


def fits(results: Results) -> ResultTable:
    """Return the times of whole trainings from host data."""
    table = ResultTable(
        "A whole fit, from arrays on the host",
        [*LABELS, "data", "by", "ms", "/ scikit-learn"],
        note="Shuffled batches, no penalty, no early stopping; the same settings for all.",
        labels=4,
        words=5,
    )
    for row in results.fits:
        for timing in row.timings:
            ours = timing.kind == "fit"
            over = ratio(timing, row.timing("peer", "scikit-learn")) if ours else None
            name = f"retroprop {timing.name}" if ours else timing.name
            data = f"{row.data_rows:,} rows, {row.epochs} epoch{'s' if row.epochs != 1 else ''}"
            table.rows.append([*labels_of(row), data, name, milliseconds(timing), with_quartiles(over)])
    return table


def overtaking(results: Results) -> ResultTable:
    """Return the size from which on each backend takes less time than NumPy."""
    table = ResultTable(
        "Break-even: the size of a step from which a backend takes less time than NumPy",
        ["backend", "optimizer", "dtype", "from"],
        note="By the floating-point operations of a step's matrix products, interpolated between the networks timed.",
        words=4,
    )
    for found in break_even(results.steps):
        size = range_of(found.flops, found.smallest, found.largest, flop)
        table.rows.append([found.backend, found.optimizer, found.dtype, size])
    return table


def memory(results: Results) -> ResultTable:
    """Return the peak memory of steps."""
    table = ResultTable(
        "Peak memory of training steps, MB",
        [*LABELS, "backend", "peak", "least", "transient"],
        note="Without the batch. Least: parameters, gradients, optimizer state, activations once, two layers' deltas.",
        labels=3,
        words=4,
    )
    for row in results.steps:
        itemsize = 8 if row.dtype == "float64" else 4
        least = row.workload.least_memory(row.optimizer) * itemsize
        for found in row.memory:
            if found.peak is not None:
                figures = [megabytes(found.peak), megabytes(least), megabytes(found.transient)]
                table.rows.append([*labels_of(row), found.backend, *figures])
    return table


def peaks(results: Results) -> ResultTable:
    """Return the measured peaks of the devices."""
    table = ResultTable("Peaks, measured", ["backend", "dtype", "matrix product, GFLOP/s", "memory, GB/s"], words=2)
    for roof in results.roofs:
        table.rows.append([roof.backend, roof.dtype, f"{roof.flops / 1e9:,.0f}", f"{roof.bandwidth / 1e9:,.1f}"])
    return table


def skipped(results: Results) -> ResultTable:
    """Return the contestants that did not take part, with the reasons; the same one stands once."""
    table = ResultTable("Not timed", ["contestant", "reason"], words=2)
    reasons = dict(results.absent)
    for row in results.rows:
        for one in row.skipped:
            reasons.setdefault(f"{one.name} ({row.dtype})", one.reason)
        for found in row.memory:
            if found.reason is not None:
                reasons.setdefault(f"memory of {found.backend}", found.reason)
    table.rows.extend([name, reason] for name, reason in reasons.items())
    return table
