"""One training in several surroundings, in a process of its own; prints the hash of its parameters in each of them."""

import hashlib
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np

import retroprop as rp


def trained(seed=0):
    """Return the hash of the parameters and costs of a training with dropout, weights, validation and a schedule."""
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(203, 12)).astype("float32"), rng.integers(0, 3, 203), rng.random(203)
    net = rp.Network([12, 24, 16, 3], output="softmax", loss="cross_entropy", dropout=0.2, seed=seed, backend="numpy")
    rate = rp.schedules.Cosine(0.01, 40)
    options = {"epochs": 6, "batch_size": 32, "sample_weight": weight, "validation_data": (x[:40], y[:40])}
    history = rp.fit(net, x, y, optimizer=rp.optimizers.Adam(rate), metrics=("accuracy",), seed=seed, **options)
    digest = hashlib.sha256(repr((history.cost, history.validation_cost, history.metrics)).encode())
    for leaf in net.parameters.leaves:
        digest.update(leaf.tobytes())
    return digest.hexdigest()


def at_once(executor):
    """Return the hashes of 4 trainings beside 4 of another seed."""
    with executor:
        return set(executor.map(trained, (0, 1) * 4))


def main():
    """Print a line for each of the surroundings named."""
    ways = {
        "cold": lambda: {trained(0), trained(1)},
        "warm": lambda: {trained(0), trained(1)},
        "threads": lambda: at_once(ThreadPoolExecutor(4)),
        "fork": lambda: at_once(ProcessPoolExecutor(2, multiprocessing.get_context("fork"))),
        "spawn": lambda: at_once(ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))),
        "loky": lambda: in_joblib("loky"),
        "threading": lambda: in_joblib("threading"),
    }
    for name in sys.argv[1:]:
        print(name, *sorted(ways[name]()))


def in_joblib(kind):
    """Return the hashes of trainings in joblib."""
    from joblib import Parallel, delayed

    return set(Parallel(n_jobs=2, backend=kind)(delayed(trained)(seed) for seed in (0, 1) * 4))


if __name__ == "__main__":
    main()
