"""retroprop: multilayer perceptrons trained by backpropagation derived by hand, where your arrays live."""

from importlib import import_module
from typing import Any

from retroprop._version import __version__
from retroprop.backends import BackendUnavailableError, get_backend, list_backends, use_backend
from retroprop.functions import activations, initializers, losses, metrics, schedules
from retroprop.network import Network, check_gradient
from retroprop.persistence import CheckpointError, ModelFileError, load, save
from retroprop.training import (
    Checkpoint,
    DivergenceError,
    EarlyStopping,
    History,
    OutOfDeviceMemoryError,
    TrainingState,
    fit,
    fit_many,
    optimizers,
    stack,
)

__all__ = [
    "BackendUnavailableError",
    "Checkpoint",
    "CheckpointError",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "ModelFileError",
    "Network",
    "OutOfDeviceMemoryError",
    "TrainingState",
    "__version__",
    "activations",
    "check_gradient",
    "estimators",
    "explain",
    "fit",
    "fit_many",
    "get_backend",
    "initializers",
    "interop",
    "list_backends",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "save",
    "schedules",
    "stack",
    "tabular",
    "use_backend",
]

_ON_USE = ("estimators", "explain", "interop", "tabular")


def __getattr__(name: str) -> Any:
    """Import a module of `_ON_USE` when it is first used, so that nobody waits for it who does not ask."""
    if name in _ON_USE:
        return import_module(f"retroprop.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
