"""The plot of shared steps: efficiency by the rows of a rank, speed-up by those of a batch, and the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retroprop.bench.parallel.efficiency import OURS, SHARED, efficiency, network_of, speed_up
from retroprop.bench.parallel.model import NETWORKS, RANKS, modelled
from retroprop.bench.plots import panels
from retroprop.bench.result_table import in_order
from retroprop.bench.results import Results
from retroprop.explain.style import LIGHT, dress, legend, write

_STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)))


def draw_shared(runs: Sequence[tuple[str, Results]], path: Path) -> None:
    """Write a picture of some runs, a row of panels each, in the format of its name."""
    figure, rows = panels(runs, height=5.2)
    for results, (left, middle, right) in rows:
        networks = in_order(map(network_of, results.shared))
        colors = {name: LIGHT.colors[at % len(LIGHT.colors)] for at, name in enumerate(networks)}
        dress(left, "Efficiency", xlabel="rows of a rank")
        dress(middle, "Speed-up over one process", xlabel="rows of a batch")
        dress(right, "Efficiency by the model, most rows a rank", xlabel="ranks")
        _measured(left, middle, results, colors)
        _predicted(right, results, colors)
        for axes in (left, middle, right):
            axes.axhline(1.0, color=LIGHT.ink, linewidth=1.2)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.set_ylim(bottom=0.0)
            legend(axes, size=8.0, handlelength=4.0)
    write(figure, path, dpi=130)


def _measured(left: Any, middle: Any, results: Results, colors: dict[str, str]) -> None:
    numbers = sorted({row.ranks or 0 for row in results.shared})
    for network, color in colors.items():
        for ranks, marker in zip(numbers, "os^DvP*" * len(numbers), strict=False):
            rows = sorted(
                (row for row in results.shared if (network_of(row), row.ranks) == (network, ranks)),
                key=lambda row: row.batch,
            )
            for name in in_order(name for row in rows for name in row.names(SHARED)):
                style = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1.6}
                style |= {"linestyle": _STYLES[name != OURS], "label": f"{network}, {ranks} ranks, {name}"}
                for axes, gain, factor in ((left, efficiency, 1), (middle, speed_up, ranks)):
                    points = [(factor * row.batch, found.median) for row in rows if (found := gain(row, name))]
                    axes.plot(*zip(*points, strict=True), **style)


def _predicted(axes: Any, results: Results, colors: dict[str, str]) -> None:
    for network, row, step in modelled(results):
        for connection, style in zip(NETWORKS, _STYLES, strict=True):
            shares = [step.efficiency(connection, ranks) for ranks in RANKS]
            label = f"{network}, {row.batch:,} rows, {connection.name}"
            axes.plot(RANKS, shares, color=colors[network], linestyle=style, linewidth=1.6, label=label)
