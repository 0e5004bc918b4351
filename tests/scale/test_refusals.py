"""Trainings that do not go with `parallel`: refused in one line that names what to do, before any work."""

from contextlib import contextmanager

import numpy as np
import pytest

import retroprop as rp
from retroprop import tabular
from retroprop.estimators import MLPClassifier, MLPEnsembleClassifier
from retroprop.model_selection import GridSearchCV

X, Y = np.eye(4), np.array([0, 1, 0, 1])


class OneRank:
    """The connection of a process with itself."""

    rank, size, on_host = 0, 1, True

    def sum(self, buffer):
        return buffer

    def agree(self, status):
        return [status]


class Alone:
    """An engine of one process, which needs no launcher."""

    shard, parts = False, 8

    @contextmanager
    def open(self, backend, *, deterministic=False):
        yield OneRank()


class Sharded(Alone):
    """Each rank has rows of its own."""

    shard = True


class TwoRanks(OneRank):
    """The connection of a process with another that does the same, and does not speak otherwise."""

    size = 2

    def agree(self, status):
        return [status, status]


class Two(Alone):
    """An engine of two processes."""

    ranks = TwoRanks

    @contextmanager
    def open(self, backend, *, deterministic=False):
        yield self.ranks()


class Speaking(TwoRanks):
    """Two processes that can train networks of their own."""

    def tell(self, status):
        pass

    def heard(self):
        return ""

    def meet(self, meanwhile):
        meanwhile()


class Pair(Two):
    """An engine of two such processes."""

    ranks = Speaking


def network():
    return rp.Network([4, 3, 2], output="softmax", loss="cross_entropy", seed=0)


def ensemble(*, parallel, **options):
    MLPEnsembleClassifier(MLPClassifier((3,), **options), 2, parallel=parallel, random_state=0).fit(X, Y)


def fit(net, x=X, y=Y, **options):
    rp.fit(net, x, y, epochs=1, parallel=Alone(), **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit(rp.stack([network(), network()])), r"holds several: call rp.fit_many\(net.unstack\(\), ...\)"),
        (lambda: fit(network(), lambda: iter([(X, Y)]), None), "needs all rows, to divide them: pass x and y"),
        (lambda: fit(network(), optimizer="lbfgs", deterministic=True), "'lbfgs' does not go with parallel: use one"),
        (lambda: rp.fit_many([network()], X, Y, parallel=Sharded()), "fit_many does not go with shard=True"),
        (lambda: rp.fit_many([network()], X, Y, parallel=Two()), "must be rp.scale.MPI.*, or have its tell, heard"),
        (lambda: rp.fit_many([network()], lambda: iter([(X, Y)]), parallel=Pair()), r"nets\[0\]: parallel needs all"),
        (lambda: MLPClassifier((3,), parallel=Alone()).partial_fit(X, Y, classes=[0, 1]), "partial_fit does not go"),
        (lambda: MLPClassifier((3,), parallel=Alone(), solver="lbfgs").fit(X, Y), "parallel"),
        (lambda: MLPClassifier((3,), parallel=Alone()).fit(lambda: iter([(X, Y)])), "pass X and y"),
        (
            lambda: MLPEnsembleClassifier(MLPClassifier((3,), parallel=Alone()), n_members=2).fit(X, Y),
            "parallel of the estimator must be None: pass it to the ensemble",
        ),
        (lambda: ensemble(parallel=Sharded()), "shard=True does not go with parallel of an ensemble"),
        (lambda: ensemble(parallel=Two()), "must be rp.scale.MPI.*, or have its tell, heard"),
        (lambda: ensemble(parallel=Alone(), solver="lbfgs"), "solver='lbfgs' of the estimator does not go"),
        (
            lambda: ensemble(parallel=Alone(), checkpoint=rp.Checkpoint("run")),
            "checkpoint of the estimator does not go",
        ),
        (
            lambda: GridSearchCV(MLPClassifier((3,), parallel=Alone()), {"alpha": [0.1]}, cv=2).fit(X, Y),
            "parallel of the estimator must be None: a search trains its fits together",
        ),
        (lambda: tabular.fit("digits", ensemble=2, parallel=Sharded()), "parallel of a table .* with shard=True"),
    ],
)
def test_what_ranks_cannot_share_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_engine_of_ones_own_trains():
    """The engine is the protocol: a training of one rank in fixed parts has the numbers of the single process."""
    alone, shared = network(), network()
    rp.fit(alone, X, Y, epochs=5, seed=0)
    rp.fit(shared, X, Y, epochs=5, seed=0, parallel=Alone(), deterministic=True)
    np.testing.assert_allclose(shared.thetas[0], alone.thetas[0], rtol=1e-5)
