"""Finding, choosing and naming backends. Nothing is loaded before it is asked for."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from retroprop.backends.backend import Backend, BackendUnavailableError
from retroprop.functions.names import unknown
from retroprop.functions.types import Array

ENVIRONMENT_VARIABLE = "RETROPROP_BACKEND"


class Library(NamedTuple):
    """Where a library's backend is defined, the packages it needs, and what to install for it."""

    module: str
    cls: str
    needs: tuple[str, ...]
    install: str


LIBRARIES = {
    "numpy": Library("numpy_backend", "NumpyBackend", (), "numpy"),
    "cupy": Library(
        "cupy_backend", "CupyBackend", ("cupy", "array_api_compat"), "'retroprop[cuda12]' or 'retroprop[cuda13]'"
    ),
    "torch": Library("torch_backend", "TorchBackend", ("torch", "array_api_compat"), "'retroprop[torch]'"),
    "jax": Library("jax_backend", "JaxBackend", ("jax",), "'retroprop[jax]'"),
    "array_api_strict": Library("strict_backend", "StrictBackend", ("array_api_strict",), "array-api-strict"),
}

_ARRAYS_OF = {"numpy": "numpy", "cupy": "cupy", "torch": "torch", "jax": "jax", "jaxlib": "jax"} | {
    "array_api_strict": "array_api_strict"
}


class BackendInfo(NamedTuple):
    """What `list_backends` says of a library.

    Attributes
    ----------
    name : str
        What `get_backend` takes.
    version : str or None
        The installed version, None where the library is missing.
    devices : tuple of str
        Its devices as `get_backend` takes them after a colon, best first.
    available : bool
        Whether an array can be made there.
    reason : str or None
        If not, why, and what to install.
    """

    name: str
    version: str | None
    devices: tuple[str, ...]
    available: bool
    reason: str | None


def _load(name: str) -> type[Backend]:
    """Import the library and return its backend."""
    library = LIBRARIES[name]
    for package in library.needs:
        if find_spec(package) is None:
            raise BackendUnavailableError(
                f"the backend {name!r} needs {package}, which is not installed: pip install {library.install}"
            )
    try:
        found = getattr(import_module(f"retroprop.backends.{library.module}"), library.cls)
    except Exception as error:
        # A broken installation fails in every way: a CUDA library that cannot be opened, versions that do not fit.
        raise BackendUnavailableError(f"{name} is installed but cannot be imported: {error}") from error
    return found  # type: ignore[no-any-return]


def list_backends() -> list[BackendInfo]:
    """Return what is here: every known array library, its version and devices, or why it cannot be used.

    It imports each library that is installed, for only then does a device answer.
    """
    return [_look_at(name) for name in LIBRARIES]


def _look_at(name: str) -> BackendInfo:
    version = None
    try:
        backend = _load(name)
        version = backend.version()
        backend.open(None)
    except BackendUnavailableError as error:
        return BackendInfo(name, version, (), False, str(error))
    return BackendInfo(name, version, backend.devices(), True, None)


_scoped: ContextVar[Backend | None] = ContextVar("retroprop_backend", default=None)


def use_backend(backend: Any) -> AbstractContextManager[Backend]:
    """Make `backend` the default within a `with` block, in this thread or task alone; outside one, nothing.

    Parameters
    ----------
    backend : str, Backend or namespace
        As for `get_backend`.
    """
    return _default(get_backend(backend))


@contextmanager
def _default(backend: Backend) -> Iterator[Backend]:
    token = _scoped.set(backend)
    try:
        yield backend
    finally:
        _scoped.reset(token)


def get_backend(backend: Any = None) -> Backend:
    """Return a backend.

    Parameters
    ----------
    backend : str, Backend or namespace, optional
        "numpy", "cupy", "cupy:1", "torch", "torch:cuda:0", "jax", "array_api_strict:device1", ...; "auto" is
        a CUDA device that answers (CuPy's, PyTorch's or JAX's, the first installed), else NumPy. None is what
        `use_backend` says, then the environment variable RETROPROP_BACKEND, then "auto". The namespace of any
        other library that follows the Array API standard will do too.

    Raises
    ------
    ValueError
        If no backend has that name.
    BackendUnavailableError
        If the library is not installed or has no such device; the message says what to do.
    """
    if backend is None:
        scoped = _scoped.get()
        if scoped is not None:
            return scoped
        return _named(os.environ.get(ENVIRONMENT_VARIABLE) or "auto")
    if isinstance(backend, Backend):
        return backend
    if isinstance(backend, str):
        return _named(backend)
    if isinstance(backend, ModuleType) and hasattr(backend, "asarray"):
        return backend_of(backend.asarray(0.0))
    raise TypeError(f"backend must be a name, a Backend or an Array API namespace, not {backend!r}.")


Backend.find = staticmethod(get_backend)


def host_backend() -> Backend:
    """Return the backend of the host, where host data are at home and float64 is always to be had."""
    return _named("numpy")


@lru_cache(maxsize=64)
def _named(spelled: str) -> Backend:
    if spelled == "auto":
        return _best()
    name, _, device = spelled.partition(":")
    if name not in LIBRARIES:
        raise unknown("backend", name, (*LIBRARIES, "auto"))
    return _load(name).open(device or None)


def _best() -> Backend:
    """Return the first CUDA device that answers, else NumPy; asks the driver before it loads a library."""
    if _cuda_driver_answers():
        for spelled in ("cupy", "torch:cuda", "jax:cuda"):
            try:
                return _named(spelled)
            except BackendUnavailableError:
                continue
    return _named("numpy")


def _cuda_driver_answers() -> bool:
    import ctypes

    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    n_devices = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(n_devices)) == 0 and n_devices.value > 0


def backend_of(x: Array) -> Backend:
    """Return the backend an array lives on: compute follows data.

    Raises
    ------
    TypeError
        If `x` is no array of a library that follows the standard.
    """
    name = _ARRAYS_OF.get(type(x).__module__.partition(".")[0])
    if name is not None:
        for device in ("", *(f":{d}" for d in _load(name).devices())):
            backend = _named(name + device)
            if backend.owns(x):
                return backend
        raise TypeError(f"an array of {name} on {x.device} lives on no device retroprop can use.")
    if hasattr(x, "__array_namespace__"):
        return Backend(x.__array_namespace__(), x.device)
    raise TypeError(f"{type(x).__name__} is no array of a library that follows the Array API standard.")
