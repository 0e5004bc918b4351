"""A raw table in, true labels out, and one saved thing that predicts."""

from importlib import import_module
from typing import Any

from retroprop.tabular.errors import DataError, need
from retroprop.tabular.fitting import fit
from retroprop.tabular.model import TabularModel, load
from retroprop.tabular.predictions import Predictions
from retroprop.tabular.report import Report
from retroprop.tabular.spreadsheets import unguarded

__all__ = [
    "DataError",
    "Predictions",
    "Report",
    "TabularClassifier",
    "TabularModel",
    "TabularRegressor",
    "fit",
    "load",
    "unguarded",
]


def __getattr__(name: str) -> Any:
    """Import the estimators on first use: they need scikit-learn."""
    if name in ("TabularClassifier", "TabularRegressor"):
        need("sklearn", extra="sklearn", purpose=f"retroprop.tabular.{name}")
        return getattr(import_module("retroprop.tabular.estimators"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
