"""Networks and batches for the explanations: every kind of output, bias, penalty and weight."""

import numpy as np

import retroprop as rp
from retroprop.functions.activations import GroupedSoftmax

_HUBER = {"hidden": "relu", "output": "sigmoid", "loss": "huber", "bias": False}
KINDS = {
    "general": ([2, 2, 2], {"hidden": "sigmoid", "output": "sigmoid"}, 1, None),
    "identity": ([2, 3, 2], {"hidden": "tanh"}, 3, None),
    "classes": ([3, 2, 4, 3], {"hidden": "gelu", "output": "softmax", "loss": "cross_entropy"}, 2, [1.0, 3.0]),
    "softmax": ([2, 3, 3], {"hidden": "softplus", "output": "softmax", "l2": 0.3, "l1": 0.2}, 2, None),
    "grouped": ([2, 3, 4], {"hidden": "silu", "output": GroupedSoftmax((2, 2))}, 2, None),
    "weighted": (
        [2, 2, 1],
        {"hidden": "relu", "output": "sigmoid", "loss": "huber", "bias": False},
        3,
        [1.0, 0.0, 2.0],
    ),
    "rates": ([1, 1, 1], {"hidden": "elu", "output": "exp", "loss": "poisson"}, 1, [2.0]),
    "linear": ([2, 2], {"loss": "log_cosh", "output": "tanh"}, 2, None),
}


def network(kind, **more):
    """Return a network with random biases, x, y and the weights."""
    sizes, options, m, weight = KINDS[kind]
    net = rp.Network(sizes, **{"seed": 0, "dtype": "float64", "backend": "numpy"} | options | more)
    rng = np.random.default_rng(1)
    net.biases = [rng.normal(size=b.shape) for b in net.biases]
    y = np.abs(rng.normal(size=(m, sizes[-1])))
    if options.get("loss") == "cross_entropy":
        y = rng.integers(0, sizes[-1], m)
    return net, rng.normal(size=(m, sizes[0])), y, weight
