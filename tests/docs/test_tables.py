"""The tables of the reference are those of the package: the hook of mkdocs makes them when the site is built."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference"


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "hooks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["activations", "losses", "initializers", "metrics", "optimizers"])
def test_a_page_has_every_row_of_its_table(hook, page):
    before = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    after = hook.on_page_markdown(before, page=None, config=None, files=None)
    assert re.findall(r"^\| `(\w+)` \|", before, re.MULTILINE) == []
    assert re.findall(r"^\| `(\w+)` \|", after, re.MULTILINE) == list(hook.TABLES[page])
    rows = [line for line in after.splitlines() if line.startswith("| `")]
    assert all(row.count(" | ") == 2 and not row.endswith("|  |") for row in rows), "each has its definition"


def test_a_row_shows_its_parameters(hook):
    assert "`delta=1.0`" in hook.table(hook.TABLES["losses"])
    assert "&#124;e&#124; <= δ" in hook.table(hook.TABLES["losses"]), "a bar does not end a cell"


def test_pages_without_a_table_are_left_alone(hook):
    page = (REFERENCE / "network.md").read_text(encoding="utf-8")
    assert hook.on_page_markdown(page) == page


def test_the_site_is_built_with_the_hook():
    assert "docs/hooks/tables.py" in (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
