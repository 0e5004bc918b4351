"""Ensembles beside their members, on scikit-learn's own data: `python benchmarks/ensembles.py`.

Ten members with one hidden layer of 30; means over five splits of the rows (three quarters for training). A line has
the figure of a single member (mean) and of the ensemble: log loss and accuracy of breast_cancer, root mean squared
error of diabetes; then how much the members' disagreement says: the fraction of wrong rows where members disagree and
where they do not, the mean absolute error of the rows with more and with less than the median standard deviation.
"""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from retroprop.estimators import MLPClassifier, MLPEnsembleClassifier, MLPEnsembleRegressor, MLPRegressor

KINDS = {"seeds": {}, "bootstrap": {"bootstrap": True}, "folds": {"folds": True}}
OPTIONS = {"hidden_layer_sizes": (30,), "max_iter": 200, "learning_rate_init": 0.01}


def parts(x: np.ndarray, y: np.ndarray, seed: int, **options: object) -> tuple[np.ndarray, ...]:
    train, test, y_train, y_test = train_test_split(x, y, random_state=seed, **options)
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), y_train, y_test


def classified(seed: int, kind: dict[str, bool]) -> list[float]:
    x, y = load_breast_cancer(return_X_y=True)
    train, test, y_train, y_test = parts(x, y, seed, stratify=y)
    found = MLPEnsembleClassifier(MLPClassifier(**OPTIONS), random_state=seed, **kind).fit(train, y_train)
    members, mean = found.member_probabilities(test), found.predict_proba(test)
    wrong, split = mean.argmax(axis=1) != y_test, found.disagreement(test) > 0
    return [
        float(np.mean([log_loss(y_test, one) for one in members])), log_loss(y_test, mean),
        float(np.mean([accuracy_score(y_test, one.argmax(axis=1)) for one in members])),
        accuracy_score(y_test, mean.argmax(axis=1)),
        wrong[split].mean() if split.any() else np.nan, wrong[~split].mean(),
    ]  # fmt: skip


def regressed(seed: int, kind: dict[str, bool]) -> list[float]:
    x, y = load_diabetes(return_X_y=True)
    train, test, y_train, y_test = parts(x, y / 100.0, seed)
    found = MLPEnsembleRegressor(MLPRegressor(**OPTIONS), random_state=seed, **kind).fit(train, y_train)
    mean, std = found.predict(test, return_std=True)
    errors, wide = 100.0 * np.abs(mean - y_test), std > np.median(std)
    single = [np.sqrt(np.mean((one - y_test) ** 2)) for one in found.member_predictions(test)]
    return [
        100.0 * float(np.mean(single)),
        float(np.sqrt(np.mean(errors**2))),
        errors[wide].mean(),
        errors[~wide].mean(),
    ]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, measure in (("breast_cancer", classified), ("diabetes", regressed)):
        for label, kind in KINDS.items():
            means = np.nanmean([measure(seed, kind) for seed in range(5)], axis=0)
            print(f"{name:14} {label:10}", *(f"{value:8.4g}" for value in means), flush=True)
