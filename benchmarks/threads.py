"""The effect of NumPy's BLAS threads on small networks, and the gain of two trainings in two threads.

    python benchmarks/threads.py [ROUNDS]

BLAS reads its number of threads when it is loaded, so each number has a process of its own; the processes take turns,
and a ratio is the median over the rounds. Below 1 is less time.
"""

import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from retroprop.bench import ours  # noqa: E402
from retroprop.bench.timer import warm_up  # noqa: E402
from retroprop.bench.workloads import draw, parse  # noqa: E402

NETWORKS = ("2-2-2@4", "64-100-10@200", "784-100-10@128", "256x9@256", "784-1024-1024-10@1024")
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
EPOCHS = 4


def measure() -> dict[str, list[float]]:
    """Return, for each network, the seconds of a step, of a training, and of a training beside another one."""
    import numpy as np

    import retroprop as rp

    backend, found = rp.get_backend("numpy"), {}
    for name in NETWORKS:
        workload = parse(name)
        alone = warm_up(ours.step(backend, draw(workload, "adam", "float32")), 0.5).a_call
        rng = np.random.default_rng(0)
        m, sizes = workload.batch, workload.layer_sizes
        n = m * max(2, min(200, int(0.05 / alone)))
        x, y = rng.standard_normal((n, sizes[0]), dtype="float32"), rng.integers(0, sizes[-1], n)

        def train(seed: int, sizes=sizes, x=x, y=y, m=m) -> None:
            net = rp.Network(sizes, output="softmax", loss="cross_entropy", seed=seed, backend="numpy")
            rp.fit(net, x, y, epochs=EPOCHS, batch_size=m, seed=seed)

        train(0)
        times = []
        for workers in (1, 2):
            with ThreadPoolExecutor(workers) as pool:
                begun = perf_counter()
                list(pool.map(train, range(2)))
                times.append((perf_counter() - begun) / 2)
        found[name] = [alone, *times]
    return found


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    counts = (1, os.cpu_count() or 1)
    results: dict[int, list[dict[str, list[float]]]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in results:
            environment = os.environ | {name: str(count) for name in VARIABLES}
            answer = subprocess.run(
                [sys.executable, __file__, "--measure"], env=environment, check=True, capture_output=True, text=True
            ).stdout
            results[count].append(json.loads(answer))
    one, every = (results[count] for count in counts)
    print(f"BLAS on 1 thread and on {counts[1]}; medians of {rounds} rounds, Adam, float32\n")
    print("| network | step, 1 thread (ms) | over all threads | two trainings at once, over one after the other |")
    print("|---|---|---|---|")
    for name in NETWORKS:
        step = statistics.median(r[name][0] for r in one)
        over = statistics.median(a[name][0] / b[name][0] for a, b in zip(one, every, strict=True))
        both = [statistics.median(r[name][2] / r[name][1] for r in some) for some in (one, every)]
        print(f"| {name} | {1e3 * step:.3g} | {over:.2f} | {both[0]:.2f} (1 thread), {both[1]:.2f} ({counts[1]}) |")


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(json.dumps(measure()))
    else:
        main()
