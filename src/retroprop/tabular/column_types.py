"""The kind of a column, found once on the training data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.cells import Cells
from retroprop.tabular.columns import Column
from retroprop.tabular.dates import find_date_format
from retroprop.tabular.errors import AmbiguousError, DataError, quoted
from retroprop.tabular.markers import MISSING, MISSING_AMONG_NUMBERS, TRUE_FALSE
from retroprop.tabular.number_texts import NumberFormat, looks_numeric
from retroprop.tabular.numbers import CellFault, find_format, values_of
from retroprop.tabular.raw import RawTable

_FEW_ROWS = 10  # in a longer table, a text column that differs in every row holds identifiers, not categories
_MANY_TEXTS = 50
_EXACT = 2.0**53  # the whole numbers up to here are exact as float64
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]+")
_NUMBER_WITH_UNIT = re.compile(r"[+-]?[0-9][0-9.,_]* ?[^0-9]*[0-9]*")
_NUMBERS_IN_ONE = re.compile(r"[0-9]+(?:[-/.: ]+[0-9]+)+.{0,3}")
# Names of columns that number the rows, and of those that hold an identifier: id, customer_id, PassengerId.
_NUMBERING = re.compile(
    r"(?i:unnamed:? \d+|index|idx|row|row[ _-]?(?:no|nr|num|number|names?|index)|no\.?|nr\.?|number|#)"
)
_ID = re.compile(r"(?i:id|.*[ _-]id)|.*[a-z](?:Id|ID)")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """The user's choices: columns to read as categories or as numbers, the decimal mark, and the target."""

    target: str | None = None
    categorical: frozenset[str] = frozenset()
    numeric: frozenset[str] = frozenset()
    decimal: str | None = None


@dataclass(frozen=True)
class Found:
    """A column and the note on how it was read, or ""."""

    column: Column
    note: str = ""


def find_column_type(raw: RawTable, name: str, wishes: Wishes) -> Found:
    """Return the kind of a column.

    Numbers, where all cells are numbers in one format, apart from missing ones. Booleans: true and false. Dates, in one
    form. Any other texts are categories, or identifiers where they all differ (in more than 10 rows), or where more
    than 50 of them make up more than half of the rows. Whole numbers with a leading zero (01) are codes: categories.
    Whole numbers that count the rows from 0 or 1, in any order, in a column named id, index, row or the like are an
    identifier; so are whole numbers that all differ in a column named id (customer_id, PassengerId). A column
    with the same value in every row is constant, without values empty. The target is never an identifier.

    Raises
    ------
    DataError
        If most cells are numbers and one is not, or a format is ambiguous, or the data type cannot be used.
    """
    cells = raw.columns[name]
    if cells.other:
        raise DataError(
            f"{raw.source}, column {quoted(name)}: {cells.other} is neither number, text nor date; leave it out with "
            f"drop=..."
        )
    if name in wishes.categorical:
        return Found(_category(raw, name, wishes))
    if not cells.is_text:
        return Found(_typed(raw, name, cells, wishes))
    plain = raw.numbers.get(name)
    if plain is not None and wishes.decimal != ",":
        whole = bool((np.floor(plain) == plain)[~np.isnan(plain)].all())
        if whole and name not in wishes.numeric and (code := _first_code(cells)):
            return Found(_category(raw, name, wishes), _code_note(name, code))
        note = ""
        if whole and name != wishes.target and np.nanmax(np.abs(plain)) >= _EXACT:
            note = f"column {quoted(name)} holds whole numbers beyond 2**53: as features they keep 15 digits."
        return Found(_number_column(raw, name, plain, wishes, NumberFormat(), ()), note)
    return _text(raw, name, cells, wishes)


def _first_code(cells: Cells) -> str | None:
    """Return the first text with a leading zero, or None."""
    found = cells.values.filter(cells.values.str.contains(f"^{_LEADING_ZERO.pattern}$"))
    return str(found[0]) if len(found) else None


def _code_note(name: str, code: str) -> str:
    return f"column {quoted(name)} holds whole numbers with leading zeros ({quoted(code)}): read as categories."


def _typed(raw: RawTable, name: str, cells: Cells, wishes: Wishes) -> Column:
    kind = cells.values.dtype.kind
    missing = np.zeros(raw.n_rows, dtype=bool) if cells.missing is None else cells.missing
    if missing.all():
        return Column(name=name, kind="empty")
    values = cells.values[~missing]
    # A data set that is brought along is used whole: its inputs are known, as the pixels of digits.
    may_be_constant = name != wishes.target and raw.n_rows > 1 and raw.layout.format != "built-in"
    constant = may_be_constant and not missing.any() and bool((values == values[0]).all())
    if kind == "b":
        return Column(
            name=name, kind="constant" if constant else "boolean", categories=("False", "True"), labels="boolean"
        )
    if kind == "M":
        return Column(name=name, kind="constant" if constant else "date", date_format="ymd")
    if constant:
        return Column(name=name, kind="constant")
    numbers = np.where(missing, np.nan, cells.values.astype(np.float64))
    refuse_infinite(raw, name, numbers)
    return _number_column(raw, name, numbers, wishes, NumberFormat(), (), labels="number")


def _text(raw: RawTable, name: str, cells: Cells, wishes: Wishes) -> Found:
    texts, codes = cells.factorised
    counts = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    kept = [(text, count) for text, count in zip(texts, counts, strict=True) if text not in MISSING_AMONG_NUMBERS]
    markers = tuple(text for text in texts if text in MISSING_AMONG_NUMBERS)
    values, rows = [text for text, _ in kept], [count for _, count in kept]
    if not values:
        return Found(Column(name=name, kind="empty", missing=markers))
    if all(text.lower() in TRUE_FALSE for text in values):
        return Found(_boolean(raw, name, values, markers, codes, wishes))
    try:
        format = find_format(values, rows, decimal=wishes.decimal, commas_group=raw.layout.separator == ",")
        code = next((text for text in values if _LEADING_ZERO.fullmatch(text)), None)
        if format is not None and code is not None and name not in wishes.numeric:
            return Found(_category(raw, name, wishes), _code_note(name, code))
        if format is None and name in wishes.numeric:
            bad = next((text for text in values if not looks_numeric(text)), "")
            raise CellFault(bad, f"{quoted(bad)} is not a number (numeric=...)")
        if format is not None:
            numbers = _numbers(texts, codes, format)
            refuse_infinite(raw, name, numbers)
            note = f"column {quoted(name)} is read with {format.name}." if format.name else ""
            return Found(_number_column(raw, name, numbers, wishes, format, markers), note)
        order = find_date_format(values)
    except CellFault as fault:
        row = int(np.argmax(codes == texts.index(fault.text)))
        raise (AmbiguousError if fault.ambiguous else DataError)(
            f"{raw.where(row, name)}: {fault}. Mend it, leave the column out (drop=...), or read it as categories "
            f"(categorical=...)."
        ) from fault
    if order is not None:
        constant = len(values) == 1 and not markers and (codes >= 0).all() and name != wishes.target
        kind = "constant" if constant else "date"
        return Found(Column(name=name, kind=kind, date_format=order, missing=markers))
    column = _category(raw, name, wishes)
    return Found(column, _mixed_note(name, values))


def _mixed_note(name: str, texts: Sequence[str]) -> str:
    """Return the note on texts that are numbers in part, or begin with one, such as "12 km"."""
    others = [text for text in texts if not looks_numeric(text)]
    if others and len(others) < len(texts):
        return f"column {quoted(name)} holds numbers and texts such as {quoted(others[0])}: read as texts."
    if others and all(map(_NUMBER_WITH_UNIT.fullmatch, others)):
        return f"column {quoted(name)} holds numbers with more, such as {quoted(others[0])}: read as texts."
    if others and all(map(_NUMBERS_IN_ONE.fullmatch, others)):
        return f"column {quoted(name)} holds no dates of a known form, such as {quoted(others[0])}: read as texts."
    return ""


def _numbers(texts: list[str], codes: NDArray[np.int64], format: NumberFormat) -> NDArray[np.float64]:
    """Return the number of every row; the last entry of the table, for the code -1, is NaN."""
    numbers: NDArray[np.float64] = np.append(values_of(texts, format), np.nan)[codes]
    return numbers


def _number_column(
    raw: RawTable,
    name: str,
    numbers: NDArray[np.float64],
    wishes: Wishes,
    format: NumberFormat,
    markers: tuple[str, ...],
    labels: str = "text",
) -> Column:
    kind = "number"
    if name == wishes.target or raw.layout.format == "built-in":
        return Column(name=name, kind=kind, format=format, missing=markers, labels=labels)
    if raw.n_rows > 1 and bool((numbers == numbers[0]).all()):
        kind = "constant"
    elif name not in wishes.numeric and _numbers_rows(name, numbers):
        kind = "identifier"
    return Column(name=name, kind=kind, format=format, missing=markers)


def _numbers_rows(name: str, numbers: NDArray[np.float64]) -> bool:
    """Return whether a column counts the rows, in any order, or holds a different whole number in each as its id."""
    is_id = bool(_ID.fullmatch(name))
    if len(numbers) < 3 or not (is_id or _NUMBERING.fullmatch(name)):
        return False
    ordered = np.sort(numbers)
    if ordered[0] in (0.0, 1.0) and np.array_equal(ordered, np.arange(len(ordered)) + ordered[0]):
        return True
    whole = bool((np.floor(ordered) == ordered).all())  # not so where one is missing (NaN)
    return is_id and whole and len(ordered) > _FEW_ROWS and bool((np.diff(ordered) > 0).all())


def _boolean(
    raw: RawTable, name: str, values: Sequence[str], markers: tuple[str, ...], codes: NDArray[np.int64], wishes: Wishes
) -> Column:
    spelled = {TRUE_FALSE[text.lower()]: text for text in reversed(values)}
    constant = len(spelled) == 1 and not markers and bool((codes >= 0).all()) and name != wishes.target
    return Column(
        name=name,
        kind="constant" if constant and raw.n_rows > 1 else "boolean",
        categories=(spelled.get(False, "false"), spelled.get(True, "true")),
        missing=markers,
    )


def _category(raw: RawTable, name: str, wishes: Wishes) -> Column:
    texts, codes = texts_of(raw.columns[name])
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    # Whoever asks for categories may mean the texts: NA as the code of a country.
    missing = MISSING if name not in wishes.categorical else frozenset[str]()
    markers = tuple(text for text in texts if text in missing)
    values = tuple(text for text in texts if text not in missing)
    n_values = int(sum(count for text, count in zip(texts, counts, strict=True) if text not in missing))
    kind = "category"
    if not values:
        kind = "empty"
    elif name != wishes.target and name not in wishes.categorical:
        if len(values) == 1 and n_values == raw.n_rows > 1:
            kind = "constant"
        elif (len(values) == n_values > _FEW_ROWS) or len(values) > max(_MANY_TEXTS, n_values / 2):
            kind = "identifier"
    labels = "number" if raw.columns[name].is_number else "text"
    return Column(name=name, kind=kind, categories=values if kind == "category" else (), missing=markers, labels=labels)


def texts_of(cells: Cells) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different texts of a column, and the index of every row's text; numbers as Python writes them."""
    if cells.is_text:
        return cells.factorised
    missing = np.zeros(len(cells.values), dtype=bool) if cells.missing is None else cells.missing
    values, codes = np.unique(cells.values[~missing], return_inverse=True)
    # 3.0 of a column that pandas made of whole numbers and missing ones is written as 3.
    texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in values.tolist()]
    every = np.full(len(cells.values), -1, dtype=np.int64)
    every[~missing] = codes
    return texts, every


def refuse_infinite(raw: RawTable, name: str, numbers: NDArray[np.float64]) -> None:
    """Raise DataError where a number is infinite, or too large for a float64."""
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise DataError(f"{raw.where(row, name)}: the number is infinite, or too large for 64 bits.")
