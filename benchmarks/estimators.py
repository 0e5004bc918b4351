"""Whole fits of the estimators and of scikit-learn's, in turns in one process: `python benchmarks/estimators.py`.

    python benchmarks/estimators.py [--rounds N] [--data NAME ...] [--epochs N]

Default parameters on scikit-learn's own data; 784-100-10 on 8,000 rows at batch 200 for N epochs, in both dtypes. A
line has the medians in seconds, their ratio (below 1: retroprop takes less time), and the first fit of the process,
which is recorded and, if the work is large enough, compiled. For 784-100-10 it also has the bare fit: the gathering of
the rows, the five matrix products and Adam's update of each step, and nothing else.
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

try:
    import numba
except ImportError:
    numba = None

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


def bare(X: np.ndarray, batch: int, epochs: int, n_hidden: int = 100, n_out: int = 10) -> float:
    """Return the seconds of the gathering, the products and Adam's update, a loop of Numba, in a whole fit."""
    rng, n = np.random.default_rng(0), X.shape[1]

    def room(*shape: int) -> np.ndarray:
        """Return an array aligned to a cache line: otherwise every vector of Adam's loop crosses two lines."""
        whole = np.empty(int(np.prod(shape)) + 64, X.dtype)
        begin = -whole.ctypes.data % 64 // whole.itemsize
        whole[:] = rng.uniform(0.0, 0.01, size=whole.shape)
        return whole[begin : begin + int(np.prod(shape))].reshape(shape)

    rows, hidden, out, delta = room(batch, n), room(batch, n_hidden), room(batch, n_out), room(batch, n_hidden)
    theta, gradient = room(n_out, n_hidden), room(n_out, n_hidden)
    wide, wide_gradient, *moments = (room(n, n_hidden) for _ in range(4))  # Θ^(1) stored (from, to): the faster layout
    numbers = [X.dtype.type(number) for number in (1e-3, 0.9, 0.1, 0.999, 0.001, 1e-8)]
    places = [array.reshape(-1) for array in (wide, *moments, wide_gradient)]
    adam = numba.njit(error_model="numpy")(_adam)
    adam(*places, *numbers)
    begun = perf_counter()
    for _ in range(epochs):
        order = rng.permutation(len(X))
        for at in range(0, len(X), batch):
            X.take(order[at : at + batch], 0, rows, "clip")
            np.dot(rows, wide, hidden)
            np.dot(hidden, theta.T, out)
            np.dot(out.T, hidden, gradient)
            np.dot(out, theta, delta)
            np.dot(rows.T, delta, wide_gradient)
            adam(*places, *numbers)
    return perf_counter() - begun


def _adam(theta, m, v, g, eta, beta_1, rest_1, beta_2, rest_2, eps):
    for i in range(len(theta)):
        m[i] = beta_1 * m[i] + rest_1 * g[i]
        v[i] = beta_2 * v[i] + rest_2 * g[i] * g[i]
        theta[i] -= eta * m[i] / (np.sqrt(v[i]) + eps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--data", nargs="+", choices=[*LOADED, *LARGE], default=[*LOADED, *LARGE])
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(
        f"{'data':20} {'retroprop':>10} {'scikit-learn':>13} {'ratio':>6} {'first fit':>10} {'bare':>10} {'ratio':>6}"
    )
    for name in options.data:
        kind, X, y, parameters = problem(name, options.epochs)
        contestants = getattr(estimators, kind), getattr(neural_network, kind)
        seconds: tuple[list[float], list[float]] = ([], [])
        least: list[float] = []
        for seed in range(options.rounds):
            if name in LARGE and numba is not None:
                least.append(bare(X, 200, options.epochs))
            for contestant, taken in zip(contestants, seconds, strict=True):
                model, begun = contestant(random_state=seed, **parameters), perf_counter()
                model.fit(X, y)
                taken.append(perf_counter() - begun)
        ours, theirs = map(statistics.median, seconds)
        floor = f" {statistics.median(least):10.4f} {statistics.median(least) / theirs:6.2f}" if least else ""
        print(f"{name:20} {ours:10.4f} {theirs:13.4f} {ours / theirs:6.2f} {seconds[0][0]:10.4f}{floor}", flush=True)


if __name__ == "__main__":
    main()
