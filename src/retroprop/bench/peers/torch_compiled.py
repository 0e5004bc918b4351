"""PyTorch with `torch.compile`: one compiled function for forward, loss and gradient, another for the update."""

import logging

from retroprop.bench.contestant import Contestant
from retroprop.bench.peers.torch_eager import built, contestant
from retroprop.bench.workloads import Problem
from retroprop.functions.types import Array


def prepare(problem: Problem, device: str = "cpu") -> Contestant:
    """Return the step of `torch_eager` with its parts compiled, which needs a C++ compiler."""
    import torch
    from torch.nn.functional import cross_entropy

    # Code compiled for earlier networks is not needed any more, and the number of compiled versions is limited.
    torch.compiler.reset()
    model, optimizer, x, y = built(problem, device)

    def cost(x: Array, y: Array) -> Array:
        return cross_entropy(model(x), y)

    compiled = torch.compile(cost)
    # Compilation makes the update of plain gradient descent slower: it is two operations a parameter.
    update = torch.compile(optimizer.step) if problem.optimizer == "adam" else optimizer.step
    # The compiler warns that it ignores a hook of the optimizer, which concerns no reader of timings.
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)

    def step() -> None:
        optimizer.zero_grad()
        compiled(x, y).backward()
        update()

    return contestant("torch.compile", step, model, device)
