"""Twenty networks for the page, custom functions among them, and the addresses of random states of theirs."""

from base64 import urlsafe_b64encode
from urllib.parse import urlencode

import numpy as np

import retroprop as rp
from retroprop.functions.activations import GroupedSoftmax
from retroprop.functions.losses import GroupedCrossEntropy


class Gaussian:
    name = "gaussian"
    needs_z = True

    def value(self, z, xp):
        return xp.exp(-xp.square(z))

    def derivative(self, z, a, xp):
        return -2.0 * z * a


class Kinked:
    """Comparisons, a choice, a power and a cosine."""

    needs_z = True

    def value(self, z, xp):
        return xp.where(z > 0.5, xp.sin(z), z**3.0 / 6.0)

    def derivative(self, z, a, xp):
        return xp.where(z > 0.5, xp.cos(z), 0.5 * xp.square(z))


class Quartic:
    name = "quartic"

    def value(self, a, y, xp):
        return 0.25 * xp.sum(xp.square(xp.square(a - y)), axis=-1)

    def derivative(self, a, y, xp):
        e = a - y
        return e * e * e


CLASSES = {"output": "softmax", "loss": "cross_entropy"}
# Sizes, options, observations, the batch size, the optimizer
NETWORKS = {
    "one path": ([1, 1, 1], {"hidden": "sigmoid", "output": "sigmoid", "bias": False}, 1, None, None),
    "2-2-2": ([2, 2, 2], {"hidden": "sigmoid", "output": "sigmoid", "bias": False}, 1, None, None),
    "no hidden layer": ([3, 2], {"output": "tanh", "loss": "log_cosh"}, 3, None, None),
    "classes": ([4, 5, 3], {"hidden": "tanh", **CLASSES}, 6, 4, None),
    "deep": ([2, 3, 4, 3, 2], {"hidden": ["relu", "tanh", "elu"]}, 4, None, None),
    "binary": ([3, 4, 1], {"hidden": "silu", "output": "sigmoid", "loss": "binary_cross_entropy"}, 5, 2, None),
    "rates": ([2, 3, 2], {"hidden": "softplus", "output": "exp", "loss": "poisson"}, 3, None, None),
    "gelu": ([3, 6, 2], {"hidden": "gelu"}, 2, None, None),
    "gelu_tanh": ([3, 6, 2], {"hidden": "gelu_tanh", "loss": "absolute_error"}, 2, None, None),
    "mish": ([2, 5, 5, 1], {"hidden": "mish", "loss": "huber"}, 3, None, None),
    "leaky": ([2, 8, 2], {"hidden": "leaky_relu", "loss": "quantile"}, 3, 1, None),
    "penalties": ([3, 4, 2], {"hidden": "sigmoid", "l2": 0.3, "l1": 0.1, **CLASSES}, 4, None, None),
    "general softmax": ([2, 3, 3], {"hidden": "tanh", "output": "softmax"}, 3, None, None),
    "groups": ([2, 4, 4], {"output": GroupedSoftmax((2, 2)), "loss": GroupedCrossEntropy((2, 2))}, 3, None, None),
    "momentum": ([2, 3, 2], {"hidden": "tanh"}, 4, 2, rp.optimizers.SGD(0.05, momentum=0.9, nesterov=True)),
    "rmsprop": ([2, 3, 2], {"hidden": "tanh"}, 4, 3, rp.optimizers.RMSprop(0.01, epsilon=0.01)),
    "lion": ([2, 3, 2], {"hidden": "elu"}, 2, None, rp.optimizers.Lion(0.01, weight_decay=0.1)),
    "custom activation": ([2, 4, 2], {"hidden": Gaussian()}, 3, None, None),
    "custom branches": ([2, 4, 3], {"hidden": Kinked(), **CLASSES}, 3, 2, None),
    "custom loss": ([3, 3, 2], {"hidden": "tanh", "output": Gaussian(), "loss": Quartic()}, 2, None, None),
}


def network(name, seed=0):
    """Return a network with random biases, its x and y as rows, and the options of its page."""
    sizes, options, m, batch_size, optimizer = NETWORKS[name]
    net = rp.Network(sizes, **{"seed": seed, "dtype": "float64", "backend": "numpy"} | options)
    rng = np.random.default_rng(seed)
    net.biases = [rng.normal(size=b.shape) for b in net.biases]
    x, y = data(net, m, rng)
    return net, x, y, {"batch_size": batch_size, "optimizer": optimizer}


def data(net, m, rng):
    """Return random observations, with targets that the loss takes."""
    x, y = rng.normal(size=(m, net.layer_sizes[0])), rng.uniform(0.0, 1.0, size=(m, net.layer_sizes[-1]))
    if net.architecture.output.loss.name == "cross_entropy":
        y = np.eye(net.layer_sizes[-1])[rng.integers(0, net.layer_sizes[-1], m)]
    if net.architecture.output.loss.name == "grouped_cross_entropy":
        y = np.hstack([np.eye(2)[rng.integers(0, 2, m)] for _ in range(2)])
    return x, y


def bits(*arrays):
    flat = np.concatenate([np.ravel(array) for array in arrays]).astype("<f8")
    return urlsafe_b64encode(flat.tobytes()).decode().rstrip("=")


def address(page, net, x, y, **fields):
    """Return the part of an address after the # for a state with these parameters and data."""
    p = bits(*net.thetas, *net.biases)
    return urlencode({"net": page.id, "p": p, "x": bits(x), "y": bits(y), **fields})
