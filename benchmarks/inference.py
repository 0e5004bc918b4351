"""The time of a prediction and of a small `partial_fit`, over scikit-learn's and over hand-written NumPy.

    python benchmarks/inference.py [--seconds S] [--cases CASE ...]

64-100-10 on scikit-learn's digits: `MLPClassifier.predict_proba` and `predict` of 1, 32, 100 and 1,797 rows, and
`partial_fit` of 32 and of 1 to 1,797 rows, no number twice, over those of scikit-learn's estimator with the same
weights; `Network.predict` over a forward propagation that a NumPy user writes, with the same weights. Both sides of a
ratio are timed in turns in one process, both get the same data, in both dtypes. A line has the medians in microseconds,
and median and quartiles of the ratio.

Set OMP_NUM_THREADS and OPENBLAS_NUM_THREADS for another number of threads than the library's own.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np

from retroprop.bench import machine
from retroprop.bench.analysis import ratio
from retroprop.bench.contestant import Contestant
from retroprop.bench.processor_load import ProcessorLoad
from retroprop.bench.results import ResultRow, Results, Timing
from retroprop.bench.timer import Pace, race, warm_up
from retroprop.bench.workloads import DTYPES

SIZES = (64, 100, 10)
# The numerator and the denominator of each ratio: the names of two contestants.
SIDES = {
    "predict_proba": ("numpy", "scikit-learn"),
    "predict": ("numpy", "scikit-learn"),
    "partial_fit": ("numpy", "scikit-learn"),
    "partial_fit of all sizes": ("numpy", "scikit-learn"),
    "Network.predict": ("numpy", "hand-written NumPy"),
}
PACE = Pace(rounds=(15, 101))


class Case(NamedTuple):
    """A call, one of `SIDES`, the rows of its data, and their dtype."""

    call: str
    rows: int
    dtype: str

    @property
    def network(self) -> str:
        """The network and the rows, as a workload is named: "64-100-10@32"."""
        return f"{'-'.join(map(str, SIZES))}@{self.rows}"

    def __str__(self) -> str:
        return f"{self.call}:{self.rows}:{self.dtype}"


CASES = tuple(
    Case(call, rows, dtype)
    for dtype in DTYPES
    for call in SIDES
    for rows in {"partial_fit": (32,), "partial_fit of all sizes": (1797,)}.get(call, (1, 32, 100, 1797))
)


def case_of(text: str) -> Case:
    """Return the case of a text such as "predict_proba:100:float32"."""
    call, rows, dtype = text.split(":")
    return Case(call, int(rows), dtype)


def sides(case: Case) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the two calls of a case, with models of their own that have the same weights."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier as TheirClassifier

    from retroprop.estimators import MLPClassifier

    X, y = load_digits(return_X_y=True)
    X = (X / 16.0).astype(case.dtype)
    theirs = TheirClassifier(random_state=0)
    for _ in range(3):
        theirs.partial_fit(X, y, classes=np.arange(10))
    ours = MLPClassifier.from_sklearn(theirs)
    # Arrays of their own: rows of a larger array would not have their memory to themselves.
    x, labels = X[: case.rows].copy(), y[: case.rows].copy()
    if case.call == "Network.predict":
        net = ours.network_
        return partial(net.predict, x), partial(forward, x, deepcopy(theirs.coefs_), deepcopy(theirs.intercepts_))
    if case.call == "partial_fit of all sizes":
        return partial(next, fits_of_all_sizes(ours, x, labels)), partial(next, fits_of_all_sizes(theirs, x, labels))
    arguments = (x, labels) if case.call == "partial_fit" else (x,)
    return partial(getattr(ours, case.call), *arguments), partial(getattr(theirs, case.call), *arguments)


def fits_of_all_sizes(model: Any, x: np.ndarray, y: np.ndarray) -> Iterator[Any]:
    """Yield after a `partial_fit` of every number of rows, in a drawn order, in one batch each."""
    model.set_params(batch_size=len(x))
    warnings.filterwarnings("ignore", message="Got `batch_size` less than 1")  # both warn of it
    while True:
        for m in np.random.default_rng(0).permutation(len(x)):
            yield model.partial_fit(x[: m + 1], y[: m + 1])


def forward(x: np.ndarray, weights: list[np.ndarray], biases: list[np.ndarray]) -> np.ndarray:
    """Return the probabilities; in place where that is easy, without tricks."""
    a = x
    for W, b in zip(weights[:-1], biases[:-1], strict=True):
        z = a @ W
        z += b
        a = np.maximum(z, 0, out=z)
    z = a @ weights[-1]
    z += biases[-1]
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z, out=z)
    p /= p.sum(axis=1, keepdims=True)
    return p


def timed(case: Case, pace: Pace) -> ResultRow:
    """Return the timings of both sides of a case."""
    names = SIDES[case.call]
    both = [
        warm_up(Contestant(kind=case.call, name=name, call=call), pace.warm_up)
        for name, call in zip(names, sides(case), strict=True)
    ]
    row = ResultRow(layer_sizes=list(SIZES), batch=case.rows, optimizer="adam", dtype=case.dtype)
    for one in race(both, pace):
        row.timings.append(Timing(kind=case.call, name=one.contestant.name, calls=one.calls, seconds=one.seconds))
    return row


def measured(cases: Iterable[Case], pace: Pace) -> Results:
    """Return the timings of some cases, one row each."""
    load, rows = ProcessorLoad(), [timed(case, pace) for case in cases]
    return Results(machine={**machine.describe(), "others": load.share()}, rows=rows)


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for the rounds of each case")
    parser.add_argument("--cases", nargs="+", type=case_of, default=CASES, help="such as predict_proba:100:float32")
    options = parser.parse_args()
    pace = Pace(budget=options.seconds, rounds=PACE.rounds)
    print(f"{'call':16} {'rows':>5} {'dtype':8} {'retroprop':>10} {'other':>10}  ratio (quartiles), to")
    for case in options.cases:
        row = timed(case, pace)
        ours, theirs = (row.timing(case.call, name) for name in SIDES[case.call])
        found = ratio(ours, theirs)
        print(
            f"{case.call:16} {case.rows:5} {case.dtype:8} {1e6 * ours.median:10.1f} {1e6 * theirs.median:10.1f}  "
            f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f}), {theirs.name}",
            flush=True,
        )


if __name__ == "__main__":
    main()
