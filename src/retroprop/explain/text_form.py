"""The plain text of a document, and the layout of its equations in lines, which the terminal colours."""

from collections.abc import Sequence

from retroprop.explain.document import Block, Grid, MatrixEquation, Run, Span, TableBlock, TextLine

WIDTH = 110
_INDENT = "    "


def plain(run: Run) -> str:
    """Return the text of a run."""
    return "".join(span.text for span in run)


def note_of(sheet: TableBlock) -> str:
    """Return the line below a table that counts its rows that are not shown; empty if there are none."""
    return f"{sheet.left_out:,} more row{'s' * (sheet.left_out > 1)} not shown" if sheet.left_out else ""


def as_text(blocks: Sequence[Block], width: int = WIDTH) -> str:
    """Return a document in plain text."""
    return "\n".join(_text_of(block, width) for block in blocks).lstrip("\n")


def _text_of(block: Block, width: int) -> str:
    if isinstance(block, TextLine):
        text = plain(block.run)
        return f"\n{text}\n{'-' * len(text)}" if block.heading else text
    if isinstance(block, MatrixEquation):
        return "\n".join(plain(run).rstrip() for run in laid_out(block, width))
    return _table(block)


def _table(sheet: TableBlock) -> str:
    cells = [[plain(run) for run in row] for row in (sheet.columns, *sheet.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    rule = "  ".join("-" * w for w in widths)
    return "\n".join([f"\n{sheet.title}", lines[0], rule, *lines[1:], *filter(None, [note_of(sheet)])])


def laid_out(equation: MatrixEquation, width: int) -> list[Run]:
    """Return an equation as lines: its parts side by side, centred, and continued below where they are too wide."""
    storeys: list[list[list[Run]]] = [[]]
    used = 0
    for lines in _groups(equation):
        wide = len(plain(lines[0])) + 1
        if used and used + wide > width:
            storeys.append([])
            used = len(_INDENT)
        storeys[-1].append(lines)
        used += wide
    return [line for i, storey in enumerate(storeys) for line in _beside(storey, _INDENT if i else "")]


def _groups(equation: MatrixEquation) -> list[list[Run]]:
    """Return the boxes of an equation; a sign between matrices is one with the matrix after it."""
    groups: list[list[Run]] = []
    before: list[list[Run]] = []
    for part in equation.parts:
        before.append(_boxed(part) if isinstance(part, Grid) else [part])
        if isinstance(part, Grid):
            groups.append(_beside(before, ""))
            before = []
    return [*groups, *([_beside(before, "")] if before else [])]


def _boxed(grid: Grid) -> list[Run]:
    """Return a matrix in brackets, a line a row."""
    n, widths = len(grid.rows), [max(len(plain(cell)) for cell in column) for column in zip(*grid.rows, strict=True)]
    lines: list[Run] = []
    for i, row in enumerate(grid.rows):
        left, right = "[]" if n == 1 else "⎡⎤" if i == 0 else "⎣⎦" if i == n - 1 else "⎢⎥"
        spans = [Span(left)]
        for cell, wide in zip(row, widths, strict=True):
            spans += [Span(" " * (wide - len(plain(cell)) + 1)), *cell]
        lines.append((*spans, Span(f" {right}")))
    return lines


def _beside(boxes: list[list[Run]], indent: str) -> list[Run]:
    """Return boxes side by side, each centred in the height of the highest."""
    height = max(map(len, boxes), default=0)
    columns: list[list[Run]] = []
    for box in boxes:
        wide = max(len(plain(line)) for line in box)
        above = (height - len(box)) // 2
        padded = [(Span(" " * wide),)] * above + [(*line, Span(" " * (wide - len(plain(line))))) for line in box]
        columns.append(padded + [(Span(" " * wide),)] * (height - len(padded)))
    return [(Span(indent), *_spaced(row)) for row in zip(*columns, strict=True)]


def _spaced(runs: Sequence[Run]) -> Run:
    """Return runs one after another, with a space between."""
    return tuple(span for i, run in enumerate(runs) for span in ((Span(" "), *run) if i else run))
