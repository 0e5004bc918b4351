"""The API reference has every public name, under the name that a user types."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import retroprop as rp

PAGES = sorted((Path(__file__).parents[2] / "docs" / "reference").glob("*.md"))
NAMED = {name for page in PAGES for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)}


def public(module):
    """Return the functions and classes that a module exports."""
    things = {name: getattr(module, name) for name in module.__all__}
    return {name for name, thing in things.items() if inspect.isclass(thing) or inspect.isfunction(thing)}


@pytest.mark.parametrize("name", ["", ".interop", ".tabular", ".explain", ".estimators", ".scale"])
def test_every_public_name_is_in_the_reference(name):
    if name == ".estimators":
        pytest.importorskip("sklearn")
    module = importlib.import_module(f"retroprop{name}")
    # Below a package a name may stand with its module, which is not loaded before it is used.
    named = {one.rpartition(".")[2] for one in NAMED if one.startswith(f"retroprop{name}.")}
    if not name:
        named = {one.rpartition(".")[2] for one in NAMED if one.count(".") == 1}
    assert public(module) - named == set()


def test_every_name_of_the_reference_exists():
    for name in sorted(NAMED):
        module, _, last = name.rpartition(".")
        try:
            home = importlib.import_module(module)
        except ModuleNotFoundError:  # a class
            home = getattr(importlib.import_module(module.rpartition(".")[0]), module.rpartition(".")[2])
        assert hasattr(home, last) or importlib.import_module(name), name


def test_heavy_modules_load_on_first_use():
    for name in ("estimators", "tabular", "explain", "interop", "scale"):
        assert name in rp.__all__
        assert getattr(rp, name).__name__ == f"retroprop.{name}"
