"""Backends are members of one list, and every test that takes the fixture `backend` runs on each of them.

A backend that is not here skips its rows with the reason `get_backend` gives, and the last lines of the run say
what ran where.
"""

import os
from collections import Counter

# Four of five backends compute in float64 by themselves; JAX has to be told before it starts.
os.environ["JAX_ENABLE_X64"] = "1"
os.environ.pop("RETROPROP_BACKEND", None)

import pytest

import retroprop as rp
from retroprop.backends import BackendUnavailableError

ON_A_CPU = ("numpy", "array_api_strict:device1", "torch:cpu", "jax:cpu")
ON_A_GPU = ("cupy", "torch:cuda", "jax:cuda")


def open_backend(name):
    """Return the backend, in the strictest mode where it has one, or skip with the reason it is not here."""
    try:
        backend = rp.get_backend(name)
    except BackendUnavailableError as error:
        pytest.skip(f"{name}: {error}")
    if backend.name == "array_api_strict":
        backend.xp.set_array_api_strict_flags(
            api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()
        )
    if str(backend) == "torch:cpu":
        import torch

        torch.set_num_threads(1)
    return backend


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
