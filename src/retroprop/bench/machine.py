"""The origin of figures: processor, libraries, versions, commit, date. Neither a path nor the name of the machine."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import retroprop as rp

_PACKAGES = (
    "numpy", "numba", "array-api-compat", "torch", "jax", "optax", "cupy-cuda12x", "cupy-cuda13x", "thinc",
    "scikit-learn",
)  # fmt: skip
_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
    "RETROPROP_NUMBA", "XLA_FLAGS",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Return the facts a reader needs to compare a figure with their own, as JSON can hold them."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu(),
        "cores": cores(),
        "blas": _blas(),
        "python": platform.python_version(),
        "retroprop": rp.__version__,
        "commit": commit(),
        "packages": versions(_PACKAGES),
        "environment": {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)},
    }


def gpus(backends: Sequence[str]) -> dict[str, str]:
    """Return the product name of the GPU behind each of these backends that has one."""
    found = {}
    for backend in backends:
        with suppress(Exception):  # the name is informative only
            found[backend] = rp.get_backend(backend).product_name()
    return {backend: model for backend, model in found.items() if model}


@cache
def cpu() -> str:
    """Return the model of the processor by py-cpuinfo, which takes a second; without it, the platform's own word."""
    with suppress(Exception):  # informative only, too
        from cpuinfo import get_cpu_info

        return str(get_cpu_info()["brand_raw"])
    return platform.processor() or platform.machine()


def cores() -> int | None:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _blas() -> str:
    """Return the matrix library of NumPy, with its kernels and threads where threadpoolctl is installed."""
    config: Any = np.show_config(mode="dicts")
    built = config.get("Build Dependencies", {}).get("blas", {})
    name = f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()
    with suppress(ImportError):
        from threadpoolctl import ThreadpoolController

        for pool in ThreadpoolController().select(user_api="blas").info():
            # A process may hold several; NumPy's own lies beside it or in the folder of its wheel.
            if "numpy" in str(pool.get("filepath", "")).lower():
                kernels = f", {pool['architecture']} kernels" if pool.get("architecture") else ""
                return f"{pool['internal_api']} {pool['version']}{kernels}, {pool['num_threads']} threads"
    return name


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each of these packages that is installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def commit() -> str | None:
    """Return the commit of the source tree retroprop runs from, None where it is installed or there is no git."""
    root = Path(rp.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    with suppress(OSError, subprocess.SubprocessError):
        found = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "src")
        return f"{found}, changed since" if changed else found
    return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
