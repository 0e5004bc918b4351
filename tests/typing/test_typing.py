"""mypy finds deliberate mistakes in calls of the library, and none in the examples of the pages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import retroprop

pytestmark = [pytest.mark.long, pytest.mark.needs("mypy")]
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Other libraries without types, as scikit-learn and pyarrow, or not installed: two errors that are not of --strict.
OTHER_LIBRARIES = ("--disable-error-code=import-untyped", "--disable-error-code=import-not-found")
# An attribute that fit adds to the error of a callback, whatever its class.
ADDED = '"OSError" has no attribute "history"  [attr-defined]'


def found_by_mypy(path, *options):
    """Return the lines in which mypy finds an error, with its words."""
    source = Path(retroprop.__file__).parents[1]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
        *options,
        str(path),
    ]
    result = subprocess.run(command, check=False, capture_output=True, text=True, env={"MYPYPATH": str(source)})
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return {int(line): words for line, words in re.findall(r":(\d+): error: (.*)", result.stdout)}


def test_deliberate_mistakes():
    page = Path(__file__).with_name("mistakes.py")
    made = {n for n, line in enumerate(page.read_text().splitlines(), 1) if line.endswith("# mistake")}
    found = found_by_mypy(page)
    assert len(made) == 43
    assert found.keys() <= made
    assert len(found) >= 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_have_no_mistake(page, tmp_path):
    source = "\n".join(EXAMPLE.findall(page.read_text(encoding="utf-8")))
    if not source or page.parent.name == "es":
        pytest.skip("it has no example of its own")
    (tmp_path / "example.py").write_text(source, encoding="utf-8")
    found = found_by_mypy(tmp_path / "example.py", *OTHER_LIBRARIES)
    lines = source.splitlines()
    assert {lines[n - 1]: words for n, words in found.items() if words != ADDED} == {}
