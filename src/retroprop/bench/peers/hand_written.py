"""The training loop of a competent NumPy user: readable, in place where that is easy, without tricks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.bench.contestant import Contestant
from retroprop.bench.workloads import Problem


def prepare(problem: Problem, device: str = "cpu") -> Contestant:
    """Return the loop; its weights are stored (from, to), the usual layout for `x @ W + b`."""
    x, y, learning_rate = problem.x.copy(), problem.y.copy(), problem.learning_rate
    weights = [np.ascontiguousarray(theta.T) for theta in problem.thetas]
    biases = [bias.copy() for bias in problem.biases]
    parameters = weights + biases
    adam = problem.optimizer == "adam"
    mu, nu = ([np.zeros_like(p) for p in parameters] if adam else [] for _ in range(2))
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    n_layers, m, rows = len(weights), len(x), np.arange(len(x))
    t, cost = 0, 0.0

    def step() -> None:
        nonlocal t, cost
        # forward
        a = [x]
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            z = a[-1] @ W
            z += b
            a.append(np.maximum(z, 0, out=z))
        z = a[-1] @ weights[-1]
        z += biases[-1]
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z, out=z)
        p /= p.sum(axis=1, keepdims=True)
        cost -= np.log(p[rows, y]).mean()
        # backward
        p[rows, y] -= 1
        p /= m
        delta, gradients = p, [x] * (2 * n_layers)
        for l in reversed(range(n_layers)):
            gradients[l] = a[l].T @ delta
            gradients[n_layers + l] = delta.sum(axis=0)
            if l > 0:
                delta = delta @ weights[l].T
                delta *= a[l] > 0
        # update
        t += 1
        if adam:
            rate = learning_rate * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
            for theta, g, first, second in zip(parameters, gradients, mu, nu, strict=True):
                first *= beta1
                first += (1 - beta1) * g
                second *= beta2
                second += (1 - beta2) * g * g
                theta -= rate * first / (np.sqrt(second) + epsilon)
        else:
            for theta, g in zip(parameters, gradients, strict=True):
                theta -= learning_rate * g

    def now() -> list[NDArray[Any]]:
        return [W.T for W in weights] + biases

    return Contestant(kind="peer", name="hand-written NumPy", call=step, parameters=now)
