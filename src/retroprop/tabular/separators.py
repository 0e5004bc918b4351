"""The separator of a text file, found by trying each on many lines."""

import re
from collections import Counter
from collections.abc import Sequence

from retroprop.tabular.dates import looks_like_a_date
from retroprop.tabular.errors import DataError
from retroprop.tabular.markers import MISSING_AMONG_NUMBERS, TRUE_FALSE
from retroprop.tabular.number_texts import looks_numeric
from retroprop.tabular.records import records_of

# Of two that fit alike, the first: a comma is also a decimal mark and stands in texts.
SEPARATORS = ("\t", ";", "|", ",", " ")
_MOST_CELLS = 4000  # enough to judge; a wide file has that many in one line
_OTHERS = {separator: re.compile("[" + "".join({",", ";", "\t", "|"} - {separator}) + "]") for separator in SEPARATORS}


def find_separator(source: str, lines: list[str]) -> str:
    """Return the separator of `lines`, the first ones of a file: comma, semicolon, tab, vertical bar or " ".

    Each is tried. The best one gives the same number of cells, two or more, on the most lines, and cells that are
    numbers, dates or words rather than several of those; " " stands for white space of any length. A file of one column
    counts as separated by commas.
    """
    scores = {separator: _score(source, lines, separator) for separator in SEPARATORS}
    best = max(SEPARATORS, key=scores.__getitem__)
    whole = 0.6 * _mean_score([line.strip() for line in lines[1:] or lines], ",")
    return best if scores[best] > whole else ","


def _score(source: str, lines: list[str], separator: str) -> float:
    """Return a score of 0 to 1: the fraction of records of the commonest width, times the mean score of their cells."""
    try:
        records = [record.split(separator) for record in records_of(source, lines, separator)]
    except DataError:  # the last record of the sample may be cut off, or the marks belong to another separator
        return 0.0
    rows = [row for row in records if any(row)]
    width = common_width(rows)
    if width < 2:
        return 0.0
    same = [row for row in rows if len(row) == width]
    body = [cell for row in same for cell in row]
    # White space also separates the words of a text.
    trust = 0.9 if separator == " " else 1.0
    return trust * len(same) / len(rows) * _mean_score(body, separator)


def common_width(rows: Sequence[Sequence[str]]) -> int:
    """Return the commonest number of cells; of several as common, the first."""
    return Counter(map(len, rows)).most_common(1)[0][0] if rows else 0


def _mean_score(cells: list[str], separator: str) -> float:
    cells = cells[:_MOST_CELLS]
    return sum(_cell_score(cell, separator) for cell in cells) / max(1, len(cells))


def _cell_score(cell: str, separator: str) -> float:
    if not cell or cell in MISSING_AMONG_NUMBERS or cell.lower() in TRUE_FALSE:
        return 0.9
    if looks_numeric(cell) or looks_like_a_date(cell):
        return 1.0
    words = cell.split()
    if len(words) > 1 and sum(map(looks_numeric, words)) > 1:
        return 0.1  # several numbers in one cell
    return 0.3 if _OTHERS[separator].search(cell) else 0.8
