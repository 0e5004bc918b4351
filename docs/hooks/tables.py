"""The tables of the reference, made from the package when the site is built.

A page has a line `<!-- table: losses -->`, and this hook of mkdocs puts the rows of the table of losses in its place:
no page keeps a list of names.
"""

import inspect
import re
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import retroprop as rp

TABLES = {
    "activations": rp.activations.ACTIVATIONS,
    "losses": rp.losses.LOSSES,
    "initializers": rp.initializers.INITIALIZERS,
    "metrics": rp.metrics.METRICS,
    "optimizers": rp.optimizers.OPTIMIZERS,
}
PLACE = re.compile(r"^<!-- table: (\w+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the text of a page with its tables; called by mkdocs for every page."""
    return PLACE.sub(lambda place: table(TABLES[place[1]]), markdown)


def table(rows: dict[str, type]) -> str:
    """Return a Markdown table with the name, the parameters and the definition of every row."""
    lines = ["| name | parameters | definition |", "|---|---|---|"]
    for name, row in rows.items():
        definition = (inspect.getdoc(row) or "").partition("\n")[0]
        cells = (f"`{name}`", ", ".join(f"`{one}`" for one in parameters(row)), definition)
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def parameters(row: type) -> list[str]:
    """Return the parameters of a class with their defaults, as `delta=1.0`."""
    if not is_dataclass(row):
        return []
    return [f.name if f.default is MISSING else f"{f.name}={f.default!r}" for f in fields(row)]
