"""What PyTorch, JAX and mpmath call each activation, loss and optimizer: the oracles of the table-driven tests.

One row for each built-in row of the tables. A text in place of a function says why there is no oracle. A test asks with
`oracle`, which skips, with the reason, where the row or the library is missing: a new row of a table needs no oracle to
pass, and gets one here.
"""

from functools import partial
from typing import Any, NamedTuple

import pytest

from retroprop.functions.activations import ACTIVATIONS as OUR_ACTIVATIONS
from retroprop.functions.losses import LOSSES as OUR_LOSSES
from retroprop.training.optimizers import OPTIMIZERS as OUR_OPTIMIZERS


class Oracles(NamedTuple):
    """The same function in three libraries, each a callable whose first argument is the library, or why there is none.

    An activation is a function of z, a loss of our object, a and y, for each output alone. mpmath's take scalars. An
    optimizer has in PyTorch a list of our parameters, the class there and its parameters; in mpmath a generator of θ
    after each update, from our object, θ and the gradients.
    """

    torch: Any
    jax: Any
    mpmath: Any


ACTIVATIONS = {
    "identity": Oracles(lambda torch, z: z, lambda jax, z: z, lambda m, z: z),
    "sigmoid": Oracles(
        lambda torch, z: torch.sigmoid(z), lambda jax, z: jax.nn.sigmoid(z), lambda m, z: 1 / (1 + m.exp(-z))
    ),
    "tanh": Oracles(lambda torch, z: torch.tanh(z), lambda jax, z: jax.numpy.tanh(z), lambda m, z: m.tanh(z)),
    "relu": Oracles(
        lambda torch, z: torch.nn.functional.relu(z), lambda jax, z: jax.nn.relu(z), lambda m, z: z if z > 0 else 0 * z
    ),
    "leaky_relu": Oracles(
        lambda torch, z: torch.nn.functional.leaky_relu(z),
        lambda jax, z: jax.nn.leaky_relu(z),
        lambda m, z: z if z > 0 else m.mpf("0.01") * z,
    ),
    "elu": Oracles(
        lambda torch, z: torch.nn.functional.elu(z),
        lambda jax, z: jax.nn.elu(z),
        lambda m, z: z if z > 0 else m.exp(z) - 1,
    ),
    "softplus": Oracles(
        lambda torch, z: torch.nn.functional.softplus(z, threshold=1e9),
        lambda jax, z: jax.nn.softplus(z),
        lambda m, z: m.log(1 + m.exp(z)),
    ),
    "silu": Oracles(
        lambda torch, z: torch.nn.functional.silu(z), lambda jax, z: jax.nn.silu(z), lambda m, z: z / (1 + m.exp(-z))
    ),
    "gelu": Oracles(
        lambda torch, z: torch.nn.functional.gelu(z),
        lambda jax, z: jax.nn.gelu(z, approximate=False),
        lambda m, z: z * m.ncdf(z),
    ),
    "gelu_tanh": Oracles(
        lambda torch, z: torch.nn.functional.gelu(z, approximate="tanh"),
        lambda jax, z: jax.nn.gelu(z, approximate=True),
        lambda m, z: z / 2 * (1 + m.tanh(m.sqrt(2 / m.pi) * (z + m.mpf("0.044715") * z**3))),
    ),
    "mish": Oracles(
        lambda torch, z: torch.nn.functional.mish(z),
        lambda jax, z: jax.nn.mish(z),
        lambda m, z: z * m.tanh(m.log(1 + m.exp(z))),
    ),
    "exp": Oracles(lambda torch, z: torch.exp(z), lambda jax, z: jax.numpy.exp(z), lambda m, z: m.exp(z)),
    "softmax": Oracles(
        lambda torch, z: torch.softmax(z, dim=-1),
        lambda jax, z: jax.nn.softmax(z, axis=-1),
        "softmax is not elementwise: functions/test_activations.py has its definition row by row",
    ),
}

LOSSES = {
    "squared_error": Oracles(
        lambda torch, loss, a, y: torch.nn.functional.mse_loss(a, y, reduction="none") / 2,
        lambda jax, loss, a, y: (a - y) ** 2 / 2,
        lambda m, loss, a, y: (a - y) ** 2 / 2,
    ),
    "absolute_error": Oracles(
        lambda torch, loss, a, y: torch.nn.functional.l1_loss(a, y, reduction="none"),
        lambda jax, loss, a, y: jax.numpy.abs(a - y),
        lambda m, loss, a, y: abs(a - y),
    ),
    "huber": Oracles(
        lambda torch, loss, a, y: torch.nn.functional.huber_loss(a, y, reduction="none", delta=loss.delta),
        lambda jax, loss, a, y: jax.numpy.where(
            abs(a - y) <= loss.delta, (a - y) ** 2 / 2, loss.delta * (abs(a - y) - loss.delta / 2)
        ),
        lambda m, loss, a, y: (
            (a - y) ** 2 / 2 if abs(a - y) <= loss.delta else loss.delta * (abs(a - y) - loss.delta / 2)
        ),
    ),
    "log_cosh": Oracles(
        lambda torch, loss, a, y: torch.log(torch.cosh(a - y)),
        lambda jax, loss, a, y: jax.numpy.log(jax.numpy.cosh(a - y)),
        lambda m, loss, a, y: m.log(m.cosh(a - y)),
    ),
    "quantile": Oracles(
        lambda torch, loss, a, y: torch.maximum(loss.q * (y - a), (loss.q - 1) * (y - a)),
        lambda jax, loss, a, y: jax.numpy.maximum(loss.q * (y - a), (loss.q - 1) * (y - a)),
        lambda m, loss, a, y: loss.q * (y - a) if y >= a else (1 - loss.q) * (a - y),
    ),
    "poisson": Oracles(
        lambda torch, loss, a, y: torch.xlogy(y, y) - torch.xlogy(y, a) - y + a,
        lambda jax, loss, a, y: jax.scipy.special.xlogy(y, y) - jax.scipy.special.xlogy(y, a) - y + a,
        lambda m, loss, a, y: (y * m.log(y / a) if y else 0) - y + a,
    ),
    "binary_cross_entropy": Oracles(
        lambda torch, loss, a, y: torch.nn.functional.binary_cross_entropy(a, y, reduction="none"),
        lambda jax, loss, a, y: -(y * jax.numpy.log(a) + (1 - y) * jax.numpy.log(1 - a)),
        lambda m, loss, a, y: -y * m.log(a) - (1 - y) * m.log(1 - a),
    ),
    "cross_entropy": Oracles(
        lambda torch, loss, a, y: -y * torch.log(a),
        lambda jax, loss, a, y: -y * jax.numpy.log(a),
        lambda m, loss, a, y: -y * m.log(a),
    ),
}


def _lion(m, rule, theta, gradients):
    mu = 0 * theta
    for g in gradients:
        direction = m.sign(rule.beta1 * mu + (1 - rule.beta1) * g)
        theta = theta - rule.learning_rate * (direction + rule.weight_decay * theta)
        mu = rule.beta2 * mu + (1 - rule.beta2) * g
        yield theta


_NOT_IN_JAX = "JAX has no optimizers of its own"
_BY_HAND = "the rule stands by hand in training/test_optimizers.py"

OPTIMIZERS = {
    "sgd": Oracles(
        [
            ({"learning_rate": 0.1}, "SGD", {"lr": 0.1}),
            ({"learning_rate": 0.1, "momentum": 0.8}, "SGD", {"lr": 0.1, "momentum": 0.8}),
            (
                {"learning_rate": 0.1, "momentum": 0.8, "nesterov": True},
                "SGD",
                {"lr": 0.1, "momentum": 0.8, "nesterov": True},
            ),
        ],
        _NOT_IN_JAX,
        _BY_HAND,
    ),
    "rmsprop": Oracles(
        [
            (
                {"learning_rate": 0.01, "decay": 0.8, "epsilon": 1e-3},
                "RMSprop",
                {"lr": 0.01, "alpha": 0.8, "eps": 1e-3},
            )
        ],
        _NOT_IN_JAX,
        _BY_HAND,
    ),
    # ε is outside the bias correction here and inside there: without ε they are one
    "adam": Oracles(
        [
            (
                {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.0},
                "Adam",
                {"lr": 0.02, "betas": (0.8, 0.95), "eps": 0.0},
            )
        ],
        _NOT_IN_JAX,
        _BY_HAND,
    ),
    "adamw": Oracles(
        [
            (
                {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.0, "weight_decay": 0.3},
                "AdamW",
                {"lr": 0.02, "betas": (0.8, 0.95), "eps": 0.0, "weight_decay": 0.3},
            )
        ],
        _NOT_IN_JAX,
        _BY_HAND,
    ),
    "lion": Oracles("PyTorch has no Lion: mpmath has the algorithm of its paper", _NOT_IN_JAX, _lion),
    "lbfgs": Oracles(
        "its line search is another than PyTorch's: training/test_lbfgs.py compares it with SciPy's",
        _NOT_IN_JAX,
        "its line search has no closed form: training/test_lbfgs.py compares it with SciPy's",
    ),
}

TABLES = {
    "activation": (ACTIVATIONS, OUR_ACTIVATIONS),
    "loss": (LOSSES, OUR_LOSSES),
    "optimizer": (OPTIMIZERS, OUR_OPTIMIZERS),
}


def built_in(kind):
    """Return the names of the package's own rows of a table."""
    return {name for name, row in TABLES[kind][1].items() if row.__module__.startswith("retroprop.")}


def oracle(kind, name, library):
    """Return what a library calls an entry of a table, bound to the library; skip the test where there is none."""
    row = TABLES[kind][0].get(name)
    found = f"tests/oracles.py has no row for the {kind} {name!r}" if row is None else getattr(row, library)
    if isinstance(found, str):
        pytest.skip(found)
    module = pytest.importorskip(library, reason=f"{library} is the oracle of {name}")
    return partial(found, module) if callable(found) else found


def targets_of(loss):
    """Return the kind of targets that a loss takes: "classes", "labels", "counts" or "real"."""
    if loss.takes_indices:
        return "classes"
    return {(0.0, 1.0): "labels", (0.0, float("inf")): "counts"}.get(tuple(loss.target_range), "real")


def minibatch_rules(learning_rate):
    """Return every optimizer of the table that works on minibatches, by its name, at a learning rate."""
    return {name: rule(learning_rate) for name, rule in OUR_OPTIMIZERS.items() if not rule.full_batch}
