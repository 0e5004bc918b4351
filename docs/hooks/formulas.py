"""Formulas as MathML, made when the site is built: a reader's browser fetches nothing and runs no script for them.

``pymdownx.arithmatex`` finds ``$...$`` and ``$$...$$``; latex2mathml converts them; the font that sets them is
part of the site.
"""

import html
import re
from typing import Any

FORMULA = re.compile(
    r'<span class="arithmatex">\\\((?P<inline>.*?)\\\)</span>(?P<sign>[.,;:!?)]*)'
    r'|<div class="arithmatex">\\\[(?P<block>.*?)\\\]</div>',
    re.DOTALL,
)
# A command that the converter does not know stays as text, and so does an & outside of a table.
UNKNOWN = re.compile(r"<m(?:i|o|text)[^>]*>(\\[^<]*|&)<")


def on_page_content(content: str, *, page: Any, **_: Any) -> str:
    """Return the HTML of a page with its formulas converted; called by mkdocs for every page."""
    return FORMULA.sub(lambda found: converted(found, page.file.src_uri), content)


def converted(found: re.Match[str], page: str) -> str:
    """Return the MathML of a formula that arithmatex found."""
    block = found["block"] is not None
    formula = html.unescape(found["block"] if block else found["inline"]).strip()
    mathml = to_mathml(formula, block=block, page=page)
    if block:
        return f'<div class="formula">{mathml}</div>'
    # The sign after a formula stays on its line.
    return f'<span class="unbroken">{mathml}{found["sign"]}</span>' if found["sign"] else mathml


def to_mathml(formula: str, *, block: bool = False, page: str = "page") -> str:
    """Return LaTeX as MathML.

    Raises
    ------
    ValueError
        If a command is unknown; the message names the page and the formula.
    """
    from latex2mathml.converter import convert

    # The converter knows `aligned` by the name `split` only.
    mathml = convert(formula.replace("{aligned}", "{split}"), display="block" if block else "inline")
    if unknown := UNKNOWN.search(mathml):
        raise ValueError(f"{page}: latex2mathml does not know {unknown[1]} in {formula}")
    return mathml
