"""An explanation as it is shown: plain text, colours in a terminal, HTML in a notebook, LaTeX."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from retroprop.explain.document import Block
from retroprop.explain.html_form import as_html
from retroprop.explain.latex_form import as_latex
from retroprop.explain.text_form import as_text


class Shown(ABC):
    """An explanation that prints, shows itself in a notebook, and has a LaTeX form."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """The content, from top to bottom."""

    def __str__(self) -> str:
        return as_text(self.blocks)

    @property
    def latex(self) -> str:
        """The explanation in LaTeX: text, with formulas that amsmath, MathJax and KaTeX set."""
        return as_latex(self.blocks)

    def _repr_html_(self) -> str:
        return as_html(self.blocks)

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from retroprop.explain.rich_form import renderables

        return renderables(self.blocks, options.max_width, console.color_system)
