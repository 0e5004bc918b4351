"""A document in LaTeX, with the formulas that amsmath, MathJax and KaTeX set; a quantity has its colour."""

import re
from collections.abc import Sequence
from itertools import groupby

from retroprop.explain.document import ROLES, Block, Grid, MatrixEquation, Run, Span, TextLine
from retroprop.explain.text_form import note_of

_ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def as_latex(blocks: Sequence[Block]) -> str:
    """Return a document in LaTeX."""
    return "\n\n".join(map(_block, blocks))


def escaped(text: str) -> str:
    """Return words with the signs that LaTeX would read as commands escaped."""
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _ESCAPES.get(found[0], "\\" + found[0]), text)


def _block(block: Block) -> str:
    if isinstance(block, TextLine):
        return rf"\textbf{{{_prose(block.run)}}}" if block.heading else _prose(block.run)
    if isinstance(block, MatrixEquation):
        return r"\[ " + " ".join(_matrix(p) if isinstance(p, Grid) else _maths(p) for p in block.parts) + r" \]"
    rows = [" & ".join(map(_maths, row)) + r" \\" for row in block.rows]
    head = " & ".join(map(_maths, block.columns)) + r" \\ \hline"
    table = "\n".join([rf"\[ \begin{{array}}{{{'r' * len(block.columns)}}}", head, *rows, r"\end{array} \]"])
    return "\n\n".join(filter(None, [rf"\textbf{{{escaped(block.title)}}}", table, escaped(note_of(block))]))


def _prose(run: Run) -> str:
    """Return a line: words as text, and each stretch of mathematics between dollar signs."""
    parts = []
    for is_words, group in groupby(run, key=lambda span: span.latex is None):
        spans = tuple(group)
        parts.append("".join(escaped(span.text) for span in spans) if is_words else f"${_maths(spans)}$")
    return "".join(parts)


def _maths(run: Run) -> str:
    return "".join(_span(span) for span in run)


def _matrix(grid: Grid) -> str:
    rows = r" \\ ".join(" & ".join(map(_maths, row)) for row in grid.rows)
    return rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"


def _span(span: Span) -> str:
    latex = rf"\text{{{escaped(span.text)}}}" if span.latex is None else span.latex
    color = ROLES.get(span.role or "")
    return rf"\textcolor{{{color}}}{{{latex}}}" if color else latex
