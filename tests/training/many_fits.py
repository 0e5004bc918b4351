"""Fits of tiny networks of changing shapes, in a process of its own; prints the growth that they leave behind.

Four numbers: bytes of memory between the first quarter and the end, open files more than before, seconds of a fit (the
first decile) in the second half relative to the first half, files made in the folders for caches and temporary files.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

import retroprop as rp

n = int(sys.argv[1])
rng = np.random.default_rng(0)
x = rng.normal(size=(8, 16))


def fit(k):
    """Fit the k-th network."""
    sizes = [*map(int, rng.integers(1, 17, 2)), int(rng.integers(1, 5))]
    options = {"hidden": ("relu", "tanh", "sigmoid")[k % 3], "dtype": ("float32", "float64")[k % 2]}
    net = rp.Network(sizes, seed=k, backend="numpy", **options)
    options = {"batch_size": (None, 4, 3)[k % 3], "optimizer": ("adam", "sgd", "rmsprop", "lbfgs")[k // 2 % 4]}
    if options["optimizer"] == "lbfgs":
        options["batch_size"] = None
    rp.fit(net, x[:, : sizes[0]], x[:, : sizes[2]], epochs=1, seed=k, **options)


def resident():
    """Return the bytes of this process in memory, and its number of open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return np.array([pages * os.sysconf("SC_PAGESIZE"), len(list(Path("/proc/self/fd").iterdir()))])


seconds = []
for k in range(n):
    if k == n // 4:
        before = resident()
    began = time.perf_counter()
    fit(k)
    seconds.append(time.perf_counter() - began)
grown = resident() - before
halves = [np.quantile(half, 0.1) for half in np.array_split(np.array(seconds), 2)]
made = [path for folder in ("TMPDIR", "XDG_CACHE_HOME") for path in Path(os.environ[folder]).rglob("*")]
print(*grown, halves[1] / halves[0], len(made))
