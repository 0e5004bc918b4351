"""A document in a terminal, in colours, by rich; names are text and never read as markup."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from retroprop.explain.document import ROLES, Block, MatrixEquation, Run, TableBlock, TextLine
from retroprop.explain.text_form import laid_out, note_of

# Terminals of 16 colours have their own shades of these, for a light or a dark background.
_SIXTEEN = {"delta": "yellow", "theta": "cyan", "b": "cyan", "a": "green", "x": "green", "z": "magenta"}


def renderables(blocks: Sequence[Block], width: int, color_system: str | None) -> Iterator[Any]:
    """Yield the parts for a console of this width and these colours."""
    colors = _SIXTEEN if color_system in ("standard", "windows") else ROLES

    def text(run: Run, style: str = "") -> Text:
        return Text.assemble(*((span.text, colors.get(span.role or "", "")) for span in run), style=style)

    for block in blocks:
        if isinstance(block, TextLine):
            if block.heading:
                yield Text()
            yield text(block.run, "bold underline" if block.heading else "")
        elif isinstance(block, MatrixEquation):
            for run in laid_out(block, width):
                line = text(run)
                line.rstrip()
                yield line
        else:
            yield Text()
            yield _table(block, text)


def _table(sheet: TableBlock, text: Callable[[Run], Text]) -> Table:
    table = Table(title=Text(sheet.title, style="bold"), title_justify="left", box=box.ROUNDED)
    for column in sheet.columns:
        table.add_column(text(column), justify="right", overflow="fold")
    for row in sheet.rows:
        table.add_row(*map(text, row))
    table.caption = Text(note_of(sheet)) if sheet.left_out else None
    return table
