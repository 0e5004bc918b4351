"""Result tables as Markdown, and as aligned text for a terminal."""

from dataclasses import replace
from itertools import groupby

from retroprop.bench.result_table import ResultTable
from retroprop.bench.result_tables import headline, tables, warning
from retroprop.bench.results import Results


def markdown(results: Results) -> str:
    """Return all tables of a run as Markdown, under a description of the machine."""
    lines = [headline(results), ""]
    if warning(results):
        lines += [warning(results), ""]
    for table in tables(results):
        lines += [f"**{table.title}**", "", *_markdown(table), ""]
        if table.note:
            lines += [table.note, ""]
    return "\n".join(lines)


def _markdown(table: ResultTable) -> list[str]:
    rule = ["---"] * table.words + ["---:"] * (len(table.columns) - table.words)
    lines = [_line(table.columns), f"|{'|'.join(rule)}|"]
    above: list[str] = []
    for row in table.rows:
        # The name of a network stands once, where its rows begin.
        same = row[: table.labels] == above
        above = row[: table.labels]
        lines.append(_line([""] * table.labels + row[table.labels :] if same else row))
    return lines


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def grouped(table: ResultTable) -> ResultTable:
    """Return a narrower table: each network has a line of its own, with its rows indented below."""
    n = table.labels
    if n == 0 or table.words == n:
        return table
    rows: list[list[str]] = []
    for label, group in groupby(table.rows, key=lambda row: row[:n]):
        rows.append([" ".join(label), *[""] * (len(table.columns) - n - 1)])
        rows += [[f"  {row[n]}", *row[n + 1 :]] for row in group]
    return replace(table, columns=[table.columns[0], *table.columns[n + 1 :]], rows=rows, labels=0, words=1)


def text(table: ResultTable) -> str:
    """Return a table as aligned text."""
    table = grouped(table)
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if at < table.words else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in (table.columns, ["-" * width for width in widths], *table.rows)
    ]
    return "\n".join([table.title, "", *lines, *([table.note] if table.note else [])])
