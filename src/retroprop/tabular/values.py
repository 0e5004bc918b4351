"""The values of a column, read as the schema says: nothing is guessed."""

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.column_types import refuse_infinite, texts_of
from retroprop.tabular.columns import Column
from retroprop.tabular.dates import dates_of
from retroprop.tabular.errors import DataError, quoted
from retroprop.tabular.markers import MISSING, MISSING_AMONG_NUMBERS, TRUE_FALSE
from retroprop.tabular.number_texts import NumberFormat
from retroprop.tabular.numbers import values_of
from retroprop.tabular.raw import RawTable

_PLAIN = NumberFormat()


def numbers_of(raw: RawTable, name: str, column: Column) -> NDArray[np.float64]:
    """Return the numbers in the column `name` of `raw`, float64 (m,), NaN where missing.

    Raises
    ------
    DataError
        At the first cell that is neither a number of the column's format nor missing.
    """
    cells = raw.columns[name]
    if column.kind == "date":
        moments = dates_in(raw, name, column)
        return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
    if cells.is_empty:
        return np.full(len(cells), np.nan)
    if not cells.is_text:
        if cells.other or cells.values.dtype.kind not in "biuf":
            called = cells.other or cells.values.dtype
            raise DataError(f"{raw.source}, column {quoted(name)}: {called}; in training it held numbers.")
        numbers: NDArray[np.float64] = cells.values.astype(np.float64)
        if cells.missing is not None:
            numbers = np.where(cells.missing, np.nan, numbers)
        refuse_infinite(raw, name, numbers)
        return numbers
    format = column.format or _PLAIN
    if format == _PLAIN and name in raw.numbers:
        return raw.numbers[name]
    texts, codes = cells.factorised
    table = np.append(values_of(texts, format), np.nan)
    _refuse_texts(raw, name, texts, codes, np.isnan(table[:-1]), "number", format.name)
    numbers = table[codes]
    refuse_infinite(raw, name, numbers)
    return numbers


def dates_in(raw: RawTable, name: str, column: Column) -> NDArray[np.datetime64]:
    """Return the dates in the column `name` of `raw`, datetime64[s] (m,), NaT where missing.

    Raises
    ------
    DataError
        At the first cell that is neither a date in the column's order nor missing.
    """
    cells = raw.columns[name]
    if cells.is_empty:
        return np.full(len(cells), np.datetime64("NaT", "s"), dtype="datetime64[s]")
    if not cells.is_text:
        if cells.other or cells.values.dtype.kind != "M":
            called = cells.other or cells.values.dtype
            raise DataError(f"{raw.source}, column {quoted(name)}: {called}; in training it held dates.")
        moments: NDArray[np.datetime64] = cells.values.astype("datetime64[s]")
        return moments
    texts, codes = cells.factorised
    table = np.append(dates_of(texts, column.date_format or "ymd"), np.datetime64("NaT", "s"))
    _refuse_texts(raw, name, texts, codes, np.isnat(table[:-1]), "date", "")
    return table[codes]


def _refuse_texts(
    raw: RawTable,
    name: str,
    texts: list[str],
    codes: NDArray[np.int64],
    failed: NDArray[np.bool_],
    called: str,
    format: str,
) -> None:
    """Raise DataError at the first row whose text failed and is no marker of a missing value."""
    bad = [i for i in np.flatnonzero(failed).tolist() if texts[i] not in MISSING_AMONG_NUMBERS]
    if bad:
        row = int(np.argmax(np.isin(codes, bad)))
        held = f"{called}s with {format}" if format else f"{called}s"
        raise DataError(
            f"{raw.where(row, name)}: {quoted(texts[codes[row]])} is not a {called}; in training this column "
            f"held {held}."
        )


def category_codes(raw: RawTable, name: str, column: Column) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the index of every row's category, -1 where missing and -2 where unknown; and the unknown texts.

    A text is known where it is a category as it stands. The number 1 and the number 1.0 of a typed column are the
    category "1"; any spelling of true and false is that of a boolean column.

    Returns
    -------
    codes : int64 array (m,)
    unknown : dict of str to int
        The unknown texts, with the first row of each.

    Raises
    ------
    DataError
        If the data type of the column cannot hold categories.
    """
    cells = raw.columns[name]
    if cells.other:
        raise DataError(f"{raw.source}, column {quoted(name)}: {cells.other}; in training it held categories.")
    texts, codes = texts_of(cells)
    position = {text: i for i, text in enumerate(column.categories)}
    found = [_position(text, position, column, typed=not cells.is_text) for text in texts]
    table = np.asarray([*found, -1], dtype=np.int64)
    unknown = {texts[i]: int(np.argmax(codes == i)) for i in np.flatnonzero(table == -2).tolist()}
    return table[codes], unknown


def _position(text: str, position: dict[str, int], column: Column, *, typed: bool) -> int:
    if text in position:
        return position[text]
    folded = text.lower()
    if column.kind == "boolean":
        if folded in TRUE_FALSE or text in ("0", "1"):
            return int(TRUE_FALSE.get(folded, text == "1"))
    elif typed:
        # A frame's True is a text file's "true" or "TRUE"; its 1 may stand there as 1.0.
        near = [i for known, i in position.items() if known.lower() == folded or _same_number(known, text)]
        if len(near) == 1:
            return near[0]
    if text in column.missing or text in MISSING:
        return -1
    return -2


def _same_number(known: str, text: str) -> bool:
    try:
        return float(known) == float(text) and "_" not in known
    except ValueError:
        return False
