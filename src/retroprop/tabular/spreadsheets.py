"""Texts in .csv files that a spreadsheet program would run as formulas, and their safe form."""

import re
from collections.abc import Sequence
from typing import Any

# A spreadsheet program runs a cell that begins so. A plain number, as -1, is none; leading apostrophes are counted in,
# so that the safe form can be undone.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet program runs: with an apostrophe before =, +, -, @, a tab or a return.

    Examples
    --------
    >>> guarded("=1+1"), guarded("-1"), guarded("a=b"), unguarded("'=1+1")
    ("'=1+1", '-1', 'a=b', '=1+1')
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unguarded(cell: str) -> str:
    """Return the text of which `guarded` made a cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def formulas(texts: Sequence[Any]) -> list[str]:
    """Return the texts that `guarded` changes."""
    return [text for text in texts if isinstance(text, str) and guarded(text) != text]
