"""One seed, the same numbers: initial weights, batches, masks, one step, fifty updates."""

import numpy as np
import pytest
from harness import assert_close, tolerance
from oracles import minibatch_rules

import retroprop as rp
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.training.batches import dropout_masks, mask_stream

RNG = np.random.default_rng(7)
X = RNG.normal(size=(50, 6))
LABELS = RNG.integers(0, 3, 50)
WEIGHT = RNG.uniform(0.5, 1.5, 50)


@pytest.mark.parametrize("initializer", sorted(rp.initializers.INITIALIZERS))
def test_same_seed_same_initial_weights(backend, dtype, initializer):
    make = {"initializer": initializer, "seed": 3, "dtype": dtype}
    here = rp.Network([6, 5, 3], backend=backend, **make)
    there = rp.Network([6, 5, 3], backend="numpy", **make)
    for one, other in zip(here.parameters.leaves, there.parameters.leaves, strict=True):
        assert_close(one, other, backend=backend, dtype=dtype, rtol=0.0, atol=0.0)


def test_same_seed_same_masks(backend, dtype):
    net = rp.Network([6, 5, 4, 3], dropout=[0.5, 0.2], dtype=dtype, backend=backend)
    here, there = (
        dropout_masks(mask_stream(one, net.architecture, dtype, np.random.default_rng(1)), 3, 9)
        for one in (backend, rp.get_backend("numpy"))
    )
    for one, other in zip(here, there, strict=True):
        assert_close(one, other, backend=backend, dtype=dtype, rtol=0.0, atol=0.0)


def test_same_seed_same_batches(backend, monkeypatch):
    """What a step is given, batch by batch, taken down on the way."""
    rows = {}
    for name in ("numpy", backend):
        net = rp.Network([6, 3], output="softmax", loss="cross_entropy", seed=0, dtype="float64", backend=name)
        order = []

        def capture(plain, *, order=order, net=net, **options):
            def watched(operations, parameters, state, hyper, data, rows, masks):
                order.append(net.backend.to_numpy(net.backend.xp.take(data.x, rows, axis=0)).tolist())
                return plain(operations, parameters, state, hyper, data, rows, masks)

            return CapturedStep(watched, net.backend.operations())

        monkeypatch.setattr(net.backend, "capture", capture)
        rp.fit(net, X, LABELS, batch_size=16, epochs=2, seed=5)
        monkeypatch.undo()
        rows[str(name)] = order
    first, second = rows.values() if len(rows) == 2 else (rows["numpy"],) * 2
    assert first == second
    assert [len(batch) for batch in first] == [16, 16, 16, 2] * 2
    assert first[0] != X[:16].tolist()
    assert first[:4] != first[4:]


OPTIMIZERS = minibatch_rules(0.01) | {
    "sgd": rp.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adamw": rp.optimizers.AdamW(0.01, weight_decay=0.1),
    "lion": rp.optimizers.Lion(0.01, weight_decay=0.1),
}


def trained(backend, dtype, optimizer, *, epochs, batch_size):
    net = rp.Network(
        [6, 8, 7, 3],
        hidden=["tanh", "gelu"],
        output="softmax",
        loss="cross_entropy",
        l2=1e-3,
        l1=1e-4,
        dropout=[0.2, 0.0],
        seed=0,
        dtype=dtype,
        backend=backend,
    )
    history = rp.fit(
        net,
        X,
        LABELS,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        sample_weight=WEIGHT,
        clip_norm=5.0,
        seed=1,
    )
    return net, history


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_one_step_from_equal_state(backend, dtype, optimizer):
    here, _ = trained(backend, dtype, OPTIMIZERS[optimizer], epochs=1, batch_size=None)
    there, _ = trained("numpy", dtype, OPTIMIZERS[optimizer], epochs=1, batch_size=None)
    for one, other in zip(here.parameters.leaves, there.parameters.leaves, strict=True):
        assert_close(one, other, backend=backend, dtype=dtype, rtol=tolerance(dtype))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_fifty_float64_updates(backend, optimizer):
    """10 epochs of 5 batches, shuffled, weighted, with dropout: costs and parameters to 1e-8."""
    here, history = trained(backend, "float64", OPTIMIZERS[optimizer], epochs=10, batch_size=10)
    there, expected = trained("numpy", "float64", OPTIMIZERS[optimizer], epochs=10, batch_size=10)
    assert len(history.cost) * 5 == 50
    np.testing.assert_allclose(history.cost, expected.cost, rtol=1e-8)
    for one, other in zip(here.parameters.leaves, there.parameters.leaves, strict=True):
        assert_close(one, other, backend=backend, dtype="float64", rtol=1e-8)


def test_results_live_with_the_network(backend, dtype):
    net = rp.Network([6, 4, 3], dtype=dtype, backend=backend)
    trace, g = net.forward(X), net.gradient(X, RNG.normal(size=(50, 3)), wrt_input=True)
    arrays = [*trace.a, trace.z[-1], g.cost, *g.deltas[1:], *g.thetas, *g.biases, g.x, net.cost(X, np.zeros((50, 3)))]
    for array in arrays:
        assert backend.owns(array)
        assert backend.dtype_name(array) == dtype


def test_moving_changes_no_bit(backend, dtype):
    net = rp.Network([6, 5, 3], seed=0, dtype=dtype, backend="numpy")
    back = net.to(backend).to("numpy")
    for one, other in zip(net.parameters.leaves, back.parameters.leaves, strict=True):
        assert (one == other).all()
        assert one is not other
    assert net.to(backend).backend == backend
    assert net.to(backend, dtype="float32").dtype == "float32"
