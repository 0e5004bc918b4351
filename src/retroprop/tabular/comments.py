"""Comment lines of a text file: those above the table, which may hold the names, and those among its rows."""

from dataclasses import dataclass

from retroprop.tabular.errors import DataError
from retroprop.tabular.records import Record, records_of
from retroprop.tabular.separators import common_width

_SAMPLE = 100
COMMENTS = ("#", "%")


@dataclass(frozen=True)
class TopLines:
    """The lines above a table.

    Attributes
    ----------
    first : int
        The index of the first line that is none of them.
    comment : str
        The character that begins a comment, or "".
    names : list of str
        The cells of the last comment.
    n_titles : int
        The number of other lines that are no part of the table: Excel's sep=;.
    """

    first: int
    comment: str
    names: list[str]
    n_titles: int


def find_top(source: str, lines: list[str], separator: str) -> TopLines:
    """Return the blank lines, comments and the line sep=; at the top of a file.

    A line is a comment if it begins with # or % and then white space, another such mark or nothing; or if it begins
    with # or % and has not as many cells as the table. Where most lines begin so, they are data.
    """
    i, comment, names, n_titles = 0, "", list[str](), 0
    sample = [line for line in lines[:_SAMPLE] if line.strip()]
    rows = [line for line in sample if not line.startswith(COMMENTS)]
    width = common_width([[""] * _width(source, line, separator) for line in rows])
    commented = 2 * len(rows) >= len(sample)
    while i < len(lines):
        line = lines[i].rstrip("\r")
        if i == 0 and line.lower().startswith("sep=") and len(line.strip()) == 5:
            n_titles += 1
        elif commented and line.startswith(COMMENTS) and (_marks(line) or _width(source, line, separator) != width):
            comment = line[0]
            words = line.lstrip("#%! \t")
            names = next(records_of(source, [words], separator)).split(separator) if words and '"' not in words else []
        elif line.strip(" ") if separator == "\t" else line.strip():  # tabs alone are a row of empty cells
            break
        i += 1
    return TopLines(i, comment, names, n_titles)


def is_comment(record: Record, comment: str, width: int) -> bool:
    """Return whether a record among the rows of a table is a comment, by the rule of `find_top`."""
    if not record.text.startswith(comment or "#"):
        return False
    return record.width != width or (bool(comment) and _marks(record.text))


def _marks(line: str) -> bool:
    return not line[1:].strip() or line[1] in "#%! \t"


def _width(source: str, line: str, separator: str) -> int:
    try:
        return next(records_of(source, [line], separator)).width
    except DataError:  # a record of several lines
        return 0
