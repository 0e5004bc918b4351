"""A derivation as LaTeX: one `split` environment of plain commands, for KaTeX, MathJax and latex2mathml."""

from retroprop.explain.chain_sum import ChainSum
from retroprop.explain.formula_text import LATEX
from retroprop.explain.notation import Equation, Section
from retroprop.explain.number_statements import number_sections
from retroprop.explain.statements import sections

_LONGEST = 180
"""Characters of a row, above which the next term of a sum begins another."""


def derivation_latex(derivation: ChainSum) -> str:
    """Return the derivation as equations aligned at their signs, a row for each path, under headings."""
    rows = []
    for section in _steps(derivation):
        rows += [rf"& \text{{{section.heading}}}", *_rows(section)]
    return _environment(rows)


def latex_steps(derivation: ChainSum) -> dict[str, str]:
    """Return each step of the derivation by its heading, as equations of its own."""
    return {section.heading: _environment(_rows(section)) for section in _steps(derivation) if section.equations}


def _steps(derivation: ChainSum) -> list[Section]:
    return [*sections(derivation, LATEX), *number_sections(derivation, LATEX)]


def _environment(rows: list[str]) -> str:
    return "\\begin{split}\n" + " \\\\\n".join(rows) + "\n\\end{split}"


def _rows(section: Section) -> list[str]:
    return [row for equation in section.equations for row in _equation_rows(equation)]


def _equation_rows(equation: Equation) -> list[str]:
    rows = [f"{equation.left} &= {''.join(equation.terms[0])}"]
    for term in equation.terms[1:]:
        text = "".join(term)
        # An equals sign begins the same side in another form.
        if text.startswith(" =") or len(rows[-1]) + len(text) <= _LONGEST:
            rows[-1] += text
        else:
            rows.append(rf"&\quad {text.strip()}")
    return rows
