"""The content of an explanation: lines, tables and equations of matrices, the same for every form of output."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from retroprop.explain.naming import Quantity

# The colour of a quantity, the same wherever it stands; each has a contrast above 4 on white as on black.
ROLES = {"delta": "#c2570a", "theta": "#2277c9", "b": "#2277c9", "a": "#118a5e", "x": "#118a5e", "z": "#ab5ca3"}


class Span(NamedTuple):
    """A piece of a line, in one colour.

    Attributes
    ----------
    text : str
        The piece as plain text.
    latex : str or None
        As LaTeX of mathematics; None for words.
    role : str or None
        A key of `ROLES`, None for the colour of the text.
    """

    text: str
    latex: str | None = None
    role: str | None = None


Run = tuple[Span, ...]


class TextLine(NamedTuple):
    """A line of words and formulas; a heading if `heading`."""

    run: Run
    heading: bool = False


class TableBlock(NamedTuple):
    """A table.

    Attributes
    ----------
    title : str
        Its heading.
    columns : tuple of Run
        The headings of the columns.
    rows : list of tuple of Run
        The cells.
    left_out : int
        The number of rows that are not shown.
    """

    title: str
    columns: tuple[Run, ...]
    rows: list[tuple[Run, ...]]
    left_out: int = 0


class Grid(NamedTuple):
    """A matrix within an equation."""

    rows: tuple[tuple[Run, ...], ...]


class MatrixEquation(NamedTuple):
    """Matrices and the signs between them, from left to right."""

    parts: tuple[Grid | Run, ...]


Block = TextLine | TableBlock | MatrixEquation


def words(text: str) -> Span:
    """Return plain words."""
    return Span(text)


def formula(text: str, latex: str) -> Span:
    """Return mathematics that is no single quantity."""
    return Span(text, latex)


def symbol(quantity: Quantity, before: str = "") -> Span:
    """Return the name of a quantity in its colour; `before` is "∂J/∂" for its partial derivative."""
    if before:
        text, latex = before + quantity.unicode, rf"\frac{{\partial J}}{{\partial {quantity.latex}}}"
    else:
        text, latex = quantity.unicode, quantity.latex
    return Span(text, latex, quantity.letter if quantity.letter in ROLES else None)


def number(value: float, role: str | None = None, *, factor: bool = False) -> Span:
    """Return a number with six digits; as a `factor`, a negative one stands in parentheses."""
    text = f"{value + 0.0:.6g}"  # −0 + 0 is 0
    mantissa, _, exponent = text.partition("e")
    latex = rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else text
    latex = {"nan": r"\mathrm{nan}", "inf": r"\infty", "-inf": r"-\infty"}.get(text, latex)
    enclosed = factor and (text.startswith("-") or exponent != "")
    return Span(f"({text})", f"({latex})", role) if enclosed else Span(text, latex, role)


def shortened(things: Sequence[Any], most: int) -> tuple[Sequence[Any], int]:
    """Return the first `most` things and the number of those left out."""
    return things[:most], max(len(things) - most, 0)
