"""The examples of README.md and docs/ run, and print what the pages say they print.

The Python blocks of a page run one after the other in one namespace, as a reader would type them. A ``text`` block
right after a Python block is what that block prints. ``<!-- needs: name -->`` before a block names the packages it
needs beyond the base install; without them the block is left out.
"""

import contextlib
import importlib.util
import io
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(
    r"^(?:<!-- needs: (?P<needs>[\w, ]+) -->\s*\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$(?P<gap>\n*)",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    line: int
    needs: tuple[str, ...]
    source: str
    printed: str | None


def blocks_of(page: str) -> list[Block]:
    """Return the Python blocks of a page, each with what it should print."""
    found: list[Block] = []
    end_of_last = -1
    for match in FENCE.finditer(page):
        if match["language"] == "python":
            needs = tuple(name.strip() for name in (match["needs"] or "").split(",") if name.strip())
            line = page.count("\n", 0, match.start("body")) + 1
            found.append(Block(line, needs, match["body"], None))
            end_of_last = match.end()
        elif match["language"] == "text" and match.start() == end_of_last:
            found[-1] = found[-1]._replace(printed=match["body"])
    return found


# The results of the other pages are computed when the site is built: test_computed_pages.py.
WITH_PYTHON = [
    page
    for page in PAGES
    if page.exists() and blocks_of(text := page.read_text(encoding="utf-8")) and "\nrun: true\n" not in text
]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETROPROP_BACKEND", "numpy")
    namespace: dict[str, object] = {"__name__": "__example__"}
    missing: list[str] = []
    for block in blocks_of(page.read_text(encoding="utf-8")):
        absent = [name for name in block.needs if importlib.util.find_spec(name) is None]
        if absent:
            missing += absent
            continue
        # The line numbers of a traceback are those of the page.
        code = compile("\n" * (block.line - 1) + block.source, str(page), "exec")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, namespace)
        if block.printed is not None:
            assert output.getvalue() == block.printed, f"{page.name}, line {block.line}"
    if missing:
        pytest.skip(f"the other examples ran; not installed: {', '.join(sorted(set(missing)))}")


def test_every_page_with_examples_is_found():
    names = {page.name for page in WITH_PYTHON}
    assert {"README.md", "index.md", "data.md", "backends.md", "custom.md", "save_load.md"} <= names


def test_a_block_that_prints_something_else_is_seen():
    (block,) = blocks_of("<!-- needs: numpy -->\n\n```python\nprint(1)\n```\n\n```text\n2\n```\n")
    assert block == Block(4, ("numpy",), "print(1)\n", "2\n")
