"""PyTorch's DistributedDataParallel on gloo, with the training loop of its tutorials."""

from statistics import median
from time import perf_counter

from retroprop.bench.peers.torch_eager import built
from retroprop.bench.workloads import Problem


def join(store: str, rank: int, size: int) -> None:
    """Connect the processes of a job, which meet in a new file."""
    import torch

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)


def trained(problem: Problem, epochs: int, *, shared: bool) -> float:
    """Return the seconds a step of a training, by this process or shared by all; the first epoch prepares."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.parallel import DistributedDataParallel

    model, optimizer, x, y = built(problem, "cpu")
    m, own = problem.workload.batch, slice(None)
    if shared:
        model = DistributedDataParallel(model)
        rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        own = slice(rank * m // size, (rank + 1) * m // size)
    batches = [(a[own], b[own]) for a, b in zip(x.split(m), y.split(m), strict=True)]
    seconds = []
    for _ in range(epochs):
        began = perf_counter()
        for a, b in batches:
            optimizer.zero_grad()
            cross_entropy(model(a), b).backward()
            optimizer.step()
        seconds.append(perf_counter() - began)
    return median(seconds[1:]) / len(batches)
