"""PyTorch with the training step of its tutorials."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from retroprop.bench.contestant import Contestant
from retroprop.bench.workloads import Problem
from retroprop.functions.types import Array


def prepare(problem: Problem, device: str = "cpu") -> Contestant:
    """Return a step of `nn.Sequential`, autograd and `torch.optim`, without compilation."""
    from torch.nn.functional import cross_entropy

    model, optimizer, x, y = built(problem, device)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    return contestant("torch eager", step, model, device)


def built(problem: Problem, device: str) -> tuple[Any, Any, Array, Array]:
    """Return model, optimizer, inputs and targets of a problem."""
    import torch

    layers: list[Any] = []
    for theta, bias in zip(problem.thetas, problem.biases, strict=True):
        n_out, n_in = theta.shape
        linear = torch.nn.Linear(n_in, n_out, device=device, dtype=getattr(torch, problem.dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(theta))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    algorithm = torch.optim.SGD if problem.optimizer == "sgd" else torch.optim.Adam
    optimizer = algorithm(model.parameters(), lr=problem.learning_rate)
    # Copies: a tensor over the memory of NumPy may be less well aligned.
    x, y = torch.tensor(problem.x, device=device), torch.tensor(problem.y, device=device)
    return model, optimizer, x, y


def contestant(name: str, step: Callable[[], None], model: Any, device: str) -> Contestant:
    """Return a contestant of PyTorch on one of its devices."""
    import torch

    on_gpu = device.startswith("cuda")

    def finish() -> None:
        if on_gpu:
            torch.cuda.synchronize(device)

    def now() -> list[NDArray[Any]]:
        linears = model[::2]
        leaves = [linear.weight for linear in linears] + [linear.bias for linear in linears]
        return [leaf.detach().cpu().numpy() for leaf in leaves]

    return Contestant(
        kind="peer",
        name=name if not on_gpu else f"{name}, {device}",
        call=step,
        finish=finish,
        pool="torch",
        parameters=now,
    )
