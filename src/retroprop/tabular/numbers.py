"""The number format of a column, found once on all its texts, and the numbers that follow it."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.errors import quoted
from retroprop.tabular.number_texts import FORMATS, INFINITE, NumberFormat, NumberText, looks_numeric, parts

# A column of numbers with a few texts among them has faults; one with many different texts holds codes.
FEW_TEXTS = 3
FEW_ROWS = 0.1


class CellFault(ValueError):  # noqa: N818
    """A cell that does not fit its column.

    Parameters
    ----------
    text : str
        The cell.
    fault : str
        The message.
    ambiguous : bool
        Whether the decimal mark of the other columns would decide.
    """

    def __init__(self, text: str, fault: str, *, ambiguous: bool = False) -> None:
        super().__init__(fault)
        self.text, self.ambiguous = text, ambiguous


def find_format(
    texts: Sequence[str], counts: Sequence[int], *, decimal: str | None = None, commas_group: bool = False
) -> NumberFormat | None:
    """Return the format in which all texts are numbers, or None for a column of texts.

    Parameters
    ----------
    texts : sequence of str
        The different texts of the column, without the missing ones.
    counts : sequence of int
        The number of rows of each.
    decimal : str or None
        The decimal mark, where the table tells it; None: "1,234" is ambiguous.
    commas_group : bool
        Whether the table is separated by commas, so that a comma within a number separates thousands.

    Returns
    -------
    NumberFormat or None
        None where at least half of the rows are not numbers; also where more than a tenth of the rows, with more than
        three different texts, are not (such as ticket codes among ticket numbers).

    Raises
    ------
    CellFault
        Where most rows are numbers and a text is not, or no format fits all, or two formats do and differ.
    """
    numeric = [looks_numeric(text) for text in texts]
    odd = [(text, count) for text, count, number in zip(texts, counts, numeric, strict=True) if not number]
    n_rows, n_odd = sum(counts), sum(count for _, count in odd)
    if odd:
        _refuse_other_digits(odd[0][0], [text for text, _ in odd])
        mixed = len(odd) > FEW_TEXTS and n_odd > FEW_ROWS * n_rows
        if 2 * n_odd >= n_rows or mixed:
            return None
        text = odd[0][0]
        if INFINITE.fullmatch(text):
            raise CellFault(text, f"{quoted(text)} is not a finite number")
        raise CellFault(text, f"{quoted(text)} is not a number, unlike most of this column")
    return _agreed(texts, decimal, commas_group=commas_group) if texts else None


def _refuse_other_digits(first: str, texts: list[str]) -> None:
    """Raise CellFault where a text is a number in the digits of another script, such as full-width ones."""
    for text in texts[:1000]:
        if not text.isascii() and looks_numeric(unicodedata.normalize("NFKC", _ascii_digits(text))):
            raise CellFault(text, f"{quoted(text)} is a number in digits other than 0 to 9; write it with those")


def _ascii_digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def _agreed(texts: Sequence[str], decimal: str | None, *, commas_group: bool) -> NumberFormat:
    """Return the one format of texts that are all numbers in some format."""
    found = [number for number in map(parts, texts) if number is not None]
    unit = found[0].unit
    for text, number in zip(texts, found, strict=True):
        if number.unit != unit:
            first = quoted(texts[0])
            raise CellFault(text, f"{quoted(text)} and {first} have different units; write one unit, or none")
    formats = [NumberFormat(*marks, unit) for marks in FORMATS]
    for text, number in zip(texts, found, strict=True):
        left = [format for format in formats if number.value(format) is not None]
        if not left:
            raise CellFault(
                text,
                f"{quoted(text)} and {quoted(texts[0])} do not agree in their decimal and thousands separators; "
                f"write all numbers in one way",
            )
        formats = left
    if decimal is not None:
        formats = [format for format in formats if format.decimal == decimal] or formats
    return _least_ambiguous(texts, found, formats, decided=decimal is not None, commas_group=commas_group)


def _least_ambiguous(
    texts: Sequence[str], found: list[NumberText], formats: list[NumberFormat], *, decided: bool, commas_group: bool
) -> NumberFormat:
    """Return the first format, unless another one that fits too gives other numbers."""
    first = formats[0]
    for text, number in zip(texts, found, strict=True):
        if "," in number.body and not decided:
            others = [format for format in formats if number.value(format) != number.value(first)]
            if others and commas_group:
                return next(format for format in formats if format.thousands == ",")
            if others:
                raise CellFault(
                    text,
                    f"the comma of {quoted(text)} may be a thousands separator or a decimal comma; say which "
                    f"(decimal=...)",
                    ambiguous=True,
                )
    return first


def values_of(texts: Sequence[str], format: NumberFormat) -> NDArray[np.float64]:
    """Return the numbers of `texts`, float64; NaN where a text is not a number in this format."""
    numbers = (parts(text) for text in texts)
    values = [None if number is None else number.value(format) for number in numbers]
    return np.asarray([np.nan if value is None else value for value in values], dtype=np.float64)
