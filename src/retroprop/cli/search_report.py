"""The candidates of a search: the best as a printed table, all of them as a picture."""

from collections.abc import Mapping
from math import nan
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from retroprop.tabular.report import TITLES, figures

_MOST_ROWS = 8
_NAMES = {"hidden": "Hidden", "l2": "L2", "dropout": "Dropout", "learning_rate": "Learning rate"}


def search_table(search: Mapping[str, Any]) -> Table:
    """Return the best candidates of a search, the chosen one first."""
    candidates, criterion = search["candidates"], search["criterion"]
    names = [name for name in _NAMES if name in candidates[0]]
    table = Table(
        title=f"Search: {len(candidates)} candidates, {search['folds']} folds, {search['fits']} fits in "
        f"{search['seconds']:.1f} s{', interrupted' if search['interrupted'] else ''}",
        title_justify="left",
        title_style="bold",
        box=box.ROUNDED,
        header_style="bold",
    )
    for name in (*(_NAMES[name] for name in names), "Epochs", TITLES[criterion], "±"):
        table.add_column(Text(name), justify="right")
    for i, one in enumerate(candidates[:_MOST_ROWS]):
        cells = [*(words(one[name]) for name in names), str(one["epochs"])]
        cells += [figures(criterion, one["mean"]), figures(criterion, one["standard_error"])]
        table.add_row(*map(Text, cells), style="" if i else "bold green")
    if len(candidates) > _MOST_ROWS:
        table.caption = f"and {len(candidates) - _MOST_ROWS} more"
    return table


def words(value: Any) -> str:
    """Return the value of an option as a user would type it; None is the default of the optimizer."""
    if value is None:
        return "default"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else f"{value:.3g}"


def draw_search(search: Mapping[str, Any], path: Path) -> None:
    """Write a picture of all candidates: the figure of each with its standard error, by the round it came to.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from retroprop.explain.style import LIGHT, dress, legend, new_figure, write

    ranked = [one for one in search["candidates"] if one["mean"] is not None] or search["candidates"]
    names = [name for name in _NAMES if name in ranked[0]]
    height = 1.5 + 0.24 * len(ranked)
    figure = new_figure(9.0, height)
    axes = figure.add_axes((0.42, 0.5 / height, 0.54, 1.0 - 1.3 / height))
    title = f"{len(search['candidates'])} candidates: {TITLES[search['criterion']].lower()}, {search['folds']} folds"
    figure.text(0.03, 1.0 - 0.4 / height, title, fontsize=14, fontweight="bold", color=LIGHT.ink, va="center")
    dress(axes, "mean and standard error")
    for done in sorted({one["rounds"] for one in ranked}, reverse=True):
        places = [i for i, one in enumerate(ranked) if one["rounds"] == done]
        axes.errorbar(
            [_number(ranked[i]["mean"]) for i in places],
            places,
            xerr=[_number(ranked[i]["standard_error"]) for i in places],
            fmt="o",
            color=LIGHT.colors[(done - 1) % len(LIGHT.colors)],
            markersize=5.0,
            elinewidth=1.4,
            label=f"{ranked[places[0]]['epochs']} epochs",
        )
    axes.set_yticks(range(len(ranked)))
    axes.set_yticklabels(["   ".join(f"{_NAMES[n].lower()} {words(one[n])}" for n in names) for one in ranked])
    axes.tick_params(axis="y", labelsize=7.5)
    axes.set_ylim(len(ranked) - 0.5, -0.5)
    legend(axes, loc="best")
    write(figure, path)


def _number(value: float | None) -> float:
    """Return a figure as a number: NaN, which is not drawn, for none."""
    return nan if value is None else value
