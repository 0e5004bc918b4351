"""The decision whether the first row of a text file holds names or data, column by column; and unique names."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from retroprop.tabular.dates import looks_like_a_date
from retroprop.tabular.markers import MISSING_AMONG_NUMBERS, TRUE_FALSE
from retroprop.tabular.number_texts import looks_numeric, parts

SURE = 1.5
_WEAK = 0.5


def is_header(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether `first` holds names, by the votes of `header_votes`."""
    return header_votes(first, below) > 0


def header_votes(first: Sequence[str], below: Sequence[Sequence[str]]) -> float:
    """Return a number above 0 where `first` holds names, by comparing it with the rows below it.

    Every column votes. A text above numbers, dates or booleans is a name (3 votes for names), so is an empty cell
    above a column that counts, pandas' index. A cell above texts that occurs among them is a category (3 against), a
    date above dates is data (2 against). A text above other texts that repeat, but not itself, is rather a name (1.5),
    above texts that hardly repeat perhaps (0.5, together 1 at most). The numbers of the row vote together: for names
    where they lie outside the range of most columns (1), count 0, 1, 2 or 1, 2, 3 (3), or rise or fall from column to
    column (1.5), as years and wavelengths do, unlike the rows below; against names where they lie within the range of
    most columns (2) or repeat (2). A result between -1.5 and 1.5 is not sure.
    """
    if not below:
        return -1.0 if any(map(looks_numeric, first)) else 1.0
    columns = [[row[j] for row in below if j < len(row)] for j in range(len(first))]
    votes = [_vote_of_cell(cell, column) for cell, column in zip(first, columns, strict=True)]
    weak = min(1.0, sum(vote for vote in votes if vote == _WEAK))
    return sum(vote for vote in votes if vote != _WEAK) + weak + _vote_of_numbers(first, columns, below)


def _vote_of_cell(cell: str, column: list[str]) -> float:
    values = [value for value in column if value and value not in MISSING_AMONG_NUMBERS]
    if not cell:
        counted = [[str(i + start) for i in range(len(values))] for start in (0, 1)]
        return 3.0 if len(values) > 1 and values in counted else 0.0
    if not values or (cell in MISSING_AMONG_NUMBERS and cell.lower() != "nan"):
        return 0.0
    if all(map(looks_numeric, values)):
        return 0.0 if looks_numeric(cell) else 3.0
    if cell in values or cell.lower() in TRUE_FALSE:
        return -3.0
    if all(looks_like_a_date(value) or value.lower() in TRUE_FALSE for value in values):
        return -2.0 if looks_like_a_date(cell) else 3.0
    if looks_numeric(cell):
        return 0.0
    repeated = set(values)
    return 1.5 if len(values) >= 4 and 2 * len(repeated) <= len(values) else _WEAK


def _vote_of_numbers(first: Sequence[str], columns: list[list[str]], below: Sequence[Sequence[str]]) -> float:
    numbers = _values(first)
    if not numbers:
        return 0.0
    if len(set(numbers)) < len(numbers):
        return -2.0
    within, outside = _places(first, columns)
    vote = 0.0 if within == outside == 0 else 1.0 if outside > within else -2.0
    rows = [_values(row) for row in below[:10]]
    if 2 * sum(map(_ordered, rows)) < len(rows) and _ordered(numbers):
        counts = numbers in ([float(i + start) for i in range(len(numbers))] for start in (0, 1))
        vote += 3.0 if counts else 1.5
    return vote


def _values(row: Sequence[str]) -> list[float]:
    return [value for value in map(_value, row) if value is not None]


def _ordered(values: list[float]) -> bool:
    """Return whether at least three numbers rise, or fall, from each to the next."""
    steps = [after - before for before, after in pairwise(values)]
    return len(steps) > 1 and (min(steps) > 0 or max(steps) < 0)


def _places(first: Sequence[str], columns: list[list[str]]) -> tuple[int, int]:
    """Return how many numbers of the first row lie within, and outside, the range of the numbers below them."""
    within = outside = 0
    for cell, column in zip(first, columns, strict=True):
        value, others = _value(cell), _values(column)
        if value is None or not others:
            continue
        low, high = min(others), max(others)
        margin = max(0.5 * (high - low), 1e-9 * abs(high))
        if len(others) < 4:  # too few to know the range
            margin = max(margin, 10 * max(abs(low), abs(high), 1.0))
        if low - margin <= value <= high + margin:
            within += 1
        else:
            outside += 1
    return within, outside


def _value(cell: str) -> float | None:
    number = parts(cell)
    if number is None:
        return None
    try:
        value = float(number.body.replace(",", ".") + number.exponent)
    except ValueError:
        return None
    return -value if number.negative else value


def unique_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return unique names, and those that stood more than once.

    A column without a name is "unnamed 3" by its position; a second "a" is "a.1", the next "a.2".
    """
    wanted = [name or f"unnamed {i}" for i, name in enumerate(names)]
    counts = Counter(wanted)
    repeated = [name for name, times in counts.items() if times > 1]
    taken, times = set(counts), Counter[str]()
    unique = []
    for name in wanted:
        chosen = name
        if times[name]:
            n = times[name]
            while (chosen := f"{name}.{n}") in taken:
                n += 1
            times[name] = n
            taken.add(chosen)
        times[name] += 1
        unique.append(chosen)
    return unique, repeated
