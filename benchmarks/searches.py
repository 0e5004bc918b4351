"""Whole searches: retroprop's GridSearchCV around its estimator, over scikit-learn's around its own.

    python benchmarks/searches.py [--rounds N] [--data NAME ...] [--jobs N] [--profile]

24 candidates times 5 folds, 200 epochs at most, float64 as scikit-learn computes, the data standardised; scikit-learn
with n_jobs=2, retroprop in one process and with n_jobs=2. The contestants take turns; the first turn, in which worker
processes start and loops are compiled, does not count. A line has the medians in seconds and their ratios to
scikit-learn's (below 1: retroprop takes less time), and the best scores, which have the same folds and seeds.

With `--profile` a line has the seconds of a search in one process by stage: the compiled steps; the orders of the
epochs and the rows of the batches; the rules and figures after an epoch (loss, patience, best parameters, learning
rate), in Python; the preparation of the fits; their scores; and the rest.
"""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from sklearn import datasets, model_selection, neural_network
from sklearn.preprocessing import StandardScaler

import retroprop.model_selection as together
from retroprop import estimators
from retroprop.bench import machine
from retroprop.bench.results import ResultRow, Results, Timing
from retroprop.estimators.epoch_group import EpochGroup, EpochsMember
from retroprop.model_selection.candidate import CandidateFit
from retroprop.training.epoch import Epochs
from retroprop.training.many.feed import Feed
from retroprop.training.many.group import Group

LOADED = {"iris": datasets.load_iris, "wine": datasets.load_wine, "breast_cancer": datasets.load_breast_cancer,
          "digits": datasets.load_digits}  # fmt: skip
SMALL = {"hidden_layer_sizes": [(8,), (16,), (32,)]}
LARGE = {"hidden_layer_sizes": [(16,), (32,), (64,)]}
GRID = {"alpha": [1e-4, 1e-2], "learning_rate_init": [1e-3, 1e-2], "activation": ["relu", "tanh"]}
# Methods that do not call each other
STAGES = {
    "steps": ((Group, "_run"), (Group, "_step"), (Epochs, "run")),
    "orders": ((EpochsMember, "begin_epoch"), (Feed, "next")),
    "rules": ((EpochGroup, "_close"),),
    "preparation": ((CandidateFit, "prepare"),),
    "scores": ((CandidateFit, "result"),),
}


def search_of(module: object, mlp: type, name: str, jobs: int | None) -> object:
    grid = (LARGE if name == "digits" else SMALL) | GRID
    return module.GridSearchCV(mlp(random_state=0), grid, cv=5, n_jobs=jobs)


def data_of(name: str) -> tuple[object, object]:
    x, y = LOADED[name](return_X_y=True)
    return StandardScaler().fit_transform(x), y


def timed(name: str, rounds: int, jobs: int = 2) -> tuple[list[Timing], list[float]]:
    """Return the times of a search in one process, in `jobs` processes and of scikit-learn's, and the best scores."""
    x, y = data_of(name)
    ours, theirs = (together, estimators.MLPClassifier), (model_selection, neural_network.MLPClassifier)
    contestants = {
        ("search", "one process"): (*ours, None),
        ("search", f"n_jobs={jobs}"): (*ours, jobs),
        ("peer", "scikit-learn"): (*theirs, jobs),
    }
    found = {key: Timing(kind=key[0], name=key[1], calls=1, seconds=[]) for key in contestants}
    scores = {}
    for turn in range(rounds + 1):
        for key, (module, mlp, n_jobs) in contestants.items():
            began = perf_counter()
            scores[key] = search_of(module, mlp, name, n_jobs).fit(x, y).best_score_
            if turn:
                found[key].seconds.append(perf_counter() - began)
    return list(found.values()), list(scores.values())


def measured(networks: Iterable[str], rounds: int) -> Results:
    """Return the times of the searches of some data sets, each by the name of its widest network and its batch."""
    rows = []
    warnings.simplefilter("ignore")
    for network in networks:
        sizes, _, batch = network.partition("@")
        (name,) = [name for name in LOADED if network_of(name) == network]
        rows.append(ResultRow(layer_sizes=list(map(int, sizes.split("-"))), batch=int(batch), optimizer="adam",
                              dtype="float64", timings=timed(name, rounds)[0]))  # fmt: skip
    # The load of other programs is left out: the processes of the searches would count as such.
    return Results(machine=machine.describe(), rows=rows)


def network_of(name: str) -> str:
    """Return the name of the widest network of a search: "4-32-3@120" for iris, of which a fold trains on 120 rows."""
    x, y = LOADED[name](return_X_y=True)
    (hidden,) = (LARGE if name == "digits" else SMALL)["hidden_layer_sizes"][-1]
    return f"{x.shape[1]}-{hidden}-{len(set(y.tolist()))}@{min(len(x) * 4 // 5, 200)}"


def profiled(name: str) -> Counter[str]:
    """Return the seconds of the stages of a search in one process."""
    seconds = Counter[str]()

    def watch(stage: str, owner: type, method: str) -> None:
        original = getattr(owner, method)

        def watched(*args: object, **keywords: object) -> object:
            began = perf_counter()
            try:
                return original(*args, **keywords)
            finally:
                seconds[stage] += perf_counter() - began

        setattr(owner, method, watched)

    x, y = data_of(name)
    search = search_of(together, estimators.MLPClassifier, name, None).fit(x, y)  # loops are compiled
    originals = [(owner, method, getattr(owner, method)) for some in STAGES.values() for owner, method in some]
    for stage, some in STAGES.items():
        for owner, method in some:
            watch(stage, owner, method)
    began = perf_counter()
    search.fit(x, y)
    seconds["rest"] = perf_counter() - began - seconds.total()
    for owner, method, original in originals:
        setattr(owner, method, original)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", nargs="+", default=list(LOADED), choices=list(LOADED))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="print the stages of retroprop's search instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.data:
        if options.profile:
            seconds = profiled(name)
            whole = seconds.total()
            stages = ", ".join(f"{stage} {one:.2f} s ({one / whole:.0%})" for stage, one in seconds.items())
            print(f"{name:14} {whole:.2f} s: {stages}", flush=True)
            continue
        (*own, whole), scores = timed(name, options.rounds, options.jobs)
        times = "  ".join(f"{one.name} {one.median:7.2f} s, {one.median / whole.median:5.3f}" for one in own)
        best = ", ".join(f"{score:.4f}" for score in scores)
        print(f"{name:14} {times}  scikit-learn {whole.median:7.2f} s  best {best}", flush=True)


if __name__ == "__main__":
    main()
