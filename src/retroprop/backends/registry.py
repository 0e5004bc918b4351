"""Finding, choosing and naming backends. No library is imported before it is needed."""

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


class KnownLibrary(NamedTuple):
    """The module and class of a library's backend, the packages it needs, and the names to install them by."""

    module: str
    cls: str
    needs: tuple[str, ...]
    install: str


LIBRARIES = {
    "numpy": KnownLibrary("numpy_backend", "NumpyBackend", (), "numpy"),
    "cupy": KnownLibrary(
        "cupy_backend", "CupyBackend", ("cupy", "array_api_compat"), "'retroprop[cuda12]' or 'retroprop[cuda13]'"
    ),
    "torch": KnownLibrary("torch_backend", "TorchBackend", ("torch", "array_api_compat"), "'retroprop[torch]'"),
    "jax": KnownLibrary("jax_backend", "JaxBackend", ("jax",), "'retroprop[jax]'"),
    "array_api_strict": KnownLibrary("strict_backend", "StrictBackend", ("array_api_strict",), "array-api-strict"),
}

_ARRAYS_OF = {**{name: name for name in LIBRARIES}, "jaxlib": "jax"}
# The backends that compute on an NVIDIA GPU, in the order in which "auto" tries them
_ON_CUDA = ("cupy", "torch:cuda", "jax:cuda")
# Names of devices, which are no backends: several libraries compute there.
_OF_DEVICES = {"cuda": _ON_CUDA, "gpu": _ON_CUDA, "cpu": ("numpy", "torch:cpu", "jax:cpu")}
_SYNONYMS = {"np": "numpy", "pytorch": "torch", "strict": "array_api_strict"}


class BackendInfo(NamedTuple):
    """The report of `list_backends` on a library.

    Attributes
    ----------
    name : str
        The name for `get_backend`.
    version : str or None
        The installed version, None if the library is missing.
    devices : tuple of str
        Its devices as `get_backend` takes them after a colon, best first.
    available : bool
        Whether an array can be made there.
    reason : str or None
        If it is not available, the reason and the line that installs it.
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
    """Return a report on every known array library: its version and devices, or why it cannot be used.

    Each installed library is imported, because its devices cannot be listed before.
    """
    return [_report_on(name) for name in LIBRARIES]


def _report_on(name: str) -> BackendInfo:
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
    """Make `backend` the default within a `with` block, in this thread or task alone.

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
        a CUDA device that answers (CuPy's, PyTorch's or JAX's, the first installed), else NumPy. None is the one
        of `use_backend`, else the environment variable RETROPROP_BACKEND, else "auto". The namespace of any other
        library that follows the Array API standard is accepted too.

    Raises
    ------
    ValueError
        If no backend has that name.
    BackendUnavailableError
        If the library is not installed or has no such device; the message says what to do.
    """
    if backend is None:
        return _scoped.get() or _named(os.environ.get(ENVIRONMENT_VARIABLE) or "auto")
    if isinstance(backend, Backend):
        return backend
    if isinstance(backend, str):
        return _named(backend)
    if isinstance(backend, ModuleType) and hasattr(backend, "asarray"):
        return backend_of(backend.asarray(0.0))
    raise TypeError(f"backend must be a name, a Backend or an Array API namespace, not {backend!r}.")


Backend.find = staticmethod(get_backend)  # set here, as this module imports `Backend`; pickles call it


def host_backend() -> Backend:
    """Return NumPy's backend, on which host data live and float64 is always available."""
    return _named("numpy")


@lru_cache(maxsize=64)
def _named(spelled: str) -> Backend:
    if spelled == "auto":
        return _best()
    name, _, device = spelled.partition(":")
    if name.lower() in _OF_DEVICES:
        *backends, last = map(repr, _OF_DEVICES[name.lower()])
        raise ValueError(
            f"backend={spelled!r} names a device; name the library that computes there: "
            f'{", ".join(backends)} or {last}. "auto" takes a GPU if one is available.'
        )
    if name not in LIBRARIES:
        raise unknown("backend", name, (*LIBRARIES, "auto"), _SYNONYMS)
    return _load(name).open(device or None)


def _best() -> Backend:
    """Return the first available backend on a CUDA device, else NumPy."""
    # The driver answers in a millisecond; to import a library takes seconds.
    if _cuda_driver_answers():
        for spelled in _ON_CUDA:
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
    """Return the backend on which an array lives: the computation follows the data.

    Raises TypeError if `x` is not an array of a library that follows the standard.
    """
    name = _ARRAYS_OF.get(type(x).__module__.partition(".")[0])
    if name is not None:
        for device in ("", *(f":{d}" for d in _load(name).devices())):
            backend = _named(name + device)
            if backend.owns(x):
                return backend
        raise TypeError(f"an array of {name} on {x.device} lives on a device that retroprop cannot use.")
    if hasattr(x, "__array_namespace__"):
        return Backend(x.__array_namespace__(), x.device)
    raise TypeError(f"{type(x).__name__} is not an array of a library that follows the Array API standard.")
