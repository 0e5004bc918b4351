"""PyTorch and JAX on a GPU, each as fast as its own documentation makes a step of the precision asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from retroprop.bench.contestant import Contestant
from retroprop.bench.gpu.own import batches
from retroprop.bench.peers.torch_eager import built
from retroprop.bench.workloads import Problem
from retroprop.functions.types import Array

# On a GPU JAX's "bfloat16" is TF32; an algorithm's name is what it says: operands in bfloat16, sums in float32.
_JAX = {"highest": "highest", "tf32": "tensorfloat32", "bf16": "BF16_BF16_F32"}


def torch_eager(problem: Problem, precision: str) -> Contestant:
    """Return `nn.Sequential` and autograd, call by call, with the fused update."""
    step, _ = torch_step(problem, precision, capturable=False)
    return _torch("torch eager", step, precision)


def torch_compiled(problem: Problem, precision: str) -> Contestant:
    """Return forward, loss and their gradient compiled with max-autotune, which makes graphs, and the fused update."""
    import torch

    torch.compiler.reset()
    step, _ = torch_step(problem, precision, capturable=True, compiled="max-autotune")
    return _torch("torch.compile", step, precision)


def torch_graph(problem: Problem, precision: str) -> Contestant:
    """Return the eager step captured by hand, as PyTorch's notes on CUDA graphs have it."""
    import torch

    step, _ = torch_step(problem, precision, capturable=True)
    with _tf32(precision):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()

    def replay(keep: Any = step) -> None:  # model, optimizer and data, whose memory the graph has the addresses of
        graph.replay()

    return _torch("torch graph", replay, precision)


def torch_step(
    problem: Problem, precision: str, *, capturable: bool, compiled: str = "", device: str = "cuda"
) -> tuple[Callable[[], None], Any]:
    """Return a step of PyTorch and its model; "bf16" is its own mixed precision, forward and loss under `autocast`."""
    import torch
    from torch.nn.functional import cross_entropy

    model, _, x, y = built(problem, device)
    options: Any = {"capturable": True} if capturable and problem.optimizer == "adam" else {}
    algorithm: Any = torch.optim.Adam if problem.optimizer == "adam" else torch.optim.SGD
    optimizer = algorithm(model.parameters(), lr=problem.learning_rate, fused=True, **options)

    def cost(x: Array, y: Array) -> Array:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            return cross_entropy(model(x), y)

    value = torch.compile(cost, mode=compiled) if compiled else cost

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        value(x, y).backward()
        optimizer.step()

    return step, model


def _torch(name: str, call: Callable[[], Any], precision: str) -> Contestant:
    import torch

    return Contestant(
        kind="peer", name=name, call=call, finish=torch.cuda.synchronize, active=lambda: _tf32(precision), pool="torch"
    )


@contextmanager
def _tf32(precision: str) -> Iterator[None]:
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def jax_steps(problem: Problem, precision: str, *, scanned: bool, platform: str = "gpu") -> tuple[Contestant, int]:
    """Return `jax.jit` of a step, or of a scan over many with their rows gathered, and how many steps a call does."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    where = jax.devices(platform)[0]
    adam, rate, m = problem.optimizer == "adam", problem.learning_rate, problem.workload.batch

    def cost(parameters: Any, x: Array, y: Array) -> Array:
        thetas, biases = parameters
        a = x
        for theta, bias in zip(thetas[:-1], biases[:-1], strict=True):
            a = jax.nn.relu(a @ theta.T + bias)
        logits = jax.nn.log_softmax(a @ thetas[-1].T + biases[-1])
        return -jnp.mean(jnp.take_along_axis(logits, y[:, None], axis=1))

    def stepped(carried: Any, x: Array, y: Array) -> tuple[Any, Array]:
        parameters, mu, nu, t = carried
        value, grads = jax.value_and_grad(cost)(parameters, x, y)
        if not adam:
            return (jax.tree.map(lambda p, g: p - rate * g, parameters, grads), mu, nu, t), value
        t = t + 1
        mu = jax.tree.map(lambda s, g: 0.9 * s + 0.1 * g, mu, grads)
        nu = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, nu, grads)
        eta = rate * jnp.sqrt(1.0 - 0.999**t) / (1.0 - 0.9**t)
        moved = jax.tree.map(lambda p, s, v: p - eta * s / (jnp.sqrt(v) + 1e-8), parameters, mu, nu)
        return (moved, mu, nu, t), value

    def many(carried: Any, x: Array, y: Array, rows: Array) -> tuple[Any, Array]:
        found: tuple[Any, Array] = jax.lax.scan(lambda c, some: stepped(c, x[some], y[some]), carried, rows)
        return found

    n_batches = batches(problem)
    x, y, order = problem.x, problem.y.astype("int32"), None
    if scanned:
        x, y = np.tile(x, (n_batches, 1)), np.tile(y, n_batches)
        order = np.random.default_rng(0).permutation(n_batches * m).reshape(n_batches, m).astype("int32")
    copies = ([t.copy() for t in problem.thetas], [b.copy() for b in problem.biases])
    parameters = jax.device_put(copies, where)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    carried = (parameters, zeros, jax.tree.map(jnp.zeros_like, parameters), jnp.zeros((), "float32"))
    data = jax.device_put((x.copy(), y) if order is None else (x.copy(), y, order), where)
    compiled: Any = jax.jit(stepped if order is None else many, donate_argnums=(0,))
    value: Any = jnp.zeros(())

    def call() -> None:
        nonlocal carried, value
        carried, value = compiled(carried, *data)

    name, steps = ("JAX scan", n_batches) if scanned else ("JAX jit", 1)
    return (
        Contestant(
            kind="peer",
            name=name,
            call=call,
            finish=lambda: jax.block_until_ready((carried, value)),
            active=lambda: jax.default_matmul_precision(_JAX[precision]),
            pool="jax",
        ),
        steps,
    )
