"""What can be said of the CuPy backend where CuPy is installed, GPU or not: it imports without one."""

import inspect
import re
from pathlib import Path

import pytest

import retroprop as rp
from retroprop.backends import Backend, BackendUnavailableError

pytest.importorskip("cupy", reason="CuPy is not installed")
cupy_backend = pytest.importorskip("retroprop.backends.cupy_backend")


def test_signatures():
    for name, method in inspect.getmembers(Backend, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(cupy_backend.CupyBackend, name)) == inspect.signature(method), name


def test_its_namespace_has_every_function_the_core_calls():
    sources = [p for part in ("functions", "core", "training") for p in (Path(rp.__file__).parent / part).glob("*.py")]
    called = {
        name for path in sources for name in re.findall(r"\bxp\.([a-z_0-9]+)\(", path.read_text(encoding="utf-8"))
    }
    assert {"matmul", "astype", "isdtype"} <= called
    assert [name for name in sorted(called) if not hasattr(cupy_backend.array_api_compat.cupy, name)] == []


def test_no_device_is_reported_as_such():
    if cupy_backend.CupyBackend.devices():
        pytest.skip("a GPU answers")
    with pytest.raises(BackendUnavailableError, match="is installed but finds no CUDA device"):
        rp.get_backend("cupy")
    info = next(info for info in rp.list_backends() if info.name == "cupy")
    assert info.version is not None
    assert not info.available
