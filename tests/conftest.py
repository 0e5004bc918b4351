"""Backends are members of one list, and every test that takes the fixture `backend` runs on each of them.

A test that needs a library is marked with its name. Where the library is absent one of its tests stands for all: it is
skipped with the reason. The last lines of the run say what ran where.
"""

import ctypes
import gc
import mmap
import os
import sys
from collections import Counter
from pathlib import Path

# Four of five backends compute in float64 by themselves; JAX has to be told before it starts.
os.environ["JAX_ENABLE_X64"] = "1"
os.environ.pop("RETROPROP_BACKEND", None)
# Numba takes half a second for a loop it has not seen; the tests of its loops switch it on.
os.environ["RETROPROP_NUMBA"] = "0"

import pytest
from harness import ON_A_CPU, ON_A_GPU, needing, open_backend, why_absent
from selection import quick_flags, spared, without_absent


@pytest.fixture(params=[needing(name) for name in (*ON_A_CPU, *ON_A_GPU)])
def backend(request):
    """Every backend in turn."""
    request.node.user_properties.append(("backend", request.param))
    return open_backend(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both dtypes in turn."""
    return request.param


# Bytes below which a worker keeps its memory, for JAX compiles again what is freed; and its growth between two times.
ENOUGH, GROWTH = 1.0e9, 75e6
STATM = Path("/proc/self/statm")
kept = [0.0]


def resident():
    """Return the bytes of this process in memory; 0 where the system does not say."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE if STATM.exists() else 0


def pytest_runtest_teardown():
    """Free memory where a worker has grown: JAX keeps what it has compiled, and glibc what is freed."""
    if resident() < max(ENOUGH, kept[-1] + GROWTH):
        return
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    kept.append(resident())


def pytest_collection_finish(session):
    """Take what has been imported and collected out of the collections to come: half a second each, of a full heap."""
    gc.collect()
    gc.freeze()


def pytest_configure(config):
    """Let XLA compile quickly in the short run, the long run has the code that users have; let freed memory go.

    The allocators of polars and pyarrow keep up to 200 MB of it for each worker otherwise.
    """
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if config.option.markexpr == "not long":
        os.environ.setdefault("XLA_FLAGS", quick_flags())


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Leave to the long run what has to be compiled again for another parameter, and collect absent libraries once."""
    for compiling in ("jax:cpu", "numpy with numba", "torch with numba"):
        for item in spared(items, compiling):
            item.add_marker(pytest.mark.long)
    yield
    items[:], left_out = without_absent(items, why_absent)
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter):
    """Say what ran where."""
    ran, missing, others = {}, {}, Counter()
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            name = dict(getattr(report, "user_properties", [])).get("backend")
            reason = str(report.longrepr[2]).removeprefix("Skipped: ") if outcome == "skipped" else ""
            absent = next((one for one in (*ON_A_CPU, *ON_A_GPU) if reason.startswith(f"{one}: ")), None)
            if name is not None and absent is None:
                ran.setdefault(name, Counter())[outcome] += 1
            if absent is not None:
                missing[absent] = reason.removeprefix(f"{absent}: ")
            elif reason:
                others[reason] += 1
    if not ran and not missing and not others:
        return
    terminalreporter.section("what ran where")
    for name in (*ON_A_CPU, *ON_A_GPU):
        counts = ran.get(name, Counter())
        outcomes = (f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if counts[outcome])
        alone = f"skipped: {missing[name]}" if name in missing else "no test selected"
        terminalreporter.write_line(f"{name:26}{', '.join(outcomes) or alone}")
    for reason, count in others.most_common():
        terminalreporter.write_line(f"{'skipped':26}{count}: {reason}")
