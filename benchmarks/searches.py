"""Whole searches: retroprop's GridSearchCV around its estimator, over scikit-learn's around its own.

    python benchmarks/searches.py [--rounds N] [--data NAME ...] [--jobs N] [--profile]

24 candidates times 5 folds, 200 epochs at most, float64 as scikit-learn computes, the data standardised; scikit-learn
with n_jobs=2, retroprop in one process and with n_jobs=2. The contestants take turns; the first turn, in which worker
processes start and loops are compiled, does not count. A line has the medians in seconds and their ratios to
scikit-learn's (below 1: retroprop takes less time), and the best scores, which have the same folds and seeds.
"""

import argparse
import cProfile
import pstats
import statistics
import sys
import warnings
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from sklearn import datasets, model_selection, neural_network
from sklearn.preprocessing import StandardScaler

import retroprop.model_selection as together
from retroprop import estimators

LOADED = {"iris": datasets.load_iris, "wine": datasets.load_wine, "breast_cancer": datasets.load_breast_cancer,
          "digits": datasets.load_digits}  # fmt: skip
SMALL = {"hidden_layer_sizes": [(8,), (16,), (32,)]}
LARGE = {"hidden_layer_sizes": [(16,), (32,), (64,)]}
GRID = {"alpha": [1e-4, 1e-2], "learning_rate_init": [1e-3, 1e-2], "activation": ["relu", "tanh"]}


def search_of(module: object, mlp: type, name: str, jobs: int | None) -> object:
    grid = (LARGE if name == "digits" else SMALL) | GRID
    return module.GridSearchCV(mlp(random_state=0), grid, cv=5, n_jobs=jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", nargs="+", default=list(LOADED), choices=list(LOADED))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="print the profile of retroprop's search instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.data:
        x, y = LOADED[name](return_X_y=True)
        x = StandardScaler().fit_transform(x)
        ours, theirs = (together, estimators.MLPClassifier), (model_selection, neural_network.MLPClassifier)
        contestants = {
            "one process": (*ours, None),
            f"n_jobs={options.jobs}": (*ours, options.jobs),
            "scikit-learn": (*theirs, options.jobs),
        }
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(search_of(together, estimators.MLPClassifier, name, None).fit, x, y)
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
            continue
        seconds: dict[str, list[float]] = {label: [] for label in contestants}
        scores = {}
        for turn in range(options.rounds + 1):
            for label, (module, mlp, jobs) in contestants.items():
                began = perf_counter()
                found = search_of(module, mlp, name, jobs).fit(x, y)
                if turn:
                    seconds[label].append(perf_counter() - began)
                scores[label] = found.best_score_
        *own, whole = (statistics.median(seconds[label]) for label in contestants)
        times = "  ".join(
            f"{label} {one:7.2f} s, {one / whole:5.3f}" for label, one in zip(contestants, own, strict=False)
        )
        best = ", ".join(f"{score:.4f}" for score in scores.values())
        print(f"{name:14} {times}  scikit-learn {whole:7.2f} s  best {best}", flush=True)


if __name__ == "__main__":
    main()
