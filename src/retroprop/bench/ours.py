"""retroprop as a contestant: the bound step that `rp.fit` runs, parts of that step, and whole fits."""

from typing import Any

from numpy.typing import NDArray

import retroprop as rp
from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch
from retroprop.bench.contestant import Contestant, on_backend
from retroprop.bench.floor import floor
from retroprop.bench.workloads import Problem
from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array
from retroprop.training.step import bind

PARTS = ("floor", "forward", "gradient", "step")
"""The parts of a step that can be timed: its bare products, forward, forward and backward, the whole."""


def prepare(backend: Backend, problem: Problem, part: str) -> Contestant:
    """Return one of the `PARTS` of a training step on a backend, with arrays of its own."""
    if part == "floor":
        return floor(backend, problem.workload, problem.dtype)
    return {"forward": _forward, "gradient": _gradient, "step": step}[part](backend, problem)


def step(backend: Backend, problem: Problem) -> Contestant:
    """Return the whole step, forward, backward and update, that `rp.fit` runs for each batch."""
    net, optimizer = problem.network(backend), problem.rule
    with backend.active():
        data = net.batch(problem.x, problem.y)
        # Copies: a step may overwrite its arguments.
        parameters = _copied(backend, net.parameters)
        state = optimizer.start(parameters, backend.xp.zeros_like)
        bound = bind(backend, net.architecture, optimizer)
    learning_rate, t, costs = problem.learning_rate, 0, []

    def call() -> None:
        nonlocal parameters, state, t
        t += 1
        parameters, state, cost, _ = bound(parameters, state, optimizer.hyper(t, learning_rate), data, None, None)
        costs.append(cost)

    def finish() -> None:
        # The hand-written loop sums its costs, so they are summed here too. On a device each sum would be a launch;
        # `rp.fit` reads them there once an epoch.
        if backend.name == "numpy":
            sum(costs)
        costs.clear()
        backend.synchronize()

    def now() -> list[NDArray[Any]]:
        return [backend.to_numpy(leaf) for leaf in parameters.leaves]

    return on_backend(backend, "step", call, finish=finish, parameters=now)


def _forward(backend: Backend, problem: Problem) -> Contestant:
    net = problem.network(backend)
    x = _data(net, problem).x

    def output(operations: Operations, parameters: Parameters, x: Array) -> Array:
        return forward(operations, net.architecture, parameters, x).a[-1]

    captured = backend.capture(output)
    return on_backend(backend, "forward", lambda: captured(net.parameters, x))


def _gradient(backend: Backend, problem: Problem) -> Contestant:
    net = problem.network(backend)
    x, y, _ = _data(net, problem)

    def gradient(operations: Operations, parameters: Parameters, x: Array, y: Array) -> tuple[Array, Parameters]:
        trace = forward(operations, net.architecture, parameters, x)
        found = backward(operations, net.architecture, parameters, trace, y)
        return found.cost, found.parameters

    captured = backend.capture(gradient)
    return on_backend(backend, "gradient", lambda: captured(net.parameters, x, y))


def whole_fit(backend: Backend, problem: Problem, epochs: int = 1) -> Contestant:
    """Return `rp.fit` over all rows of a problem, from host data, in shuffled batches."""
    net = problem.network(backend)

    def call() -> None:
        batch_size = problem.workload.batch
        rp.fit(net, problem.x, problem.y, optimizer=problem.rule, epochs=epochs, batch_size=batch_size, seed=0)

    return on_backend(backend, "fit", call)


def _data(net: rp.Network, problem: Problem) -> Batch:
    with net.backend.active():
        return net.batch(problem.x, problem.y)


def _copied(backend: Backend, parameters: Parameters) -> Parameters:
    return parameters.like(backend.xp.astype(leaf, leaf.dtype, copy=True) for leaf in parameters.leaves)
