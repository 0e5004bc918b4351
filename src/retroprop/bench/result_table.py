"""A table of results, and the text of its cells."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from retroprop.bench.analysis import Ratio
from retroprop.bench.results import ResultRow, Timing

LABELS = ["network", "optimizer", "dtype"]
"""The columns that identify a network."""


@dataclass(frozen=True)
class ResultTable:
    """A table of strings.

    Attributes
    ----------
    title, note : str
        The texts above and below the table.
    columns, rows : list
        The headings, and the cells of each row.
    labels : int
        The number of first columns that identify the network of a row.
    words : int
        The number of first columns that hold words; the others hold numbers.
    """

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""
    labels: int = 0
    words: int = 1


def labels_of(row: ResultRow) -> list[str]:
    """Return the cells of these columns."""
    return [row.workload.name, row.optimizer, row.dtype]


def in_order(names: object) -> list[str]:
    """Return each name once."""
    return list(dict.fromkeys(names))  # type: ignore[call-overload]


def digits(value: float) -> str:
    """Return a number as text with three significant digits, without an exponent."""
    if value >= 99.95:
        return f"{value:,.0f}"
    text = f"{value:#.3g}"
    return f"{value:.7f}" if "e" in text else text.removesuffix(".")


def flop(count: float) -> str:
    """Return a number of floating-point operations as text, with its unit."""
    for size, name in ((1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP")):
        if count >= size:
            return f"{digits(count / size)} {name}"
    return f"{count:.0f} FLOP"


def range_of(start: float | None, smallest: float, largest: float, text: Callable[[float], str]) -> str:
    """Return the sizes from which on something holds, of those timed: from `start` on, None if not at the largest."""
    if start is None:
        return f"not up to the largest size timed ({text(largest)})"
    return f"every size timed (from {text(smallest)})" if start == smallest else text(start)


def milliseconds(timing: Timing | None) -> str:
    """Return the median of a timing."""
    return "" if timing is None else digits(1e3 * timing.median)


def with_quartiles(found: Ratio | None) -> str:
    """Return a ratio with its quartiles."""
    if found is None:
        return ""
    return f"{digits(found.median)} ({digits(found.low)}–{digits(found.high)})"


def megabytes(count: int | None) -> str:
    """Return a number of bytes in MB."""
    return "" if count is None else digits(count / 1e6)


def narrowed(table: ResultTable) -> ResultTable:
    """Return a table without empty columns of figures, and without an optimizer or dtype that all rows share.

    A shared one is named in the title.
    """
    same = {name: {row[at] for row in table.rows} for at, name in enumerate(table.columns) if name in LABELS[1:]}
    dropped = {name: next(iter(values)) for name, values in same.items() if len(values) == 1}
    empty = {name for at, name in enumerate(table.columns) if at >= table.words and not any(r[at] for r in table.rows)}
    kept = [at for at, name in enumerate(table.columns) if name not in dropped.keys() | empty]
    return replace(
        table,
        title=f"{table.title} ({', '.join(dropped.values())})" if dropped else table.title,
        columns=[table.columns[at] for at in kept],
        rows=[[row[at] for at in kept] for row in table.rows],
        labels=max(0, table.labels - len(dropped)),
        words=table.words - len(dropped),
    )
