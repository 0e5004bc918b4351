"""A batch split over processes, which needs `Operations.total`, `reduced` and `penalty_fraction`, and nothing else."""

from threading import Barrier, Thread

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.backend import Backend
from retroprop.backends.intake.batch import Batch
from retroprop.core.backward import evaluate
from retroprop.core.operations import Operations
from retroprop.training import optimizers
from retroprop.training.step import bind, bind_measure

RNG = np.random.default_rng(3)
X, Y, W = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2)), RNG.integers(0, 4, 12).astype("float64")
HALVES = (slice(0, 6), slice(6, 12))


class Ranks:
    """Two threads that add up what each of them has."""

    def __init__(self):
        self.barrier, self.parts = Barrier(len(HALVES), timeout=30.0), [None] * len(HALVES)

    def sums(self, rank, arrays):
        self.parts[rank] = arrays
        self.barrier.wait()
        found = [sum(column) for column in zip(*self.parts, strict=True)]
        self.barrier.wait()
        return found


class SplitOperations(Operations):
    """Each of the ranks has its rows of the batch."""

    penalty_fraction = 1.0 / len(HALVES)

    def __init__(self, rank, ranks):
        super().__init__(np)
        self.rank, self.ranks = rank, ranks

    def total(self, weight, m):
        if weight is None:
            return self.ranks.sums(self.rank, [m])[0]
        return self.ranks.sums(self.rank, [np.sum(weight, axis=-1, keepdims=True)])[0]

    def reduced(self, cost, gradients):
        cost, *leaves = self.ranks.sums(self.rank, [cost, *gradients.leaves])
        return cost, gradients.like(leaves)


class Rank(Backend):
    """NumPy, with the operations of a rank."""

    def __init__(self, rank, ranks):
        super().__init__(np, "cpu", "numpy")
        self.rank, self.ranks = rank, ranks

    def operations(self):
        return SplitOperations(self.rank, self.ranks)


def on_all_ranks(work):
    """Return what `work` of a backend and its rows returns on each rank."""
    ranks, found = Ranks(), [None] * len(HALVES)

    def run(rank):
        found[rank] = work(Rank(rank, ranks), HALVES[rank])

    threads = [Thread(target=run, args=(rank,)) for rank in range(len(HALVES))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def network(**options):
    options = {"hidden": "tanh", "l2": 0.1, "l1": 0.01, **options}
    return rp.Network([3, 5, 2], seed=1, dtype="float64", backend="numpy", **options)


def part(rows, weighted):
    return Batch(X[rows], Y[rows], W[rows] if weighted else None)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalties_of_sum", [False, True])
@pytest.mark.parametrize("clips", [{}, {"clip_norm": 0.05}, {"clip_value": 0.02}])
def test_the_step_of_two_half_batches_is_that_of_the_whole(weighted, penalties_of_sum, clips):
    net, rule = network(), optimizers.Adam(0.01)

    def trained(backend, rows):
        step = bind(backend, net.architecture, rule, penalties_of_sum=penalties_of_sum, **clips)
        parameters, state, costs = net.parameters, rule.start(net.parameters, np.zeros_like), []
        for t in range(1, 4):
            parameters, state, cost, _ = step(parameters, state, rule.hyper(t, 0.01), part(rows, weighted), None, None)
            costs.append(float(cost))
        return costs, parameters

    costs, whole = trained(Backend(np, "cpu", "numpy"), slice(0, 12))
    (one_costs, one), (other_costs, other) = on_all_ranks(trained)
    assert one_costs == other_costs == pytest.approx(costs, rel=1e-13)
    for mine, theirs, expected in zip(one.leaves, other.leaves, whole.leaves, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_allclose(mine, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_so_are_the_gradient_without_an_update_and_the_cost_of_an_evaluation(weighted):
    net = network(hidden="sigmoid")

    def measured(backend, rows):
        return bind_measure(backend, net.architecture)(net.parameters, part(rows, weighted))

    expected = measured(Backend(np, "cpu", "numpy"), slice(0, 12))
    for found in on_all_ranks(measured):
        assert float(found.cost) == pytest.approx(float(expected.cost), rel=1e-13)
        for mine, theirs in zip(found.gradients.leaves, expected.gradients.leaves, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)

    def evaluated(backend, rows):
        return float(evaluate(backend.operations(), net.architecture, net.parameters, *part(rows, weighted))[0])

    assert on_all_ranks(evaluated) == pytest.approx([float(expected.cost)] * 2, rel=1e-13)


def test_every_gradient_passes_the_hook_before_it_is_clipped():
    class Seen(Operations):
        def reduced(self, cost, gradients):
            calls.append("reduced")
            return cost, gradients.like([leaf * 0.0 for leaf in gradients.leaves])

        def clip(self, gradients, clip_norm, clip_value):
            calls.append("clip")
            return super().clip(gradients, clip_norm, clip_value)

        def update(self, *arguments):
            calls.append("update")
            return super().update(*arguments)

    class Watched(Backend):
        def operations(self):
            return Seen(np)

    net, rule, calls = network(), optimizers.SGD(0.1), []
    step = bind(Watched(np, "cpu", "numpy"), net.architecture, rule, clip_norm=1.0)
    found = step(net.parameters, (), rule.hyper(1, 0.1), part(slice(0, 12), weighted=False), None, None)
    assert calls == ["reduced", "clip", "update"]
    for leaf, before in zip(found.parameters.leaves, net.parameters.leaves, strict=True):
        np.testing.assert_array_equal(leaf, before)
