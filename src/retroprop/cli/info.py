"""`retroprop info`: the backends, devices and optional packages of this machine, and how to install missing ones."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import retroprop as rp
from retroprop.backends import BackendInfo
from retroprop.backends.cpu.numba_target import CACHE

# Package, the extra that installs it, its purpose.
_EXTRAS = (
    ("scikit-learn", "sklearn", "estimators, bundled data sets"),
    ("numba", "fast", "faster training on the CPU"),
    ("typer", "cli", "command line"),
    ("rich", "cli", "tables and progress bars"),
    ("polars", "data", ".csv and .parquet files"),
    ("matplotlib", "plot", "pictures"),
    ("safetensors", "", "model files"),
)


def gather() -> dict[str, Any]:
    """Return versions, backends with their devices, and optional packages, as values that JSON can hold."""
    backends = rp.list_backends()
    return {
        "retroprop": rp.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_cores": _cpu_cores(),
        "blas": _blas(),
        "auto": str(rp.get_backend("auto")),
        "RETROPROP_BACKEND": os.environ.get("RETROPROP_BACKEND"),
        "RETROPROP_DISABLE": os.environ.get("RETROPROP_DISABLE"),
        "backends": [backend._asdict() for backend in backends],
        "gpu": _of_cupy(backends),
        "cpu": rp.get_backend("numpy").report(),
        "packages": [
            {"name": name, "version": _version(name), "extra": extra, "purpose": purpose}
            for name, extra, purpose in _EXTRAS
        ],
    }


def clear() -> None:
    """Remove every compiled loop from the disk."""
    CACHE.clear()


def _of_cupy(backends: list[BackendInfo]) -> dict[str, str]:
    """Return the report of CuPy's backend on its GPU, or an empty dict without one."""
    here = any(backend.available for backend in backends if backend.name == "cupy")
    return rp.get_backend("cupy").report() if here else {}


def _cpu_cores() -> int | None:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _blas() -> dict[str, Any]:
    """Return the BLAS that NumPy was built with, and its number of threads if threadpoolctl is installed."""
    config: Any = np.show_config(mode="dicts")
    built = config.get("Build Dependencies", {}).get("blas", {})
    found = {"name": built.get("name"), "version": built.get("version"), "threads": None}
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return found
    threads = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {**found, "threads": max(threads, default=None)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
