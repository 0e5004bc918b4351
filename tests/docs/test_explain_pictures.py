"""The pictures of networks in the documentation are those that the library draws now."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="a picture needs matplotlib")

DOCS = Path(__file__).parents[2] / "docs"


def module():
    spec = importlib.util.spec_from_file_location("explain_pictures", DOCS / "explain_pictures.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


MADE = module().pictures()
FAST = ("1-1-1-dark.svg", "2-2-2.svg", "4-8-8-3.svg", "64-100-10.svg")
FILES = [file if file in FAST else pytest.param(file, marks=pytest.mark.long) for file in MADE]


@pytest.mark.parametrize("file", FILES)
def test_a_committed_picture_has_the_parts_and_words_of_todays(file):
    svg = (DOCS / "assets" / "explain" / file).read_text(encoding="utf-8")
    figure = MADE[file]()
    named = figure.findobj(lambda one: one.get_gid())
    # The other identifiers are matplotlib's own: of groups, glyphs and clips.
    own = re.findall(r'id="((?:forward|backward|path|product|key|title)\b[^"]*)"', svg)
    assert sorted(own) == sorted(one.get_gid() for one in named)
    words = [line for one in named if hasattr(one, "get_text") for line in one.get_text().splitlines()]
    assert sorted(re.findall(r"<!-- (.*?) -->", svg)) == sorted(words)
    (ground,) = set(re.findall(r'id="patch_1">\s*<path[^>]*style="fill: (#\w+)"', svg))
    assert ground == module().rp.explain.style.theme(dark="dark" in file).surface


def test_every_picture_is_committed_and_no_other():
    assert sorted(path.name for path in (DOCS / "assets" / "explain").glob("*.svg")) == sorted(MADE)
