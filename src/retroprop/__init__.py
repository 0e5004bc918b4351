"""retroprop: multilayer perceptrons trained by backpropagation derived by hand, where your arrays live."""

from importlib import import_module
from typing import Any

from retroprop._version import __version__
from retroprop.backends import BackendUnavailableError, get_backend, list_backends, use_backend
from retroprop.functions import activations, initializers, losses, metrics, schedules
from retroprop.network import Network, check_gradient
from retroprop.persistence import CheckpointError, ModelFileError, load, save
from retroprop.training import Checkpoint, DivergenceError, EarlyStopping, History, fit, optimizers

__all__ = [
    "BackendUnavailableError",
    "Checkpoint",
    "CheckpointError",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "ModelFileError",
    "Network",
    "__version__",
    "activations",
    "check_gradient",
    "explain",
    "fit",
    "get_backend",
    "initializers",
    "list_backends",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "save",
    "scale",
    "schedules",
    "tabular",
    "use_backend",
]


def __getattr__(name: str) -> Any:
    """Import `explain`, `scale` and `tabular` on first use, so that nobody waits for them who does not ask."""
    if name in ("explain", "scale", "tabular"):
        return import_module(f"retroprop.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
