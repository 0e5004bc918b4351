"""scikit-learn's multilayer perceptrons: its names, parameters and semantics, with additional options."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if find_spec("sklearn") is None:
    raise ImportError("retroprop.estimators needs scikit-learn: pip install 'retroprop[sklearn]'")

from retroprop.estimators.classifier import MLPClassifier
from retroprop.estimators.regressor import MLPRegressor

if TYPE_CHECKING:
    from retroprop.estimators.ensemble_classifier import MLPEnsembleClassifier
    from retroprop.estimators.ensemble_regressor import MLPEnsembleRegressor

__all__ = ["MLPClassifier", "MLPEnsembleClassifier", "MLPEnsembleRegressor", "MLPRegressor"]

_ON_USE = {"MLPEnsembleClassifier": "ensemble_classifier", "MLPEnsembleRegressor": "ensemble_regressor"}


def __getattr__(name: str) -> Any:
    """Import an ensemble with its module when it is first used."""
    if name in _ON_USE:
        return getattr(import_module(f"retroprop.estimators.{_ON_USE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
