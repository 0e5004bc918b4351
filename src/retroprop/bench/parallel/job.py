"""One rank of the job: `mpiexec -n 2 python -m mpi4py -m retroprop.bench.parallel.job REQUEST`.

Rank 0 alone and all ranks train in turn, and whoever else takes part; while rank 0 is alone the others sleep.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from statistics import median
from typing import Any

import retroprop as rp
from retroprop.bench.parallel.efficiency import OURS, PART, SHARED, THEIRS, WHOLE
from retroprop.bench.parallel.model import connection_of
from retroprop.bench.peers import torch_distributed
from retroprop.bench.results import ResultRow, Timing
from retroprop.bench.workloads import Problem, Workload, draw, parse
from retroprop.scale.launch import RESULT

_EPOCHS = 3  # of a training, the first of which prepares
_SUMS = (1, 2**21)  # elements of the buffers whose sums show latency and bandwidth
Contestants = dict[tuple[str, str], Callable[[], float]]
Times = dict[tuple[str, str], list[float]]


def main(request: dict[str, Any]) -> None:
    """Print the results of a request: the connection of the ranks, then a row for each network."""
    from mpi4py import MPI as mpi  # noqa: N811

    world: Any = mpi.COMM_WORLD
    if world.size != request["ranks"]:
        raise RuntimeError(
            f"mpiexec started {request['ranks']} processes, and mpi4py sees {world.size}: they are of two MPIs."
        )
    if request["store"]:
        torch_distributed.join(request["store"], world.rank, world.size)
    _print(world, "connection", asdict(connection_of(world.size, _sums(world))))
    for name in request["workloads"]:
        row, contestants = _prepared(parse(name), world.size, peers=bool(request["store"]))
        for (kind, by), seconds in _timed(world, contestants, request["seconds"], *request["turns"]).items():
            row.timings.append(Timing(kind=kind, name=by, calls=1, seconds=seconds))
        _print(world, "row", asdict(row))


def _prepared(workload: Workload, ranks: int, *, peers: bool) -> tuple[ResultRow, Contestants]:
    """Return the row of a network whose batch is that of a rank, and the calls to time: seconds a step."""
    rows = ranks * workload.batch
    # After an epoch all ranks compare their parameters, so it has several steps; its data has 64 MB at most.
    steps = max(6, min(100, int(1e10 / (ranks * workload.flops)), 2**24 // (rows * workload.layer_sizes[0])))
    whole = draw(replace(workload, batch=rows), "adam", rows=steps * rows)
    part = replace(whole, workload=workload, x=whole.x[: steps * workload.batch], y=whole.y[: steps * workload.batch])
    calls: Contestants = {}
    for by, train in ((OURS, _trained), (THEIRS, torch_distributed.trained))[: 1 + peers]:
        calls |= {(PART, by): partial(train, part, _EPOCHS, shared=False)}
        calls |= {(kind, by): partial(train, whole, _EPOCHS, shared=kind == SHARED) for kind in (WHOLE, SHARED)}
    sizes = list(workload.layer_sizes)
    return ResultRow(layer_sizes=sizes, batch=workload.batch, optimizer="adam", dtype="float32", ranks=ranks), calls


def _trained(problem: Problem, epochs: int, *, shared: bool) -> float:
    """Return the seconds a step of a training by retroprop."""
    batch, engine = problem.workload.batch, rp.scale.MPI() if shared else None
    options: dict[str, Any] = {"optimizer": problem.rule, "batch_size": batch, "shuffle": False, "seed": 0}
    net = problem.network("numpy")
    history = rp.fit(net, problem.x, problem.y, epochs=epochs, parallel=engine, **options)
    return median(history.seconds[1:]) * batch / len(problem.x)


def _timed(world: Any, contestants: Contestants, budget: float, least: int, most: int) -> Times:
    """Return the seconds of each contestant by turns, in about `budget` seconds in all."""
    found: Times = {key: [] for key in contestants}
    began = time.perf_counter()
    turns, more = 0, True
    while more:
        for key, call in contestants.items():
            _wait(world)
            if key[0] == SHARED or world.rank == 0:
                found[key].append(call())
        _wait(world)
        turns += 1
        late = (time.perf_counter() - began) * (turns + 1) > budget * turns
        more = world.bcast(turns < least or (turns < most and not late))
    return found


def _wait(world: Any) -> None:
    """Wait for all ranks without work, so that one that is alone has the machine for itself."""
    request = world.Ibarrier()
    while not request.Test():
        time.sleep(0.001)


def _sums(world: Any) -> dict[int, float]:
    """Return the seconds of a sum over all ranks, by the bytes of its buffer."""
    backend, found = rp.get_backend("numpy"), {}
    with rp.scale.MPI().open(backend) as ranks:
        for elements, times in zip(_SUMS, (400, 40), strict=True):
            buffer, seconds = backend.xp.zeros(elements, dtype="float32"), []
            for _ in range(times):
                began = time.perf_counter()
                ranks.sum(buffer)
                seconds.append(time.perf_counter() - began)
            found[buffer.nbytes] = median(seconds)
    return found


def _print(world: Any, kind: str, result: dict[str, Any]) -> None:
    if world.rank == 0:
        print(RESULT + json.dumps({kind: result}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
