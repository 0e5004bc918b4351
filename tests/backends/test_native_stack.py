"""Many networks by the compiled step of one have the bits of single trainings, whatever the number of threads."""

import threading

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.cpu import native_networks, native_stack, numba_target
from retroprop.backends.cpu.native_rules import work_of_many
from retroprop.backends.cpu.native_stack import NativeStack

pytest.importorskip("numba", reason="Numba is not installed (the extra 'fast')")
pytest.importorskip("scipy", reason="SciPy is not installed (the extra 'fast')")

K = 5
X = np.random.default_rng(0).normal(size=(61, 6))
Y = np.random.default_rng(1).integers(0, 3, 61)
FOLDS = [np.flatnonzero(np.arange(61) % K != k) for k in range(K)]  # of 48 and 49 rows


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """The calls of a group's compiled steps, and whether they did them."""
    found, run = [], NativeStack.run

    def counted(*arguments, **options):
        result = run(*arguments, **options)
        found.append(result is not None)
        return result

    monkeypatch.setattr(NativeStack, "run", counted)
    monkeypatch.setenv("RETROPROP_NUMBA", "1")
    return found


def networks(**options):
    options = {"output": "softmax", "loss": "cross_entropy", **options}
    return [rp.Network([6, 12, 3], seed=k, l2=[0.3, 0.2, 0.3, 0.2, 0.7][k], **options) for k in range(K)]


def each(options, k):
    return {name: value[k] if isinstance(value, list) else value for name, value in options.items()}


def numbers(nets):
    return [np.concatenate([leaf.ravel() for leaf in net.parameters.leaves]) for net in nets]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_bits_are_those_of_single_trainings(threads, monkeypatch, calls):
    """Folds of two sizes, with penalties, rates and epochs of their own, so that two leave the arrays early."""
    monkeypatch.setattr(native_stack, "cores", lambda: threads)
    monkeypatch.setattr(native_stack, "OF_THREAD", 1)
    options = {"epochs": [3, 1, 3, 2, 3], "batch_size": 20, "seed": list(range(K))}
    options["optimizer"] = [rp.optimizers.Adam(0.01 * (k + 1)) for k in range(K)]
    many, single = networks(), networks()
    histories = rp.fit_many(many, X, Y, rows=FOLDS, **options)
    assert calls
    assert all(calls)
    for k, (net, rows) in enumerate(zip(single, FOLDS, strict=True)):
        assert histories[k].cost == rp.fit(net, X[rows], Y[rows], **each(options, k)).cost
    np.testing.assert_array_equal(numbers(many), numbers(single))


def test_data_of_each_and_all_rows_at_once(calls):
    x = [X + k for k in range(K)]
    many, single = networks(), networks()
    rp.fit_many(many, x, Y, epochs=2)
    for net, own in zip(single, x, strict=True):
        rp.fit(net, own, Y, epochs=2)
    assert all(calls)
    np.testing.assert_array_equal(numbers(many), numbers(single))


@pytest.mark.long
def test_dropout_is_left_to_the_step_with_a_model_axis(calls):
    many, single = networks(dropout=0.5), networks(dropout=0.5)
    rp.fit_many(many, X, Y, epochs=2, batch_size=20, seed=list(range(K)))
    for k, net in enumerate(single):
        rp.fit(net, X, Y, epochs=2, batch_size=20, seed=k)
    assert not calls
    np.testing.assert_allclose(numbers(many), numbers(single), rtol=2e-3, atol=2e-4)


def test_large_batches_are_grouped_where_steps_are_compiled_as_a_whole(monkeypatch):
    backend, sizes = rp.get_backend("numpy"), [64, 100, 10]
    assert backend.stacks(sizes, 200, 0.0)
    assert not backend.stacks([64, 300, 10], 200, 0.0)
    monkeypatch.setenv("RETROPROP_NUMBA", "loops")
    assert not backend.stacks(sizes, 200, 0.0)
    assert backend.stacks(sizes, 100, 0.0)
    monkeypatch.setenv("RETROPROP_NUMBA", "auto")
    enough = 2.0 * numba_target.WORTH["auto"] / work_of_many(sizes, 1.0)
    assert 5e9 < enough < 6e9
    assert [backend.stacks(sizes, 200, work) for work in (1.01 * enough, 0.99 * enough)] == [True, False]


def test_products_that_the_blas_divides_are_left_to_it(monkeypatch):
    """Two threads that each start threads of the BLAS would wait for one another."""
    found, work = [], native_networks.Networks.work
    monkeypatch.setattr(
        native_networks.Networks, "work", lambda *arguments: found.append(work(*arguments)) or found[-1]
    )
    for threads, expected in (("1", True), ("2", False)):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        monkeypatch.setattr(native_networks, "OF_BLAS", 1000)
        rp.fit_many(networks(), X, Y, epochs=1)
        assert bool(found.pop()) is expected


def test_ctrl_c_waits_for_the_other_threads():
    begun, done = threading.Event(), []

    def part(i):
        if i:
            begun.set()
            threading.Event().wait(0.05)
            done.append(i)
        else:
            begun.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        native_networks.spread([part], 2)
    assert done == [1]
