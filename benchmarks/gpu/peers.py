"""PyTorch and JAX on a GPU, each in the fastest way that its own documentation has for a step of a precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gpu.own import batches
from retroprop.bench.contestant import Contestant
from retroprop.bench.peers.torch_eager import built
from retroprop.bench.workloads import Problem
from retroprop.functions.types import Array

# On a GPU JAX's "bfloat16" is TF32. The name of an algorithm is exact: operands in bfloat16, sums in float32.
_JAX = {"highest": "highest", "tf32": "tensorfloat32", "bf16": "BF16_BF16_F32"}
_WARM_UP_STEPS = 5


def torch_eager(problem: Problem, precision: str) -> Contestant:
    """Return a step of `nn.Sequential` and autograd, without compilation, with the fused update."""
    step, _ = torch_step(problem, precision, capturable=False)
    return _torch("torch eager", step, precision)


def torch_compiled(problem: Problem, precision: str) -> Contestant:
    """Return a step whose forward, loss and gradient are compiled by max-autotune into graphs; the update is eager."""
    import torch

    torch.compiler.reset()
    step, _ = torch_step(problem, precision, capturable=True, compiled="max-autotune")
    return _torch("torch.compile", step, precision)


def torch_graph(problem: Problem, precision: str) -> Contestant:
    """Return the eager step and its update, captured as one graph."""
    step, _ = torch_step(problem, precision, capturable=True)
    return _captured("torch graph", step, precision)


def torch_compiled_graph(problem: Problem, precision: str) -> Contestant:
    """Return the compiled forward, loss and gradient, and the fused update, captured as one graph."""
    import torch

    torch.compiler.reset()
    # The compiler's own graphs could not be captured within another one.
    step, _ = torch_step(problem, precision, capturable=True, compiled="max-autotune-no-cudagraphs")
    return _captured("torch compiled graph", step, precision)


def _captured(name: str, step: Callable[[], None], precision: str) -> Contestant:
    """Return a step as one CUDA graph, by the whole-network capture of PyTorch's notes on CUDA semantics.

    The warm-up compiles, tunes every kernel and allocates the state of the optimizer, none of which a capture allows.
    It runs on the stream of the capture: autograd's nodes keep the stream they were made on, and one that was made on
    another stream would invalidate the capture.
    """
    import torch

    with _tf32(precision):
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_STEPS):
                step()
        with torch.cuda.graph(graph, stream=stream):
            step()
        torch.cuda.current_stream().wait_stream(stream)

    # The graph holds addresses only: model, optimizer, data and compiled kernels must live as long as it is replayed.
    def replay(keep: Any = step) -> None:
        graph.replay()

    return _torch(name, replay, precision)


def torch_step(
    problem: Problem, precision: str, *, capturable: bool, compiled: str = "", device: str = "cuda"
) -> tuple[Callable[[], None], Any]:
    """Return a step of PyTorch and its model; "bf16" is mixed precision: forward and loss under `autocast`."""
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
    """Return `jax.jit` of a step, or of a scan over many that gather their rows, and the number of steps in a call."""
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
