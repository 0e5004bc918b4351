"""scikit-learn's searches for hyper-parameters, whose candidates and folds are trained together."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("retroprop.model_selection needs scikit-learn: pip install 'retroprop[sklearn]'")

from retroprop.model_selection.search_report import SearchReport
from retroprop.model_selection.searches import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
)

__all__ = ["GridSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "RandomizedSearchCV", "SearchReport"]
