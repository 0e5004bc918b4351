"""The error of the command line, and the wording of its messages."""

import re
from collections.abc import Mapping

from retroprop.tabular.errors import listed, near_match, need

__all__ = ["ARGUMENTS", "CommandError", "as_typed", "listed", "near_match", "need"]

# The arguments of `retroprop.tabular` that its remarks on data name, with their options.
ARGUMENTS = {
    name: f"--{name.replace('_', '-')}" for name in ("drop", "categorical", "numeric", "task", "decimal", "max_memory")
}


class CommandError(Exception):
    """An error caused by the input; the user sees its message and nothing else.

    Parameters
    ----------
    message : str
        The value given, and the values accepted.
    exit_code : int
        2 for wrong input, 1 for a run that failed.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def as_typed(message: str, options: Mapping[str, str]) -> str:
    """Replace the argument names in an error message of the library by the options of the command line.

    Parameters
    ----------
    message : str
        For example "clip_norm must be above 0, or None", or "pass clip_norm=1.0".
    options : mapping of str to str
        The option of each argument, for example "--clip-norm" of "clip_norm".
    """
    for name, option in options.items():
        # learning_rate and l2 are never ordinary words; loss and seed may be, and count as arguments only before
        # "must" or after "go with".
        alone = "" if "_" in name or name[-1].isdecimal() else " must "
        message = re.sub(rf"\b{name}=(['\"])(.*?)\1", rf"{option} \2", message)
        message = re.sub(rf"\b{name}=(\.\.\.|\w+(?:\.\d+)?)", rf"{option} \1", message)
        message = re.sub(rf"(?<![\w'\"/.-]){name}(?={alone})(?!\.?\w|[/-])|(?<= go with ){name}\b", option, message)
        # None in Python is an option left out here, so "or None" is dropped.
        message = re.sub(rf"({option} must be )(?:None or |([^:;.]*?), or None)", r"\1\2", message)
    # A flag has no value: --resume for resume=True.
    return re.sub(r"(--[\w-]+) True\b", r"\1", message)
