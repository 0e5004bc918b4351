"""The time of a step's products with the first Θ stored (from, to), over that with Θ stored (to, from).

    python benchmarks/layout.py [NETWORK@BATCH ...]

Both are timed in turns in one process, on NumPy's BLAS; a ratio is the median over the rounds. Below 1 is less time.
The last column is the layout of a recorded step.
"""

import statistics
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from retroprop.backends.cpu.numpy_calls import theta_fortran
from retroprop.bench.contestant import Contestant
from retroprop.bench.timer import Pace, race, warm_up
from retroprop.bench.workloads import Workload, parse

NETWORKS = ("784-100-10@32", "784-100-10@128", "784-300-10@128", "784-400-10@128", "256-128-10@128", "256-256-10@128")
PACE = Pace(budget=10.0, rounds=(21, 201))


def contestant(workload: Workload, *, turned: bool) -> Contestant:
    """Return the products of a step in float32, the first Θ and its gradient turned or not."""
    rng, calls = np.random.default_rng(0), []
    first = workload.layer_sizes[1::-1]

    def matrix(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype="float32")

    for kind, m, k, n in workload.products:
        if kind == "forward":  # a Θᵀ
            theta = matrix(n, k)
            theta = np.asfortranarray(theta) if turned and theta.shape == first else theta
            calls.append((matrix(m, k), theta.T, matrix(m, n)))
        elif kind == "delta":  # δ Θ
            calls.append((matrix(m, k), matrix(k, n), matrix(m, n)))
        elif turned and (m, n) == first:  # its transpose, aᵀ δ
            calls.append((matrix(k, n).T, matrix(k, m), matrix(n, m)))
        else:  # δᵀ a
            calls.append((matrix(k, m).T, matrix(k, n), matrix(m, n)))

    def multiply() -> None:
        for a, b, out in calls:
            np.dot(a, b, out)

    return Contestant(kind="floor", name="(from, to)" if turned else "(to, from)", call=multiply)


def main() -> None:
    """Print the table."""
    print("| network, batch | products, Θ (to, from), µs | Θ (from, to), over it | in a step |")
    print("|---|---|---|---|")
    for workload in map(parse, sys.argv[1:] or NETWORKS):
        both = [warm_up(contestant(workload, turned=turned), 0.2) for turned in (False, True)]
        rows, columns = (timed.seconds for timed in race(both, PACE))
        ratio = statistics.median(b / a for a, b in zip(rows, columns, strict=True))
        lies = "(from, to)" if theta_fortran(workload.layer_sizes[1::-1]) else "(to, from)"
        print(f"| {workload.name} | {1e6 * statistics.median(rows):.0f} | {ratio:.2f} | {lies} |", flush=True)


if __name__ == "__main__":
    main()
