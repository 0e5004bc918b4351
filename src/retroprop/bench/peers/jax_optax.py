"""JAX with optax: the whole step is one compiled function whose state is donated."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.bench.contestant import Contestant, UnavailableContestantError
from retroprop.bench.workloads import Problem
from retroprop.functions.types import Array


def prepare(problem: Problem, device: str = "cpu") -> Contestant:
    """Return `jax.jit` of `value_and_grad` and an optax update."""
    import jax
    import jax.numpy as jnp
    import optax

    if problem.dtype == "float64" and not jax.config.jax_enable_x64:
        raise UnavailableContestantError("JAX computes in float64 only with JAX_ENABLE_X64=1")
    platform, _, number = device.partition(":")
    where = jax.devices("gpu" if platform == "cuda" else platform)[int(number or 0)]
    optimizer = (optax.sgd if problem.optimizer == "sgd" else optax.adam)(problem.learning_rate)

    def cost(parameters: Any, x: Array, y: Array) -> Array:
        thetas, biases = parameters
        a = x
        for theta, bias in zip(thetas[:-1], biases[:-1], strict=True):
            a = jax.nn.relu(a @ theta.T + bias)
        z = a @ thetas[-1].T + biases[-1]
        return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()

    def stepped(parameters: Any, state: Any, x: Array, y: Array) -> tuple[Any, Any, Array]:
        value, gradients = jax.value_and_grad(cost)(parameters, x, y)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    compiled = jax.jit(stepped, donate_argnums=(0, 1))
    copies = ([t.copy() for t in problem.thetas], [b.copy() for b in problem.biases])
    parameters = jax.block_until_ready(jax.device_put(copies, where))
    state = jax.device_put(optimizer.init(parameters), where)
    x, y = jax.block_until_ready(jax.device_put((problem.x.copy(), problem.y.astype("int32")), where))
    value = jnp.zeros(())

    def step() -> None:
        nonlocal parameters, state, value
        parameters, state, value = compiled(parameters, state, x, y)

    def now() -> list[NDArray[Any]]:
        return [np.asarray(leaf) for part in parameters for leaf in part]

    return Contestant(
        kind="peer",
        name="JAX + optax" if platform == "cpu" else f"JAX + optax, {device}",
        call=step,
        finish=lambda: jax.block_until_ready((parameters, value)),
        # The precision of retroprop's step: on a GPU JAX would otherwise round the factors of a product to TF32.
        active=lambda: jax.default_matmul_precision("highest"),
        pool="jax",
        parameters=now,
    )
