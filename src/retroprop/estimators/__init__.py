"""scikit-learn's multilayer perceptrons: its names, parameters and semantics, with additional options."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("retroprop.estimators needs scikit-learn: pip install 'retroprop[sklearn]'")

from retroprop.estimators.classifier import MLPClassifier
from retroprop.estimators.ensemble_classifier import MLPEnsembleClassifier
from retroprop.estimators.ensemble_regressor import MLPEnsembleRegressor
from retroprop.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPEnsembleClassifier", "MLPEnsembleRegressor", "MLPRegressor"]
