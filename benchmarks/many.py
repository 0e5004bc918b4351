"""The time of a step of one network and of many at once, over steps that a NumPy user writes, one after another.

    python benchmarks/many.py [--seconds S] [--cases CASE ...] [--peers]

A case is K networks of one shape on shared data, as in "100x20-50-3@32"; each has its own order of the rows, its own
seed and its own parameters, and Adam. K = 1 is `rp.fit`, others are `rp.fit_many`. The time of a step is that of the
whole call, with its preparation of some milliseconds, over the number of its steps: 20 epochs of 30 batches, for K = 1
200 epochs. It is divided by K times the hand-written step, which runs on one thread of the BLAS and on one batch that
stays where it is: no rows are gathered. With `--peers` also JAX, `vmap` of a step in a compiled loop over an epoch, and
PyTorch, `vmap` of `functional_call`.

All take turns in one process. A line has the median time of a step in microseconds, and median and quartiles of the
ratio. Set OMP_NUM_THREADS and OPENBLAS_NUM_THREADS for another number of threads than the library's own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np

import retroprop as rp
from retroprop.bench import machine
from retroprop.bench.analysis import ratio
from retroprop.bench.contestant import Contestant
from retroprop.bench.peers import hand_written
from retroprop.bench.processor_load import ProcessorLoad
from retroprop.bench.results import ResultRow, Results, Timing
from retroprop.bench.timer import Pace, race, warm_up
from retroprop.bench.workloads import Problem, draw, parse

EPOCHS, BATCHES = 20, 30
ALONE = 10 * EPOCHS  # of K = 1
PACE = Pace(rounds=(5, 31), warm_up=0.5, lead=0.01)


class Case(NamedTuple):
    """K networks of a workload, a name of `workloads.parse`."""

    k: int
    workload: str

    def __str__(self) -> str:
        return f"{self.k}x{self.workload}"


CASES = tuple(
    Case(*one)
    for one in (
        (1, "2-2-2@4"),
        (1, "2-16-2@32"),
        (1, "20-50-3@32"),
        (1, "64-100-10@200"),
        (100, "2-16-2@32"),
        (100, "20-50-3@32"),
        (32, "64-100-10@200"),
    )
)


def case_of(text: str) -> Case:
    """Return the case of a text such as "100x20-50-3@32"."""
    k, _, workload = text.partition("x")
    return Case(int(k), workload)


class Work(NamedTuple):
    """A case with its numbers: the problem of one network, the data of an epoch, and the seeds.

    Attributes
    ----------
    problem : Problem
        One network, and one batch of its size.
    x, y
        `BATCHES` batches.
    k : int
        The number of networks.
    """

    problem: Problem
    x: np.ndarray
    y: np.ndarray
    k: int

    @property
    def epochs(self) -> int:
        """The epochs of a call."""
        return epochs_of(self.k)

    @property
    def m(self) -> int:
        """The rows of a batch."""
        return len(self.problem.x)

    def orders(self) -> Iterator[np.ndarray]:
        """Yield the rows of the batches of an epoch, (BATCHES, K, m), each network in an order of its own."""
        rngs = [np.random.default_rng(k) for k in range(self.k)]
        while True:
            yield np.stack([rng.permutation(len(self.x)).reshape(BATCHES, self.m) for rng in rngs], axis=1)


def epochs_of(k: int) -> int:
    """Return the epochs of a call for K networks."""
    return EPOCHS if k > 1 else ALONE


def work_of(case: Case) -> Work:
    """Return the numbers of a case."""
    problem = draw(parse(case.workload), "adam", "float32")
    rng = np.random.default_rng(0)
    n = BATCHES * len(problem.x)
    x = rng.normal(size=(n, problem.x.shape[1])).astype("float32")
    return Work(problem, x, rng.integers(0, len(problem.biases[-1]), n), case.k)


def ours(work: Work) -> Contestant:
    """Return `rp.fit` or `rp.fit_many`."""
    nets = [work.problem.network("numpy") for _ in range(work.k)]
    given = {"optimizer": work.problem.rule, "epochs": work.epochs, "batch_size": work.m}

    def call() -> None:
        if work.k == 1:
            rp.fit(nets[0], work.x, work.y, seed=0, **given)
        else:
            rp.fit_many(nets, work.x, work.y, seed=range(work.k), **given)

    return Contestant(kind="step", name="retroprop", call=call)


def hand_written_step(work: Work) -> Contestant:
    """Return the step of one network on one batch, on one thread."""
    from threadpoolctl import threadpool_limits

    step = hand_written.prepare(work.problem)
    return Contestant(kind="peer", name="hand-written NumPy", call=step.call, active=lambda: threadpool_limits(1))


def jax_vmap(work: Work) -> Contestant:
    """Return epochs of JAX: one compiled loop over the steps, each `vmap` of the step of a network."""
    import jax
    import jax.numpy as jnp

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        thetas, biases = parameters
        a = x
        for theta, bias in zip(thetas[:-1], biases[:-1], strict=True):
            a = jax.nn.relu(a @ theta.T + bias)
        z = a @ thetas[-1].T + biases[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1).mean()

    def stepped(parameters: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradients = jax.value_and_grad(cost)(parameters, x, y)
        t, first, second = state
        t, first = t + 1, jax.tree.map(lambda mu, g: 0.9 * mu + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda nu, g: 0.999 * nu + 0.001 * g * g, second, gradients)
        rate = work.problem.learning_rate * jnp.sqrt(1.0 - 0.999**t) / (1.0 - 0.9**t)
        updated = jax.tree.map(lambda p, mu, nu: p - rate * mu / (jnp.sqrt(nu) + 1e-8), parameters, first, second)
        return updated, (t, first, second), value

    @jax.jit
    def epoch(parameters: Any, state: Any, x: Any, y: Any, orders: Any) -> Any:
        def one(carried: Any, rows: Any) -> Any:
            *carried, values = jax.vmap(stepped)(*carried, x[rows], y[rows])
            return tuple(carried), values

        return jax.lax.scan(one, (parameters, state), orders)

    parameters = jax.tree.map(
        lambda leaf: jnp.stack([leaf] * work.k), (list(work.problem.thetas), list(work.problem.biases))
    )
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (jnp.zeros(work.k, "int32"), zeros, zeros)
    x, y, orders = jnp.asarray(work.x), jnp.asarray(work.y.astype("int32")), work.orders()

    def call() -> None:
        nonlocal parameters, state
        for _ in range(work.epochs):
            (parameters, state), values = epoch(parameters, state, x, y, jnp.asarray(next(orders).astype("int32")))
            np.asarray(values)  # the costs of the epoch, as `fit` reads them

    return Contestant(kind="peer", name="JAX vmap", call=call, pool="jax")


def torch_vmap(work: Work) -> Contestant:
    """Return epochs of PyTorch: `vmap` of the gradient of `functional_call`, and a fused Adam over all networks."""
    import torch
    from torch import nn
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    def module() -> nn.Module:
        layers: list[nn.Module] = []
        for theta, bias in zip(work.problem.thetas, work.problem.biases, strict=True):
            layers += [nn.ReLU()] * bool(layers) + [nn.Linear(theta.shape[1], theta.shape[0])]
            with torch.no_grad():
                layers[-1].weight.copy_(torch.from_numpy(theta))
                layers[-1].bias.copy_(torch.from_numpy(bias))
        return nn.Sequential(*layers)

    base = module()
    parameters, buffers = stack_module_state([module() for _ in range(work.k)])
    optimizer = torch.optim.Adam(parameters.values(), lr=work.problem.learning_rate, fused=True)

    def cost(own: Any, x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(functional_call(base, (own, buffers), (x,)), y)

    gradient = vmap(grad_and_value(cost))
    x, y, orders = torch.from_numpy(work.x), torch.from_numpy(work.y), work.orders()

    def call() -> None:
        for _ in range(work.epochs):
            values = []
            for rows in torch.from_numpy(next(orders)):
                gradients, value = gradient(parameters, x[rows], y[rows])
                for name, own in parameters.items():
                    own.grad = gradients[name]
                optimizer.step()
                values.append(value)
            torch.stack(values).detach().numpy()

    return Contestant(kind="peer", name="torch vmap", call=call, pool="torch")


OURS, YARDSTICK, PEERS = ours, hand_written_step, (jax_vmap, torch_vmap)


def timed(case: Case, pace: Pace, makers: tuple[Callable[[Work], Contestant], ...]) -> list[Timing]:
    """Return the timings of a step of all networks of a case: of retroprop, of the hand-written one, of the others."""
    work = work_of(case)
    both = [warm_up(make(work), pace.warm_up) for make in makers]
    found = []
    for one in race(both, pace):
        calls = case.k if one.contestant.name == "hand-written NumPy" else 1.0 / (epochs_of(case.k) * BATCHES)
        seconds = [second * calls for second in one.seconds]
        kind = one.contestant.kind
        found.append(Timing(kind=kind, name=one.contestant.name, calls=one.calls, seconds=seconds))
    return found


def measured(cases: Iterable[Case], pace: Pace) -> Results:
    """Return the timings of retroprop and of the hand-written step in some cases, one row each."""
    load, rows = ProcessorLoad(), []
    for case in cases:
        workload = parse(case.workload)
        row = ResultRow(
            layer_sizes=list(workload.layer_sizes),
            batch=workload.batch,
            optimizer="adam",
            dtype="float32",
            timings=timed(case, pace, (OURS, YARDSTICK)),
        )
        rows.append(row)
    return Results(machine={**machine.describe(), "others": load.share()}, rows=rows)


def main() -> None:
    """Print a line for each case and contestant."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="for the rounds of each case")
    parser.add_argument("--cases", nargs="+", type=case_of, default=CASES, help="such as 100x20-50-3@32")
    parser.add_argument("--peers", action="store_true", help="also JAX and PyTorch")
    options = parser.parse_args()
    pace = Pace(budget=options.seconds, rounds=PACE.rounds, warm_up=PACE.warm_up, lead=PACE.lead)
    print(f"{'networks':18} {'':18} {'a step, us':>11}  ratio to hand-written steps (quartiles)")
    for case in options.cases:
        found = timed(case, pace, (OURS, YARDSTICK, *(PEERS if options.peers else ())))
        yardstick = found[1]
        for one in found:
            over = ratio(one, yardstick)
            share = "" if one is yardstick else f"  {over.median:.3f} ({over.low:.3f} to {over.high:.3f})"
            print(f"{case!s:18} {one.name:18} {1e6 * one.median:11.1f}{share}", flush=True)


if __name__ == "__main__":
    main()
