"""PyTorch with `torch.compile`: forward, loss and their gradient as one compiled function, the update as another."""

import logging

from retroprop.bench.contestant import Contestant
from retroprop.bench.peers.torch_eager import built, contestant
from retroprop.bench.workloads import Problem
from retroprop.functions.types import Array


def prepare(problem: Problem, device: str = "cpu") -> Contestant:
    """Return the step of `torch_eager` with its parts compiled; a C++ compiler is needed."""
    import torch
    from torch.nn.functional import cross_entropy

    # What was compiled for the networks before is not needed any more, and there is a limit to how much may be kept.
    torch.compiler.reset()
    model, optimizer, x, y = built(problem, device)

    def cost(x: Array, y: Array) -> Array:
        return cross_entropy(model(x), y)

    compiled = torch.compile(cost)
    # Compiling the update of plain gradient descent makes it slower: two operations a parameter.
    update = torch.compile(optimizer.step) if problem.optimizer == "adam" else optimizer.step
    # The compiler notes that it leaves a hook of the optimizer out: nothing a reader of timings could act on.
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)

    def step() -> None:
        optimizer.zero_grad()
        compiled(x, y).backward()
        update()

    return contestant("torch.compile", step, model, device)
