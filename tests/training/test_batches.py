"""Batches: every row once an epoch, the rows of x, y and weights together, the key of the masks from the seed."""

import numpy as np
import pytest
from harness import assert_close

import retroprop as rp
from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import build
from retroprop.training.batches import Minibatches, dropout_masks, in_order, mask_stream

SIZES = [(10, 3), (12, 4), (7, 1), (5, 5), (5, 4), (1, 1)]


def order_of(minibatches, drawn):
    order = np.arange(minibatches.m) if drawn is None else np.asarray(drawn)
    return [order[window].tolist() for window in minibatches.windows]


@pytest.mark.parametrize(("m", "size"), SIZES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_row_once_an_epoch_and_the_last_batch_smaller(m, size, shuffle):
    minibatches, rng = Minibatches(m, size, shuffle=shuffle), np.random.default_rng(0)
    for _ in range(3):
        batches = order_of(minibatches, minibatches.draw(rng))
        assert sorted(row for batch in batches for row in batch) == list(range(m))
        assert [len(batch) for batch in batches] == [size] * (m // size) + ([m % size] if m % size else [])


def test_shuffling_draws_one_permutation_an_epoch_from_the_generator_given():
    minibatches, rng, twin = Minibatches(10, 3, shuffle=True), np.random.default_rng(4), np.random.default_rng(4)
    first, second = (minibatches.draw(rng) for _ in range(2))
    np.testing.assert_array_equal(first, twin.permutation(10))
    np.testing.assert_array_equal(second, twin.permutation(10))
    assert first.tolist() != second.tolist()
    assert rng.bit_generator.state == twin.bit_generator.state


@pytest.mark.parametrize(("size", "shuffle"), [(None, True), (10, True), (99, True), (3, False)])
def test_nothing_is_drawn_where_the_order_says_nothing(size, shuffle):
    rng = np.random.default_rng(4)
    before = rng.bit_generator.state
    minibatches = Minibatches(10, size, shuffle=shuffle)
    assert minibatches.draw(rng) is None
    assert rng.bit_generator.state == before
    assert sorted(row for batch in order_of(minibatches, None) for row in batch) == list(range(10))
    assert len(minibatches.windows) == (4 if size == 3 else 1)


def numbered(backend, dtype, m, *, indices=False):
    """Return data whose rows carry their number in x, y and weight."""
    number = np.arange(m)
    y = backend.asarray(number, "int32") if indices else backend.asarray(10.0 * number[:, None], dtype)
    x = backend.asarray(np.stack([number, -number], axis=1), dtype)
    return Batch(x, y, backend.asarray(100.0 * number, dtype))


def rows(backend, data, order, window):
    """Return what a step sees of the data."""
    if order is None:
        return in_order(data, window)
    return Batch(*(backend.operations().gather(part, order[window]) for part in data))


@pytest.mark.parametrize("indices", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_weights_and_targets_stay_with_their_rows(indices, shuffled, backend, dtype):
    data = numbered(backend, dtype, 7, indices=indices)
    order = np.asarray([3, 6, 0, 5, 1, 4, 2]) if shuffled else np.arange(7)
    on_device = backend.asarray(order) if shuffled else None
    for window in (slice(0, 3), slice(3, 6), slice(6, 7)):
        batch = rows(backend, data, on_device, window)
        number = order[window]
        assert_close(batch.x, np.stack([number, -number], axis=1), backend=backend, dtype=dtype, rtol=0.0)
        if indices:
            assert_close(batch.y, number, backend=backend, dtype="int32", rtol=0.0)
        else:
            assert_close(batch.y, 10.0 * number[:, None], backend=backend, dtype=dtype, rtol=0.0)
        assert_close(batch.weight, 100.0 * number, backend=backend, dtype=dtype, rtol=0.0)


def test_rows_in_order_are_views_and_the_full_batch_is_the_data():
    numpy = rp.get_backend("numpy")
    data = numbered(numpy, "float64", 6)
    batch = rows(numpy, data, None, slice(2, 4))
    for part, whole in zip(batch, data, strict=True):
        assert np.shares_memory(part, whole)
    assert rows(numpy, data, None, slice(0, 6)) is data


def test_no_weights_stay_none(backend):
    data = numbered(backend, "float32", 4)._replace(weight=None)
    assert rows(backend, data, None, slice(0, 2)).weight is None
    assert rows(backend, data, backend.asarray([2, 0, 1, 3]), slice(0, 2)).weight is None


def test_fit_sees_the_batches_of_the_seed(backend):
    m, size, seed = 8, 3, 5
    y = 2.0 ** np.arange(m)
    net = rp.Network.from_parameters([[[0.0]]], [[0.0]], dtype="float64", backend=backend)
    seen = []

    class Watch:
        name, greater_is_better = "watch", True

        def __call__(self, a, y, weight, xp):
            seen.append(backend.to_numpy(y)[:, 0].tolist())
            return xp.mean(a)

    rp.fit(net, np.zeros((m, 1)), y, optimizer=rp.optimizers.SGD(1e-9), epochs=2, batch_size=size, seed=seed,
           metrics=[Watch()])  # fmt: skip
    rng = np.random.default_rng(seed)
    assert seen == [y[rng.permutation(m)].tolist() for _ in range(2)]


def test_without_shuffling_fit_sees_the_rows_in_order():
    y, seen = np.arange(7.0), []

    class Watch:
        name, greater_is_better = "watch", True

        def __call__(self, a, y, weight, xp):
            seen.append(y[:, 0].tolist())
            return xp.mean(a)

    net = rp.Network([1, 1], seed=0, dtype="float64", backend="numpy")
    rp.fit(net, np.zeros((7, 1)), y, epochs=2, batch_size=3, shuffle=False, metrics=[Watch()])
    assert seen == [y.tolist()] * 2


def test_an_order_from_outside_is_followed():
    from retroprop.backends import host
    from retroprop.training.loop import Training
    from retroprop.training.optimizers import SGD
    from retroprop.training.progress import Silence
    from retroprop.training.step import bind

    class Backwards:
        """The last rows first, and some of them twice."""

        windows = (slice(0, 2), slice(2, 6))

        def draw(self, rng, last):
            return np.asarray([3, 2, 1, 0, 3, 3])

    x, y = np.asarray([[1.0], [2.0], [3.0], [4.0]]), np.asarray([1.0, -1.0, 2.0, 0.5])
    net = rp.Network.from_parameters([[[0.25]]], dtype="float64", backend="numpy")
    data, rule = net.batch(x, y), SGD(0.125)
    training = Training(
        net,
        data,
        rule,
        bind(net.backend, net.architecture, rule),
        order=Backwards(),
        rng=host.generator(0),
        validation=None,
        metrics=[],
        callbacks=[],
        monitor=None,
        progress=Silence(),
    )
    history = training.run(1)
    by_hand = rp.Network.from_parameters([[[0.25]]], dtype="float64", backend="numpy")
    costs = []
    for some in ([3, 2], [1, 0, 3, 3]):
        g = by_hand.gradient(x[some], y[some])
        costs.append(float(g.cost))
        by_hand.thetas = [by_hand.thetas[0] - 0.125 * g.thetas[0]]
    np.testing.assert_allclose(net.thetas[0], by_hand.thetas[0], rtol=1e-15)
    assert history.cost == pytest.approx([(2 * costs[0] + 4 * costs[1]) / 6], rel=1e-15)


# Masks ----------------------------------------------------------------------------------------------------------


def architecture(dropout):
    return build(
        [3, 4, 5, 2], hidden="relu", output="identity", loss="squared_error", bias=True, l2=0.0, l1=0.0, dropout=dropout
    )


def test_the_key_of_the_masks_is_drawn_once_and_nothing_after_it(backend):
    rng, twin = np.random.default_rng(3), np.random.default_rng(3)
    stream = mask_stream(backend, architecture([0.0, 0.5]), "float32", rng)
    assert b"".join(word.to_bytes(8, "little") for word in stream.key) == twin.bytes(16)
    first, second = dropout_masks(stream, 0, 6)
    assert first is None
    assert_close(second, backend.to_numpy(second), backend=backend, dtype="float32")
    assert second.shape == (6, 5)
    assert rng.bit_generator.state == twin.bit_generator.state


def test_no_dropout_no_masks_and_no_draws(backend):
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    assert mask_stream(backend, architecture(0.0), "float32", rng) is None
    assert dropout_masks(None, 0, 6) is None
    assert rng.bit_generator.state == before


def test_a_step_that_draws_gets_a_description_of_its_masks():
    stream = mask_stream(rp.get_backend("numpy"), architecture(0.5), "float32", np.random.default_rng(0))
    given = dropout_masks(stream, 7, 6, draws=True)
    assert (given.stream, given.step, given.m) == (stream, 7, 6)
    for one, other in zip(given.drawn(), dropout_masks(stream, 7, 6), strict=True):
        np.testing.assert_array_equal(one, other)
