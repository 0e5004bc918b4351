"""The error of wrong data, and the wording of its messages."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType

# Control characters: C0, DEL and C1; line and paragraph separators; marks and overrides of the writing direction; the
# byte order mark; lone surrogates, which no terminal can encode.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class DataError(ValueError):
    """An error caused by the data: one line with the source, the line or row, the column, the fault and the remedy.

    Control characters in the message are escaped, so that no text from a file steers the terminal.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class AmbiguousError(DataError):
    """An error that another column of the table may resolve: the decimal mark of a number such as 1,234."""


def printable(text: str, limit: int | None = None) -> str:
    """Return `text` with control characters and direction overrides escaped, cut to `limit` characters."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return _CONTROLS.sub(lambda found: _escaped(found.group()), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def quoted(text: str) -> str:
    """Return a name or cell of a file between quotation marks, printable and at most 60 characters long."""
    return f'"{printable(text, 60)}"'


def counted(n: int, noun: str) -> str:
    """Return a number with its noun: "1 cell" or "3 cells"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def near_match(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "..."?' where one of `known` is close to `name`, else an empty string."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(name.lower(), by_folded, n=1)
    return f" Did you mean {quoted(by_folded[near[0]])}?" if near else ""


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return the first `limit` names separated by commas, with the number of those left out."""
    names = list(names)
    rest = len(names) - limit
    return ", ".join(printable(name, 60) for name in names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def need(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional library.

    Raises
    ------
    DataError
        If it is not installed; the message is the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = "scikit-learn" if module.startswith("sklearn") else module.partition(".")[0]
        raise DataError(
            f'{purpose} needs {package}, which is not installed: pip install "retroprop[{extra}]"'
        ) from error
