"""Plots of results: the ratio to the floor by size, the backends compared, the roofline."""

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from retroprop.bench.analysis import over_floor, ratio
from retroprop.bench.result_table import flop
from retroprop.bench.results import Results, Roof
from retroprop.explain.style import LIGHT, dress, legend, new_figure, write

_COLORS = dict(zip(("numpy", "torch", "jax", "cupy"), LIGHT.colors, strict=False))
_MARKERS = {"sgd": "o", "adam": "s"}


def draw(runs: Sequence[tuple[str, Results]], path: Path) -> None:
    """Write a picture of some runs in the format of its name (.png, .svg, .pdf), whole or not at all.

    Parameters
    ----------
    runs : sequence of (str, Results)
        The title and the results of each run; a run is a row of panels.
    path : Path
        The file.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    """
    figure, rows = panels(runs, height=5.6)
    for results, (floor, compared, roofline) in rows:
        _floor(floor, results)
        _compared(compared, results)
        _roofline(roofline, results)
    write(figure, path, dpi=130)


def panels(runs: Sequence[tuple[str, Results]], *, height: float) -> tuple[Any, list[tuple[Results, Any]]]:
    """Return a figure, and for each run its results with the three axes of a row, which is so many inches high."""
    figure, rows = new_figure(15.0, height * len(runs), layout="constrained"), []
    parts = figure.subfigures(len(runs), 1, squeeze=False)[:, 0]
    for part, (title, results) in zip(parts, runs, strict=True):
        machine = results.machine
        where = f"{machine['cpu']}, {machine['cores']} cores, retroprop {machine['retroprop']}, {machine['date']}"
        part.suptitle(f"{title}: {where}" if title else where, x=0.012, ha="left", fontsize=10.5, color=LIGHT.muted)
        rows.append((results, part.subplots(1, 3)))
    return figure, rows


def _floor(axes: Any, results: Results) -> None:
    """Draw the time of a step over that of its bare products, by the work of a step."""
    dress(axes, "A step over its bare matrix products", xlabel="work of a step")
    axes.axhline(1.0, color=LIGHT.ink, linewidth=1.2)
    shown, label = [1.0], _labels(results)
    for name, color in _colors(results, "step").items():
        points = [
            (row.workload.flops, found, row.optimizer)
            for row in results.steps
            if (found := over_floor(row, name)) is not None
        ]
        for optimizer, marker in _MARKERS.items():
            some = sorted((size, r.median, r.low, r.high) for size, r, by in points if by == optimizer)
            if some:
                sizes, medians, lows, highs = zip(*some, strict=True)
                shown += medians
                axes.vlines(sizes, lows, highs, color=color, linewidth=1.2)
                _line(axes, sizes, medians, color, marker, label(name, optimizer))
    axes.set_yscale("log")
    axes.set_ylim(0.85 * min(shown), 1.35 * max(shown))  # of the medians: a quartile may be an outlier
    _logarithmic(axes)


def _compared(axes: Any, results: Results) -> None:
    """Draw the step of every contestant over retroprop's on NumPy, by the work of a step."""
    dress(axes, "A step over retroprop's on NumPy", xlabel="work of a step")
    axes.axhline(1.0, color=LIGHT.ink, linewidth=1.2)
    label = _labels(results)
    for kind in ("step", "peer"):
        for name, color in _colors(results, kind).items():
            for optimizer, marker in _MARKERS.items():
                some = sorted(
                    (row.workload.flops, found.median)
                    for row in results.steps
                    if row.optimizer == optimizer
                    and (found := ratio(row.timing(kind, name), row.timing("step", "numpy"))) is not None
                )
                if some and (kind, name) != ("step", "numpy"):
                    style = "-" if kind == "step" else (0, (3, 2))
                    sizes, medians = zip(*some, strict=True)
                    _line(axes, sizes, medians, color, marker, label(name, optimizer), style=style)
    _logarithmic(axes)


def _roofline(axes: Any, results: Results) -> None:
    """Draw the achieved floating-point operations per second below the peaks of the device."""
    from matplotlib.ticker import FuncFormatter

    dress(axes, "Roofline", xlabel="arithmetic intensity, FLOP/byte", ylabel="GFLOP/s")
    intensities, label = [], _labels(results)
    for name, color in _colors(results, "step").items():
        for optimizer, marker in _MARKERS.items():
            points = []
            for row in results.steps:
                timing = row.timing("step", name)
                if timing is not None and row.optimizer == optimizer:
                    work, itemsize = row.workload, np.dtype(row.dtype).itemsize
                    intensity = work.flops / (work.elements(optimizer) * itemsize)
                    points.append((intensity, work.flops / timing.median / 1e9))
            if points:
                intensities += [point[0] for point in points]
                axes.plot(*zip(*points, strict=True), marker, color=color, markersize=5, label=label(name, optimizer))
    for device, roof in _roofs(results.roofs).items():
        low, high = min(intensities, default=0.1), max(intensities, default=100.0)
        x = np.geomspace(low / 1.5, max(high * 1.5, 2.0 * roof.flops / roof.bandwidth), 200)
        axes.plot(x, np.minimum(roof.flops, roof.bandwidth * x) / 1e9, color=LIGHT.ink, linewidth=1.4)
        axes.annotate(
            f"{device}: {roof.flops / 1e9:,.0f} GFLOP/s, {roof.bandwidth / 1e9:,.0f} GB/s from memory",
            (x[-1], roof.flops / 1e9),
            xytext=(0, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=LIGHT.ink,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend(axes, size=8.5, handlelength=1.6, loc="lower right")


def _roofs(roofs: Sequence[Roof]) -> dict[str, Roof]:
    """Return the highest roof of each device: several libraries share it, and some use only a fraction of it."""
    found: dict[str, Roof] = {}
    for roof in roofs:
        library, _, device = roof.backend.partition(":")
        name = "CPU" if library == "numpy" or device.startswith("cpu") else f"GPU {device.rpartition(':')[2] or 0}"
        best = found.get(name, roof)
        found[name] = Roof(
            backend=name,
            dtype=roof.dtype,
            flops=max(best.flops, roof.flops),
            bandwidth=max(best.bandwidth, roof.bandwidth),
        )
    return found


def _colors(results: Results, kind: str) -> dict[str, str]:
    """Return a color for each contestant of a kind: its library's own, where that is not taken."""
    names = dict.fromkeys(name for row in results.steps for name in row.names(kind))
    free, taken, found = cycle(LIGHT.colors[len(_COLORS) :]), set(), {}
    for name in names:
        color = _COLORS.get(name.partition(":")[0], LIGHT.muted if name.startswith("hand") else "")
        if not color or color in taken:
            color = next(free)
        taken.add(color)
        found[name] = color
    return found


def _line(axes: Any, x: Any, y: Any, color: str, marker: str, label: str, style: Any = "-") -> None:
    axes.plot(x, y, color=color, linewidth=1.6, linestyle=style, marker=marker, markersize=4.5, label=label)


def _logarithmic(axes: Any) -> None:
    """Give both axes logarithmic scales with plain numbers, and the x axis its unit."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: flop(value).replace(".00 ", " ").replace(".0 ", " ")))
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    legend(axes, size=8.5, handlelength=1.6, loc="upper right")


def _labels(results: Results) -> Callable[[str, str], str]:
    """Return a function for the label of a line, with the optimizer only if there are two."""
    several = len({row.optimizer for row in results.steps}) > 1
    return lambda name, optimizer: f"{name}, {optimizer}" if several else name
