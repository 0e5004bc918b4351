"""retroprop on CuPy: the bare products, the step launched and captured, and consecutive steps in one call."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from retroprop.backends.backend import Backend, Demands
from retroprop.backends.cuda import switches
from retroprop.backends.cuda.rewrites.bfloat16 import upper_half
from retroprop.bench.contestant import Contestant, UnavailableContestantError, on_backend
from retroprop.bench.workloads import Problem
from retroprop.functions.types import Array
from retroprop.training.step import bind

MOST_BYTES = 2**30


def batches(problem: Problem) -> int:
    """Return the number of batches in the resident data, which a run visits in a precomputed order."""
    return max(min(64, MOST_BYTES // problem.x.nbytes), 8)


def products(backend: Backend, problem: Problem, precision: str) -> Contestant:
    """Return the products of a step by cublasLt, as one graph: the floor under every step.

    At "bf16" their operands are stored in bfloat16, like those of a step.
    """
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    rng, launches = np.random.default_rng(0), []

    def drawn(shape: tuple[int, ...]) -> Array:
        numbers = rng.standard_normal(shape).astype(problem.dtype)
        return backend.asarray(upper_half(numbers) if runtime.rounds else numbers)

    with backend.active():
        runtime = CupyRuntime(precision=precision)
        if not runtime.graphs:
            raise UnavailableContestantError("cublasLt is not used here")
        for product in problem.workload.products:
            left, right = ((product.m, product.k), (product.k, product.n))
            turn_left, turn_right = product.kind == "gradient", product.kind == "forward"
            a, b = drawn(left[::-1] if turn_left else left), drawn(right[::-1] if turn_right else right)
            out = backend.asarray(np.empty((product.m, product.n)), problem.dtype)
            launches.append(runtime.product(a.T if turn_left else a, b.T if turn_right else b, out))

        def all_of_them() -> None:
            for launch in launches:
                launch()

        # Once without a graph: the first launch of a product may allocate, which a capture forbids.
        all_of_them()
        graph = runtime.graph_of(all_of_them)
    return on_backend(backend, "floor", graph, name="products")


def one_by_one(backend: Backend, problem: Problem, precision: str, *, graph: bool) -> Contestant:
    """Return the step called once a batch, on a resident batch: as a graph, or launch by launch."""
    call, _ = _step(backend, problem, precision, graph=graph)
    return on_backend(backend, "step", call, name=f"{backend.name}, {'captured' if graph else 'launched'}")


def runs(backend: Backend, problem: Problem, precision: str) -> tuple[Contestant, int]:
    """Return consecutive steps in one call, each gathering its batch from resident data, and their number."""
    _, call = _step(backend, problem, precision, graph=True)
    return on_backend(backend, "step", call, name=f"{backend.name}, run"), batches(problem)


def _step(
    backend: Backend, problem: Problem, precision: str, *, graph: bool
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    net, optimizer, m = problem.network(backend), problem.rule, problem.workload.batch
    n_batches = batches(problem)
    with backend.active(), _switched(graph=graph):
        data = net.batch(problem.x, problem.y)
        many = net.batch(np.tile(problem.x, (n_batches, 1)), np.tile(problem.y, n_batches)) if graph else data
        xp = backend.xp
        parameters = net.parameters.like(xp.astype(leaf, leaf.dtype, copy=True) for leaf in net.parameters.leaves)
        state = optimizer.start(parameters, xp.zeros_like)
        bound: Any = bind(backend, net.architecture, optimizer, demands=Demands(precision=precision))
        order = np.random.default_rng(0).permutation(n_batches * m).reshape(n_batches, m)
        rows = backend.asarray(order)
    t = 0

    def once() -> None:
        nonlocal parameters, state, t
        t += 1
        parameters, state, *_ = bound(parameters, state, optimizer.hyper(t, problem.learning_rate), data, None, None)

    def run() -> None:
        nonlocal parameters, state, t
        hypers = [optimizer.hyper(t + 1 + k, problem.learning_rate) for k in range(n_batches)]
        t += n_batches
        found = bound.run(parameters, state, hypers, many, rows)
        if found is None:
            raise UnavailableContestantError("consecutive steps in one call are not available here")
        parameters, state, _ = found

    return once, run


@contextmanager
def _switched(*, graph: bool) -> Iterator[None]:
    """Switch graphs off while a step is bound."""
    before = os.environ.get(switches.ENVIRONMENT_VARIABLE)
    listed = [*switches.disabled(), *([] if graph else ["graph"])]
    os.environ[switches.ENVIRONMENT_VARIABLE] = ",".join(listed)
    try:
        yield
    finally:
        if before is None:
            del os.environ[switches.ENVIRONMENT_VARIABLE]
        else:
            os.environ[switches.ENVIRONMENT_VARIABLE] = before
