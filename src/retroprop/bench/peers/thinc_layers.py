"""Thinc: layers with hand-written backpropagation, on NumPy with its own C++ and matrix products."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.bench.contestant import Contestant
from retroprop.bench.workloads import Problem


def prepare(problem: Problem, device: str = "cpu") -> Contestant:
    """Return a step of Thinc's Relu and Softmax layers with its SGD or Adam, without penalties and clipping."""
    from thinc.api import SGD, Adam, NumpyOps, Relu, Softmax, chain, use_ops

    sizes = problem.workload.layer_sizes
    hidden = [Relu(n_out, n_in) for n_in, n_out in pairwise(sizes[:-1])]
    layers = [*hidden, Softmax(sizes[-1], sizes[-2])]
    model = chain(*layers) if hidden else layers[0]
    x, y, rows = problem.x.copy(), problem.y, np.arange(len(problem.y))
    with use_ops(NumpyOps.name):
        model.initialize(X=x)
        for layer, theta, bias in zip(layers, problem.thetas, problem.biases, strict=True):
            layer.set_param("W", theta.copy())
            layer.set_param("b", bias.copy())
        algorithm = SGD if problem.optimizer == "sgd" else Adam
        optimizer = algorithm(problem.learning_rate, L2=0.0, grad_clip=0.0, use_averages=False)

    def step() -> None:
        p, backpropagate = model.begin_update(x)
        # Softmax expects δ = (a − y)/m, as its derivative is part of the loss.
        delta = p.copy()
        delta[rows, y] -= 1.0
        delta /= len(y)
        backpropagate(delta)
        model.finish_update(optimizer)

    def now() -> list[NDArray[Any]]:
        return [layer.get_param(name) for name in ("W", "b") for layer in layers]

    return Contestant(
        kind="peer",
        name="Thinc",
        call=step,
        active=lambda: use_ops(NumpyOps.name),
        pool="thinc",
        parameters=now,
    )
