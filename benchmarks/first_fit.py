"""The first `fit` of a fresh process whose cache of loops is empty, beside the same without Numba.

    python benchmarks/first_fit.py [ROUNDS] [--all]

Each line is a network on 2,000 rows in batches of 64: seconds of `rp.fit` in turns, medians. The last ones have just
enough work for their loops, or whole steps, to be compiled (`numba_target.WORTH`); with `--all`, of a deep network too.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CASES = {
    "64-100-10": ([64, 100, 10], 5),
    "64-100-10 ": ([64, 100, 10], 60),
    "256x9": ([256] * 9, 40),
    "51 layers": ([64, *[32] * 49, 10], 20),
    "64-100-10, compiled": ([64, 100, 10], 1300),
    "64-100-10, as a whole": ([64, 100, 10], 2600),
}
LONG = {"256x9, compiled": ([256] * 9, 70), "51 layers, compiled": ([64, *[32] * 49, 10], 110)}
CHILD = """
import json, sys, time
import numpy as np
import retroprop as rp
sizes, epochs = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(2000, sizes[0])).astype("float32"), rng.integers(0, sizes[-1], 2000)
net = rp.Network(sizes, output="softmax", loss="cross_entropy", seed=0)
began = time.perf_counter()
rp.fit(net, x, y, epochs=epochs, batch_size=64, seed=0)
print(time.perf_counter() - began)
"""


def seconds(case: tuple[list[int], int], numba: str) -> float:
    """Return the seconds of a fit in a fresh process with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        paths = {"PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": cache}
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(case)],
            env=os.environ | paths | {"RETROPROP_NUMBA": numba},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def main() -> None:
    """Print the medians of each case, and whether the first is at most 1.25 of the second and half a second."""
    rounds = next((int(word) for word in sys.argv[1:] if word.isdigit()), 3)
    for name, case in (CASES | (LONG if "--all" in sys.argv else {})).items():
        pairs = [(seconds(case, "auto"), seconds(case, "0")) for _ in range(rounds)]
        auto, alone = (statistics.median(column) for column in zip(*pairs, strict=True))
        within = "ok" if auto <= 1.25 * alone + 0.5 else "over 1.25 times and 0.5 s"
        print(f"{name.strip():22} {case[1]:5} epochs: {auto:6.2f} s, NumPy alone {alone:6.2f} s: {within}", flush=True)


if __name__ == "__main__":
    main()
