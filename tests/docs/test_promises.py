"""Every promise names its tests, and every test that is named exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def functions_of(path):
    """Return the names of the test functions in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}))
def test_every_test_that_is_named_exists(path):
    assert {name for its_path, name in NAMED if its_path == path} <= functions_of(path)


def test_every_promise_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line != "| promise | tests |"]
    assert len(rows) > 15
    assert [row for row in rows if not re.search(r"\| `tests/[^|]+` \|$", row)] == []


def test_a_name_that_is_spoilt_is_seen():
    assert PAGE.count("`tests/") == len(re.findall(r"`tests/[\w/]+\.py::test_\w+`", PAGE))


def test_the_page_is_on_the_site_and_in_the_readme():
    assert "promises.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/promises.md" in readme
    assert "SECURITY.md" in readme
