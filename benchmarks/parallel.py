"""The efficiency of data-parallel training over MPI, beside PyTorch's DistributedDataParallel on gloo.

    OMP_NUM_THREADS=1 mpiexec -n 2 python -m mpi4py benchmarks/parallel.py

E = T(1 rank, m rows) / T(R ranks, R m rows), both on one thread a rank, medians of interleaved runs: rank 0 alone, then
all ranks, ours and PyTorch's in turn. With one rank idle the first has the machine for itself.
"""

import argparse
import os
import statistics
import time
from itertools import pairwise

import numpy as np
from mpi4py import MPI

import retroprop as rp

NETWORKS = {"784-1024-1024-10": (784, 1024, 1024, 10), "784-100-10": (784, 100, 10), "64-100-10": (64, 100, 10)}
WORLD = MPI.COMM_WORLD


def data(sizes, rows):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, sizes[0])).astype("float32"), rng.integers(0, sizes[-1], rows)


def waiting():
    """Wait for all ranks without using the processor, so that a rank that is alone is undisturbed."""
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.001)


def ours(sizes, rows, steps, engine):
    """Seconds a step, as one epoch has them after the first."""
    net = rp.Network(list(sizes), output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    x, y = (np.tile(part, (steps, *[1] * (part.ndim - 1))) for part in data(sizes, rows))
    history = rp.fit(net, x, y, optimizer="adam", epochs=4, batch_size=rows, shuffle=False, seed=0, parallel=engine)
    return statistics.median(history.seconds[1:]) / steps


def theirs(sizes, rows, steps, shares):
    import torch
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [torch.nn.Linear(sizes[0], sizes[1])]
    for n_in, n_out in pairwise(sizes[1:]):
        layers += [torch.nn.ReLU(), torch.nn.Linear(n_in, n_out)]
    net = torch.nn.Sequential(*layers)
    net = DistributedDataParallel(net) if shares else net
    x, y = map(torch.from_numpy, data(sizes, rows))
    own = slice(WORLD.rank * rows // WORLD.size, (WORLD.rank + 1) * rows // WORLD.size) if shares else slice(0, rows)
    x, y = x[own], y[own]
    rule, loss, seconds = torch.optim.Adam(net.parameters()), torch.nn.CrossEntropyLoss(), []
    for _ in range(steps + 2):
        began = time.perf_counter()
        rule.zero_grad()
        loss(net(x), y).backward()
        rule.step()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def measured(sizes, rows, steps, turns, peers):
    """Return the medians of the seconds of a step: alone, and on all ranks."""
    contestants = {"ours": ours, "torch": theirs} if peers else {"ours": ours}
    found = {(name, shares): [] for name in contestants for shares in (False, True)}
    for _ in range(turns):
        for name, run in contestants.items():
            waiting()
            if WORLD.rank == 0:
                found[name, False].append(run(sizes, rows, steps, None if name == "ours" else False))
            waiting()
            engine = rp.scale.MPI() if name == "ours" else True
            found[name, True].append(run(sizes, rows * WORLD.size, steps, engine))
    return {key: statistics.median(values) if values else 0.0 for key, values in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="16,64,256,1024", help="rows a rank")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    if not options.no_peers:
        import torch.distributed

        os.environ |= {"RANK": str(WORLD.rank), "WORLD_SIZE": str(WORLD.size)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": os.environ.get("MASTER_PORT", "29517")}
        torch.distributed.init_process_group("gloo")
    if WORLD.rank == 0:
        print(f"{'network':18}{'rows a rank':>12}{'ours, ms':>20}{'E':>7}{'torch, ms':>20}{'E':>7}", flush=True)
    for name, sizes in NETWORKS.items():
        for rows in map(int, options.rows.split(",")):
            steps = 6 if sizes[1] > 1000 and rows >= 256 else 40
            found = measured(sizes, rows, steps, options.turns, not options.no_peers)
            if WORLD.rank == 0:
                line = f"{name:18}{rows:>12}"
                for who in ("ours", "torch"):
                    if (who, True) in found:
                        alone, all_ranks = found[who, False], found[who, True]
                        line += f"{alone * 1e3:>10.2f}{all_ranks * 1e3:>10.2f}{alone / all_ranks:>7.2f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
