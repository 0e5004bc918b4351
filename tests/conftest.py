"""Backends are members of one list, and every test that takes the fixture `backend` runs on each of them.

A backend that is not here skips its rows with the reason `get_backend` gives, and the last lines of the run say
what ran where.
"""

import os
from collections import Counter

# Four of five backends compute in float64 by themselves; JAX has to be told before it starts.
os.environ["JAX_ENABLE_X64"] = "1"
os.environ.pop("RETROPROP_BACKEND", None)
# Numba takes half a second for a loop it has not seen; the tests of its loops switch it on.
os.environ["RETROPROP_NUMBA"] = "0"

import pytest
from harness import ON_A_CPU, ON_A_GPU, open_backend


@pytest.fixture(params=[*ON_A_CPU, *(pytest.param(name, marks=pytest.mark.gpu) for name in ON_A_GPU)])
def backend(request):
    """Every backend in turn."""
    request.node.user_properties.append(("backend", request.param))
    return open_backend(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both dtypes in turn."""
    return request.param


def pytest_terminal_summary(terminalreporter):
    """Say what ran where."""
    ran, missing, others = {}, {}, Counter()
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            name = dict(getattr(report, "user_properties", [])).get("backend")
            reason = str(report.longrepr[2]).removeprefix("Skipped: ") if outcome == "skipped" else ""
            if name is not None:
                ran.setdefault(name, Counter())[outcome] += 1
            if name is not None and reason.startswith(f"{name}: "):
                missing[name] = reason.removeprefix(f"{name}: ")
            elif reason:
                others[reason] += 1
    if not ran and not others:
        return
    terminalreporter.section("what ran where")
    for name in (*ON_A_CPU, *ON_A_GPU):
        counts = ran.get(name, Counter())
        outcomes = (f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if counts[outcome])
        why = f" ({missing[name]})" if name in missing else ""
        terminalreporter.write_line(f"{name:26}{', '.join(outcomes) or 'no test selected'}{why}")
    for reason, count in others.most_common():
        terminalreporter.write_line(f"{'skipped':26}{count}: {reason}")
