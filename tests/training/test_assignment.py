"""The networks that `fit_many` gives to each of several ranks: a function of the arguments alone."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.training.many.assignment import assigned
from retroprop.training.many.grouping import arranged
from retroprop.training.preparation import Options, prepared

X, Y = np.ones((12, 3)), np.ones((12, 2))


def arrangement(sizes, epochs, **options):
    """Return the arrangement of trainings of networks of those hidden sizes, for those epochs."""
    nets = [rp.Network([3, size, 2], seed=0, backend="numpy") for size in sizes]
    given = [Options(epochs=n, batch_size=4, **options) for n in epochs]
    return arranged([prepared(net, X, Y, one) for net, one in zip(nets, given, strict=True)])


def loads(found, arrangement, ranks):
    """Return the work of each rank over the mean."""
    every = [one for _, group in arrangement.groups for one in group] + arrangement.alone
    work = np.zeros(ranks)
    for number, one in every:
        work[found[number]] += one.elements
    return work / work.mean()


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_the_work_is_even(ranks):
    rng = np.random.default_rng(0)
    given = arrangement(rng.integers(2, 9, 40).tolist(), rng.integers(1, 30, 40).tolist())
    found = assigned(given, ranks)
    assert set(found) == set(range(ranks))
    assert np.abs(loads(found, given, ranks) - 1.0).max() < 0.02
    assert found == assigned(given, ranks)


def test_one_long_training_has_a_rank_of_its_own():
    assert assigned(arrangement([4] * 5, [1, 1, 100, 1, 1]), 2) == [1, 1, 0, 1, 1]


def test_networks_that_draw_from_one_generator_have_one_rank():
    found = assigned(arrangement([4] * 3 + [5, 5], [2] * 5, seed=np.random.default_rng(0)), 2)
    assert len(set(found)) == 1


def test_there_may_be_fewer_networks_than_ranks():
    assert assigned(arrangement([4, 4], [1, 2]), 4) == [1, 0]
