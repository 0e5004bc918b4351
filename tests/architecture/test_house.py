"""The house keeps its rules, and each rule is shown to catch the fault it is there for."""

import re
import statistics
from collections import Counter
from pathlib import Path

import pytest
from rules import classes, imported_modules, reached, violations

import retroprop

ROOT = Path(retroprop.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.name not in ("__main__.py", "_version.py") and path != ROOT / "__init__.py"
}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_rules_hold(module):
    assert violations(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("core.forward", "import numpy as np"),
        ("core.operations", "def f():\n    from cupy import matmul"),
        ("functions.losses", "import torch.nn"),
        ("training.loop", "import numpy"),
        ("network", "import jax.numpy as jnp"),
        ("training.step", "from array_api_compat import array_namespace"),
        ("cli.train", "import cupy"),
        ("bench.floor", "import torch"),
        ("cli.bench", "def f():\n    import torch"),
        ("core.backward", "def f(backend):\n    return backend == 'cupy'"),
        ("training.loop", "if backend.name in ('torch:cuda', 'x'): pass"),
        ("network", "net.to('numpy')"),
        ("functions.losses", "from retroprop.core import forward"),
        ("core.forward", "from retroprop.backends import get_backend"),
        ("backends.registry", "from retroprop.network import Network"),
        ("persistence.model_file", "from retroprop import training"),
        ("functions.losses", "def f(a): return float(a)"),
        ("core.backward", "if bool(x > 0): pass"),
        ("functions.activations", "xp.clip(z, 0, 1)"),
        ("core.operations", "xp.sign(theta)"),
        ("training.step", "cost.item()"),
        ("core.operations", "xp.arange(3)"),
        ("training.batches", "self.backend.xp.zeros((3, 2))"),
    ],
)
def test_rules_catch_a_deliberate_fault(module, fault):
    clean = MODULES[module].read_text(encoding="utf-8") if module in MODULES else ""
    assert violations(module, clean) == []
    assert len(violations(module, f"{clean}\n{fault}\n")) == 1


SOURCES = {module: path.read_text(encoding="utf-8") for module, path in MODULES.items()}


@pytest.fixture(scope="module")
def imports():
    """The modules that each module imports."""
    return {module: imported_modules(module, source, MODULES) for module, source in SOURCES.items()}


def lines_of(folder):
    return [len(source.splitlines()) for module, source in SOURCES.items() if module.partition(".")[0] == folder]


def test_files_are_small():
    lengths = [len(source.splitlines()) for source in SOURCES.values()]
    assert max(lengths) <= 400
    assert statistics.median(lengths) <= 110


@pytest.mark.parametrize(("folder", "most"), [("backends", 9200), ("bench", 3100)])
def test_rooms_stay_small(folder, most):
    assert sum(lines_of(folder)) <= most


def test_imports_make_no_circle(imports):
    """A circle within functions, or for types only, is one too: whoever reads a module has to read the other."""
    assert [module for module in imports if module in reached(imports, module)] == []
    assert reached({"a": {"b"}, "b": {"c"}, "c": {"a"}}, "a") == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("module", "most"), [("core.backward", 11), ("backends.numpy_backend", 37), ("backends.cupy_backend", 48)]
)
def test_a_reader_opens_few_files(module, most, imports):
    """The path of a reader, as docs/design.md counts it: every module that one imports, directly or not."""
    assert len(reached(imports, module)) <= most


def test_one_name_means_one_class():
    named = Counter(name for source in SOURCES.values() for name in classes(source))
    assert [name for name, times in named.items() if times > 1] == []


def test_one_name_means_one_file_below_backends():
    names = Counter(path.name for path in (ROOT / "backends").rglob("*.py") if path.name != "__init__.py")
    assert [name for name, times in names.items() if times > 1] == []


# Words that were this project's own, for which the field has another: 1-D array, Fortran order, elementwise, available,
# tolerated, reported. A docstring begins with a noun or a verb, not with a clause.
PRIVATE_WORDS = re.compile(
    r"\brows? of numbers\b|\bcolumns first\b|\bnumber by number\b|\bborne\b|\bto be had\b|\b(?:is|are|was|be) told\b|"
    r"\bthe paper's layer\b|\"\"\"(?:What|Return what|Return who|How) ",
    re.IGNORECASE,
)


def test_the_language_is_the_fields():
    pages = {page.name: page.read_text(encoding="utf-8") for page in (ROOT.parents[1] / "docs").rglob("*.md")}
    found = {name: PRIVATE_WORDS.findall(text) for name, text in (SOURCES | pages).items()}
    assert {name: words for name, words in found.items() if words} == {}
    assert PRIVATE_WORDS.findall('"""What a step is told, as a row of numbers."""') == [
        '"""What ',
        "is told",
        "row of numbers",
    ]
