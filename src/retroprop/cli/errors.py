"""What goes wrong on the command line, as one message and an exit code."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType


class CommandError(Exception):
    """An error of the user's making; the message is all that is shown.

    Parameters
    ----------
    message : str
        What was given, and what is accepted.
    exit_code : int
        2 for wrong input, 1 for a run that failed.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def near_match(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "..."?' where one of `known` is close to `name`, else an empty string."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(name.lower(), by_folded, n=1)
    return f' Did you mean "{by_folded[near[0]]}"?' if near else ""


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return `names` as a list to read in one line, with the count of those left out."""
    names = list(names)
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def need(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional library.

    Raises
    ------
    CommandError
        If it is not installed; the message is the line to type.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = "scikit-learn" if module.startswith("sklearn") else module.partition(".")[0]
        raise CommandError(
            f'{purpose} needs {package}, which is not installed: pip install "retroprop[{extra}]"'
        ) from error
