"""Pages whose numbers and pictures the library computes when the site is built.

The front matter of such a page says ``run: true``. Its Python blocks run one after the other in one namespace, as a
reader would type them, and what a block prints follows it as a block of text. ``{{ expression }}`` outside of the
blocks is the value of that expression at that place. ``![description]({{ figure }})`` shows a figure of matplotlib; an
expression with ``dark`` in it is evaluated for the light scheme and for the dark one; a click opens the file.
``matrix(array)`` is an array in LaTeX, and ``embed(net, x, y, at=3)`` a page of a network in that state, in the
language of the text. No page keeps a result.
"""

import ast
import contextlib
import hashlib
import html
import io
import posixpath
import re
import tempfile
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

import retroprop as rp

PLACE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$\n?"
    r"|!\[(?P<description>[^]]+)\]\(\{\{ (?P<figure>.+?) \}\}\)"
    r"|\{\{ (?P<expression>.+?) \}\}",
    re.MULTILINE | re.DOTALL,
)
COMPUTED = "assets/computed"


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Return the text of a page with its results; called by mkdocs for every page."""
    if not page.meta.get("run"):
        return markdown
    from mkdocs.structure.files import File

    def save(content: str, suffix: str = ".svg") -> str:
        path = f"{COMPUTED}/{hashlib.sha256(content.encode()).hexdigest()[:16]}{suffix}"
        if files.get_file_from_path(path) is None:
            files.append(File.generated(config, path, content=content))
        return posixpath.relpath(path, posixpath.dirname(page.file.src_uri))

    return run(markdown, save, name=page.file.src_uri)


def run(markdown: str, save: Callable[..., str], *, name: str = "page") -> str:
    """Return the text of a page with its results.

    Parameters
    ----------
    markdown : str
        The text, without the front matter.
    save : callable
        Keeps a text, the SVG of a figure or with the suffix ".html" a page, and returns the address that the page uses.
    name : str
        The page, for the traceback of a block that fails.
    """
    namespace: dict[str, Any] = {"__name__": "__page__"}

    def embed(net: Any, x: Any, y: Any, **state: Any) -> str:
        made = rp.explain.page(net, x, y, language="es" if name.startswith("es/") else "en")
        title = re.search("<title>(.+)</title>", made.html)
        address = html.escape(made.link(save(made.html, ".html"), **state))
        return f'<iframe class="network-page" title="{title and title[1]}" src="{address}" loading="lazy"></iframe>'

    def result(place: re.Match[str]) -> str:
        if place["expression"]:
            return str(eval(place["expression"], {"rp": rp, "matrix": matrix, "embed": embed} | namespace))
        if place["figure"]:
            light, dark = (
                save(svg_of(eval(place["figure"], {"rp": rp, "dark": dark} | namespace))) for dark in (False, True)
            )
            pictures = [light] if light == dark else [f"{light}#only-light", f"{dark}#only-dark"]
            return "\n".join(f"[![{place['description']}]({picture})]({picture})" for picture in pictures)
        if place["language"] != "python":
            return place[0]
        # The line numbers of a traceback are those of the text.
        line = markdown.count("\n", 0, place.start("body"))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + textwrap.dedent(place["body"]), name, "exec"), namespace)
        output = printed.getvalue()
        return place[0] + (textwrap.indent(f"\n```text\n{output}```\n", place["indent"]) if output else "")

    # What a page writes to disk goes to a folder that is deleted.
    with rp.use_backend("numpy"), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return PLACE.sub(result, markdown)


def matrix(array: Any, digits: int = 3) -> str:
    """Return a vector or a matrix in LaTeX, with so many digits after the point."""
    rows = (" & ".join(f"{value:.{digits}f}" for value in row) for row in np.atleast_2d(array))
    return r"\begin{bmatrix} " + r" \\ ".join(rows) + r" \end{bmatrix}"


def svg_of(figure: Any) -> str:
    """Return a figure as SVG, the same text for the same figure."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "retroprop"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def code_of(markdown: str) -> list[str]:
    """Return the Python blocks and the expressions of a page without their comments, to compare two languages."""
    found = []
    for place in PLACE.finditer(markdown):
        if place["expression"] or place["figure"]:
            found.append(place["expression"] or place["figure"])
        elif place["language"] == "python":
            found.append(ast.unparse(ast.parse(textwrap.dedent(place["body"]))))
    return found
