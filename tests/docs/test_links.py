"""The links of the README are absolute, as a package index needs them, and lead to files; the index has every guide."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([^)\s]+)\)")
OURS = re.compile(
    r"https://(?:github\.com/retroprop/retroprop/(?:blob|tree)|raw\.githubusercontent\.com/retroprop/retroprop)/main/"
)


def test_the_links_of_the_readme_are_absolute_and_lead_somewhere():
    links = LINK.findall(README)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    ours = [OURS.sub("", link).partition("#")[0] for link in links if OURS.match(link)]
    assert len(ours) > 20
    assert [path for path in ours if not (ROOT / path).exists()] == []


def test_the_index_has_every_guide():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {*LINK.findall(index)}
    guides = {f"howto/{page.name}" for page in (ROOT / "docs" / "howto").glob("*.md")}
    assert guides - listed == set()


def test_the_site_lists_every_page():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(page.relative_to(ROOT / "docs").as_posix()) for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if page not in nav} == set()
