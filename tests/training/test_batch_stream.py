"""`fit` from batches that arrive one after the other: the same training as over the same batches in memory."""

import numpy as np
import pytest

import retroprop as rp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype("float32")
Y = np.sin(X[:, :1]) + X[:, 1:2]
W = RNG.uniform(0.5, 2.0, 50).astype("float32")


def network(backend="numpy", **options):
    return rp.Network([3, 6, 1], hidden="tanh", seed=0, backend=backend, **options)


def batches(size=16):
    for at in range(0, 50, size):
        yield X[at : at + size], Y[at : at + size], W[at : at + size]


def test_it_is_the_training_of_the_same_batches_in_memory(backend):
    one, other = network(backend), network(backend)
    streamed = rp.fit(one, batches, epochs=4, validation_data=(X, Y))
    resident = rp.fit(other, X, Y, sample_weight=W, batch_size=16, shuffle=False, epochs=4, validation_data=(X, Y))
    np.testing.assert_allclose(streamed.cost, resident.cost, rtol=2e-6)
    np.testing.assert_allclose(streamed.validation_cost, resident.validation_cost, rtol=2e-6)
    for a, b in zip(one.parameters.leaves, other.parameters.leaves, strict=True):
        np.testing.assert_allclose(backend.to_numpy(a), backend.to_numpy(b), rtol=1e-4, atol=1e-5)


def test_an_iterator_is_one_epoch():
    history = rp.fit(network(), batches(), epochs=1, metrics=["r2"])
    assert len(history.cost) == len(history.metrics["r2"]) == 1


def test_several_networks_have_a_function_each_or_one_for_all():
    def short():
        yield X[:8], Y[:8]

    nets, single = [network(), network()], [network(), network()]
    found = [rp.fit_many(nets, [batches, short], epochs=2), rp.fit_many(nets, batches, epochs=1)]
    alone = [[rp.fit(net, x, epochs=2) for net, x in zip(single, (batches, short), strict=True)]]
    alone.append([rp.fit(net, batches, epochs=1) for net in single])
    assert [[one.cost for one in histories] for histories in found] == [
        [one.cost for one in histories] for histories in alone
    ]


def test_batches_of_many_sizes_and_dropout():
    def epoch():
        yield X[:1], Y[:1]
        yield X[:30].tolist(), Y[:30]
        yield (X[30:], Y[30:], None)

    stopping = rp.EarlyStopping(monitor="cost")
    cost = rp.fit(network(dropout=0.2), epoch, epochs=30, seed=0, early_stopping=stopping).cost
    assert cost[-1] < 0.9 * cost[0]


def test_it_goes_on_bit_for_bit(tmp_path):
    whole, halves, stored = network(), network(), network()
    rp.fit(whole, batches, epochs=6, checkpoint=rp.Checkpoint(tmp_path / "whole"))
    rp.fit(stored, batches, epochs=3, checkpoint=rp.Checkpoint(tmp_path / "run"))
    rp.fit(stored, batches, epochs=6, checkpoint=rp.Checkpoint(tmp_path / "run", resume=True))
    np.testing.assert_array_equal(stored.thetas[0], whole.thetas[0])
    first = rp.fit(halves, batches, epochs=3, checkpoint=rp.Checkpoint(tmp_path / "half"))
    rp.fit(halves, batches, epochs=3, resume_from=first)
    np.testing.assert_array_equal(halves.thetas[0], whole.thetas[0])


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        (batches(), {}, r"x is an iterator of batches, which is one epoch, and epochs is 20: pass epochs=1"),
        (batches, {"batch_size": 8}, "batch_size=8 would not be read where x gives batches"),
        (batches, {"sample_weight": [1.0]}, r"sample_weight=\[1.0\] would not be read"),
        (batches, {"optimizer": "lbfgs"}, "the optimizer 'lbfgs' needs all rows in each step"),
        (
            batches(),
            {"epochs": 1, "checkpoint": rp.Checkpoint("run")},
            "checkpoint needs batches that can be read again",
        ),
        (lambda: iter([]), {}, "x gives no batch"),
        (lambda: iter([X]), {}, "batch 1 must be .x, y. or .x, y, sample_weight., not ndarray"),
        (lambda: iter([(X[:, :2], Y)]), {}, "batch 1: x has 2 columns and the network 3 inputs"),
        (lambda: iter([(X, Y), (X, Y[:3])]), {}, r"batch 2: y must have the shape \(50, 1\)"),
    ],
)
def test_bad_input(x, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words):
        rp.fit(network(), x, **options)


def test_y_is_missing():
    with pytest.raises(TypeError, match="y is missing: pass fit"):
        rp.fit(network(), X)
