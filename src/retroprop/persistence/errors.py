"""The error of a model file, and texts of files as they may stand in a message."""

_LONGEST = 300


class ModelFileError(ValueError):
    """A model file that cannot be used; the message has its path and the reason."""


def printable(text: object) -> str:
    """Return a text as one line of at most 300 characters without control characters.

    A file may hold any text: escape sequences of a terminal, line breaks, marks that turn the direction of writing,
    halves of surrogate pairs that cannot be encoded.
    """
    cut = str(text)[: _LONGEST + 1]
    one_line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return one_line if len(one_line) <= _LONGEST else one_line[: _LONGEST - 3] + "..."
