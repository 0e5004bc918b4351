"""The only place where an array library has a name: find, choose, move, synchronise, draw, fuse, capture."""

from retroprop.backends.backend import Backend, BackendUnavailableError
from retroprop.backends.registry import BackendInfo, backend_of, get_backend, host_backend, list_backends, use_backend

__all__ = [
    "Backend",
    "BackendInfo",
    "BackendUnavailableError",
    "backend_of",
    "get_backend",
    "host_backend",
    "list_backends",
    "use_backend",
]
