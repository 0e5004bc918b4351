"""retroprop: multilayer perceptrons trained by backpropagation derived by hand, where your arrays live."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    optimizers,
)

if TYPE_CHECKING:
    from retroprop.training.many.fit_many import fit_many
    from retroprop.training.many.stacking import stack

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
    "scale",
    "schedules",
    "stack",
    "tabular",
    "use_backend",
]

_MODULES_ON_USE = ("estimators", "explain", "interop", "scale", "tabular")
_FUNCTIONS_ON_USE = {"fit_many": "training.many.fit_many", "stack": "training.many.stacking"}


def __getattr__(name: str) -> Any:
    """Import a module, or a function with its module, when it is first used: nobody waits for it who does not ask."""
    if name in _MODULES_ON_USE:
        return import_module(f"retroprop.{name}")
    if name in _FUNCTIONS_ON_USE:
        return getattr(import_module(f"retroprop.{_FUNCTIONS_ON_USE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
