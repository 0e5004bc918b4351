"""Dropout masks: the bits of NumPy's Philox at their counter, the rate that was asked for, no two alike."""

import numpy as np
import pytest
from harness import ON_A_CPU, assert_close, open_backend
from hypothesis import given, settings
from hypothesis import strategies as st

import retroprop as rp
from retroprop.backends.masks import MaskedLayer, Masks, MaskStream
from retroprop.core.architecture import build

FUNCTIONS = {"hidden": "relu", "output": "identity", "loss": "squared_error", "bias": True, "l2": 0.0, "l1": 0.0}


def stream_of(sizes, dropout, *, dtype="float32", backend=None, seed=0):
    architecture = build(sizes, dropout=dropout, **FUNCTIONS)
    return MaskStream(backend or rp.get_backend("numpy"), architecture, dtype, np.random.default_rng(seed))


@pytest.mark.parametrize(("counter", "key", "expected"), [
    ([-1, -1, -1, -1], [0, 0], [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    ([-2, -1, -1, -1], [-1, -1], [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]),
], ids=["zeros", "ones"])  # fmt: skip
def test_philox_is_that_of_its_authors(counter, key, expected):
    """Known answers of their Random123; NumPy draws from the counter after the one it is given."""
    counter, key = (np.asarray(words, "int64").view("uint64") for words in (counter, key))
    assert np.random.Philox(key=key, counter=counter).random_raw(4).tolist() == expected


@pytest.mark.parametrize("m", [1, 3, 8, 33])
def test_the_words_are_those_of_the_counter(m):
    stream = stream_of([3, 4, 7, 2], [0.25, 0.5])
    for one in stream.layers:
        for step in (0, 1, 2**40):
            philox = np.random.Philox(key=np.asarray(stream.key, "uint64"), counter=[0, one.layer, step, 0])
            words = [half for word in philox.random_raw(m * one.n).tolist() for half in (word % 2**32, word >> 32)]
            expected = np.asarray(words[: m * one.n]).reshape(m, one.n) >= one.p * 2**32
            np.testing.assert_array_equal(stream.kept(one, step, m), expected)


@pytest.mark.parametrize(("p", "threshold"), [(0.5, 2**31), (0.25, 2**30), (1e-12, 0), (1.0 - 2.0**-53, 2**32 - 1)])
def test_the_threshold_is_a_whole_number_of_32_bits(p, threshold):
    one = MaskedLayer(1, 3, p)
    assert one.threshold == threshold
    assert one.scale == 1.0 / (1.0 - p)


def test_a_mask_is_0_or_one_over_what_is_kept(backend, dtype):
    stream = stream_of([3, 4, 5, 2], [0.3, 0.5], dtype=dtype, backend=backend)
    reference = stream_of([3, 4, 5, 2], [0.3, 0.5])
    for one, mask in zip(reference.layers, Masks(stream, 4, 6).drawn(), strict=True):
        scale = np.asarray(1.0 / (1.0 - one.p), dtype)
        assert_close(mask, reference.kept(one, 4, 6) * scale, backend=backend, dtype=dtype, rtol=0.0, atol=0.0)


SHAPES = {"m": st.integers(1, 40), "n": st.integers(1, 20), "step": st.integers(0, 2**50), "seed": st.integers(0, 99)}


@settings(deadline=None)
@given(fewer=st.integers(1, 40), **SHAPES)
def test_the_mask_of_fewer_rows_is_the_beginning_of_the_mask_of_more(fewer, m, n, step, seed):
    """So the last batch of an epoch, of whatever size, draws no other numbers than a full one."""
    stream = stream_of([1, n, 1], 0.5, seed=seed)
    (one,) = stream.layers
    some, all_of_them = stream.kept(one, step, min(fewer, m)), stream.kept(one, step, m)
    np.testing.assert_array_equal(some, all_of_them[: some.shape[0]])


@settings(deadline=None)
@given(others=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=4), **SHAPES)
def test_a_mask_depends_on_nothing_that_was_drawn_before(others, m, n, step, seed):
    stream = stream_of([1, 5, n, 1], [0.4, 0.4], seed=seed)
    before = Masks(stream, step, m).drawn()
    for other_step, rows in others:
        Masks(stream, other_step, rows).drawn()
    for one, other in zip(before, Masks(stream, 0, m).after(step).drawn(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_the_part_of_zeros_is_p(p):
    stream = stream_of([3, 40, 50, 2], p)
    zeros = np.concatenate([(mask == 0.0).ravel() for step in range(4) for mask in Masks(stream, step, 500).drawn()])
    # five standard errors of a binomial
    assert abs(zeros.mean() - p) < 5 * np.sqrt(p * (1 - p) / zeros.size)


def correlation(one, other):
    one, other = (np.asarray(kept, "float64").ravel() for kept in (one, other))
    return float(np.corrcoef(one, other)[0, 1]), one.size


def test_steps_layers_keys_rows_and_columns_know_nothing_of_one_another():
    stream, another = (stream_of([3, 64, 64, 2], 0.5, seed=seed) for seed in (0, 1))
    first, second = stream.layers
    kept = stream.kept(first, 0, 512)
    pairs = {
        "the next step": (kept, stream.kept(first, 1, 512)),
        "the next layer": (kept, stream.kept(second, 0, 512)),
        "another key": (kept, another.kept(first, 0, 512)),
        "the next row": (kept[1:], kept[:-1]),
        "the next column": (kept[:, 1:], kept[:, :-1]),
        "halves of a word": (kept[:, ::2], kept[:, 1::2]),
    }
    for name, pair in pairs.items():
        found, size = correlation(*pair)
        assert abs(found) < 5 / np.sqrt(size), name


def test_no_mask_comes_twice():
    """128 neurons: two of 2000 masks are alike by chance once in 10³² trainings."""
    stream = stream_of([3, 16, 16, 2], 0.5)
    seen = {stream.kept(one, step, 8).tobytes() for step in range(1000) for one in stream.layers}
    assert len(seen) == 2000


def test_one_seed_one_training_on_every_backend():
    """Ragged batches, two layers of which one has dropout, in a run where the backend has runs."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(23, 4)), rng.normal(size=(23, 2))

    def trained(name):
        backend = open_backend(name)
        net = rp.Network([4, 9, 7, 2], hidden="tanh", dropout=[0.0, 0.4], seed=1, dtype="float64", backend=backend)
        history = rp.fit(net, x, y, optimizer=rp.optimizers.SGD(0.1), epochs=3, batch_size=5, seed=2)
        return history.cost, [backend.to_numpy(leaf) for leaf in net.parameters.leaves]

    cost, leaves = trained("numpy")
    for name in ON_A_CPU[1:]:
        found, others = trained(name)
        np.testing.assert_allclose(found, cost, rtol=1e-12)
        for one, other in zip(leaves, others, strict=True):
            np.testing.assert_allclose(other, one, rtol=0.0, atol=1e-12)
