"""The house keeps its rules, and each rule is shown to catch the fault it is there for."""

import statistics
from pathlib import Path

import pytest
from rules import violations

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


def test_files_are_small():
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES.values()]
    assert max(lengths) <= 400
    assert statistics.median(lengths) < 150
