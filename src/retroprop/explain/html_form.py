"""A document as a piece of HTML: no script and no external file, everything escaped, readable on light and on dark."""

from collections.abc import Sequence
from html import escape

from retroprop.explain.document import ROLES, Block, Grid, MatrixEquation, Run, Span, TextLine
from retroprop.explain.text_form import note_of

# The page's own colours of text and background are kept, so that it is readable on both.
_RULES = """
.retroprop-explain { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 0.92em; line-height: 1.6;
  overflow-x: auto; }
.retroprop-explain table { border-collapse: collapse; margin: 0.6em 0; background: transparent; color: inherit; }
.retroprop-explain caption { text-align: left; font-weight: bold; color: inherit; white-space: nowrap; }
.retroprop-explain th, .retroprop-explain td { text-align: right; padding: 0.1em 0.7em; background: transparent;
  color: inherit; border: 0; border-bottom: 1px solid rgba(128, 128, 128, 0.35); white-space: nowrap; }
.retroprop-explain .equation { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5em; margin: 0.4em 0; }
.retroprop-explain .matrix { border-left: 2px solid; border-right: 2px solid; border-radius: 5px; margin: 0; }
.retroprop-explain .matrix td { border: 0; }
.retroprop-explain p { margin: 0.15em 0; }
.retroprop-explain .heading { font-weight: bold; margin-top: 0.9em; }
.retroprop-explain .note { opacity: 0.75; }
"""
# Mixed with the page's colour of text, a colour has a contrast above 4.5 on white and on the dark grounds of notebooks.
_STYLE = _RULES + "".join(
    f".retroprop-explain .{role} {{ color: {color}; color: color-mix(in srgb, {color} 70%, currentcolor); }}\n"
    for role, color in ROLES.items()
)


def as_html(blocks: Sequence[Block]) -> str:
    """Return a document as HTML."""
    return f'<div class="retroprop-explain"><style>{_STYLE}</style>{"".join(map(_block, blocks))}</div>'


def _block(block: Block) -> str:
    if isinstance(block, TextLine):
        return f'<p class="heading">{_run(block.run)}</p>' if block.heading else f"<p>{_run(block.run)}</p>"
    if isinstance(block, MatrixEquation):
        return f'<div class="equation">{"".join(map(_part, block.parts))}</div>'
    head = "".join(f"<th>{_run(column)}</th>" for column in block.columns)
    body = "".join(f"<tr>{''.join(f'<td>{_run(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
    note = f'<p class="note">{note_of(block)}</p>' if block.left_out else ""
    return f"<table><caption>{escape(block.title)}</caption><tr>{head}</tr>{body}</table>{note}"


def _part(part: Grid | Run) -> str:
    if not isinstance(part, Grid):
        return f"<span>{_run(part)}</span>"
    rows = "".join(f"<tr>{''.join(f'<td>{_run(cell)}</td>' for cell in row)}</tr>" for row in part.rows)
    return f'<table class="matrix">{rows}</table>'


def _run(run: Run) -> str:
    return "".join(map(_span, run))


def _span(span: Span) -> str:
    text = escape(span.text)
    return f'<span class="{span.role}">{text}</span>' if span.role in ROLES else text
