"""Whole fits of the estimators and of scikit-learn's, in turns in one process: `python benchmarks/estimators.py`.

    python benchmarks/estimators.py [--rounds N] [--data NAME ...] [--epochs N]

Default parameters on scikit-learn's own data; 784-100-10 on 8,000 rows at batch 200 for so many epochs, in both dtypes.
A line gives the medians in seconds, their ratio (below 1: the estimator here is faster), and the first fit of the
process, which is recorded and, where the work is worth it, compiled.
"""

import argparse
import statistics
import sys
import warnings
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning

from retroprop import estimators

LOADED = {"iris": datasets.load_iris, "wine": datasets.load_wine, "breast_cancer": datasets.load_breast_cancer,
          "digits": datasets.load_digits, "diabetes": datasets.load_diabetes}  # fmt: skip
LARGE = {"784-100-10 float32": "float32", "784-100-10 float64": "float64"}


def problem(name: str, epochs: int) -> tuple[str, np.ndarray, np.ndarray, dict[str, object]]:
    if name in LOADED:
        kind = "MLPRegressor" if name == "diabetes" else "MLPClassifier"
        return kind, *LOADED[name](return_X_y=True), {}
    rng = np.random.default_rng(0)
    X = np.maximum(rng.normal(size=(8000, 784)), 0.0)
    y = np.argmax(X @ rng.normal(size=(784, 10)), axis=1)
    return "MLPClassifier", X.astype(LARGE[name]), y, {"batch_size": 200, "max_iter": epochs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--data", nargs="+", choices=[*LOADED, *LARGE], default=[*LOADED, *LARGE])
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{'data':20} {'retroprop':>10} {'scikit-learn':>13} {'ratio':>6} {'first fit':>10}")
    for name in options.data:
        kind, X, y, parameters = problem(name, options.epochs)
        contestants = getattr(estimators, kind), getattr(neural_network, kind)
        seconds: tuple[list[float], list[float]] = ([], [])
        for seed in range(options.rounds):
            for contestant, taken in zip(contestants, seconds, strict=True):
                model, begun = contestant(random_state=seed, **parameters), perf_counter()
                model.fit(X, y)
                taken.append(perf_counter() - begun)
        ours, theirs = map(statistics.median, seconds)
        print(f"{name:20} {ours:10.4f} {theirs:13.4f} {ours / theirs:6.2f} {seconds[0][0]:10.4f}", flush=True)


if __name__ == "__main__":
    main()
