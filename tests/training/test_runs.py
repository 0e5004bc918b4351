"""Many steps as one are the steps, one after the other."""

import numpy as np
import pytest
from harness import needing, open_backend, tolerance

import retroprop as rp
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.operations import Operations
from retroprop.training import runs
from retroprop.training.course import Course

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 4)), RNG.integers(0, 3, 50)
OPTIONS = {
    "shuffled": {},
    "in order": {"shuffle": False},
    "weighted": {"sample_weight": np.linspace(0.5, 2.0, 50)},
    "decaying": {"optimizer": rp.optimizers.AdamW(rp.schedules.Exponential(0.01, decay=0.9))},
    "clipped": {"clip_norm": 0.1},
    "without state": {"optimizer": rp.optimizers.SGD(0.1)},
    "with dropout": {"dropout": 0.4},
}


def trained(backend, dtype, *, dropout=0.0, **options):
    net = rp.Network(
        [4, 6, 3], output="softmax", loss="cross_entropy", dropout=dropout, seed=0, dtype=dtype, backend=backend
    )
    return net, rp.fit(net, X, Y, epochs=2, batch_size=8, seed=1, **options)


@pytest.mark.parametrize("case", list(OPTIONS))
@pytest.mark.parametrize("name", [needing("jax:cpu"), needing("jax:cuda"), needing("cupy")])
def test_a_run_is_its_steps(name, case, dtype, monkeypatch, request):
    request.node.user_properties.append(("backend", name))
    backend = open_backend(name)
    monkeypatch.setattr(runs, "LONGEST", 4)
    done = []
    whole = runs.Run
    monkeypatch.setattr(runs, "Run", lambda *values: done.append(values[4]) or whole(*values))
    net, history = trained(backend, dtype, **OPTIONS[case])
    assert done == [4, 2, 4, 2]  # of six batches of eight; the seventh has two rows
    expected, reference = trained("numpy", dtype, **OPTIONS[case])
    for found, wanted in zip(net.parameters.leaves, expected.parameters.leaves, strict=True):
        np.testing.assert_allclose(backend.to_numpy(found), wanted, rtol=0.0, atol=tolerance(dtype))
    np.testing.assert_allclose(history.cost, reference.cost, rtol=tolerance(dtype))
    assert history.learning_rate == reference.learning_rate


@pytest.mark.parametrize(("room", "most"), [(1, 1), (3 * 48, 2), (2**25, 6)])
def test_a_scan_of_jax_is_given_as_many_masks_as_there_is_room_for(room, most, monkeypatch):
    backend = open_backend("jax:cpu")
    from retroprop.backends import jax_backend

    given = []

    def drawn(masks, steps, whole=jax_backend._drawn):
        given.append(steps)
        return whole(masks, steps)

    monkeypatch.setattr(jax_backend, "_drawn", drawn)
    monkeypatch.setattr(jax_backend, "MASK_BYTES", room)  # a step has 8 rows of 6 neurons
    net, history = trained(backend, "float64", dropout=0.4)
    assert given == [most] * (2 * 6 // most)  # two epochs of six batches of eight
    expected, reference = trained("numpy", "float64", dropout=0.4)
    for found, wanted in zip(net.parameters.leaves, expected.parameters.leaves, strict=True):
        np.testing.assert_allclose(backend.to_numpy(found), wanted, rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(history.cost, reference.cost, rtol=1e-10)


def test_on_a_cpu_large_steps_of_jax_are_called_one_by_one(monkeypatch):
    backend = open_backend("jax:cpu")
    from retroprop.backends import jax_backend

    monkeypatch.setattr(jax_backend, "SMALL", 10)
    monkeypatch.setattr(runs, "Run", None)  # which a run would make
    assert len(trained(backend, "float32")[1]) == 2


@pytest.mark.parametrize(
    ("windows", "many"),
    [
        ([slice(0, 4), slice(4, 8), slice(8, 10)], 2),
        ([slice(0, 4), slice(4, 8)], 2),
        ([slice(0, 4), slice(4, 7), slice(7, 10)], 0),
        ([slice(0, 10)], 0),
        ([slice(0, 4), slice(2, 6), slice(6, 10)], 0),
        ([slice(2, 5), slice(5, 8), slice(8, 10)], 2),
        ([], 0),
    ],
)
def test_batches_of_one_size_that_follow_one_another_are_a_run(windows, many):
    class Step:
        runs = True

        def run(self, parameters, state, hypers, data, rows, masks):
            assert rows.tolist() == [list(range(window.start, window.stop)) for window in windows[:many]]
            return parameters, state, np.zeros(len(hypers))

    net = rp.Network([4, 6, 3], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    batch = net.batch(X[:10], Y[:10])
    course = Course(net.parameters)
    found = list(runs.runs(net.backend, Step(), batch, None, windows, course, lambda t: (0.1,)))
    assert [run.steps for run in found] == ([many] if many else [])


def test_a_step_without_runs_makes_none():
    net = rp.Network([4, 6, 3], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    windows, step = [slice(0, 5), slice(5, 10)], CapturedStep(len, Operations(np))
    course, hyper = Course(net.parameters), pytest.fail  # no hyper-parameters are computed in vain
    assert list(runs.runs(net.backend, step, net.batch(X, Y), None, windows, course, hyper)) == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"precision": "half"}, "must be one of 'highest', 'tf32', 'bf16', not 'half'"),
        ({"precision": "tf32"}, "'tf32' is not available on numpy"),
    ],
)
def test_a_precision_that_is_not_to_be_had_is_an_error(options, match):
    net = rp.Network([4, 6, 3], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    with pytest.raises(ValueError, match=match):
        rp.fit(net, X, Y, epochs=1, **options)


def test_the_same_bits_twice(backend):
    if not backend.repeats() and backend.name != "cupy":
        with pytest.raises(ValueError, match="deterministic=True cannot be promised"):
            trained(backend, "float32", deterministic=True)
        return
    one, other = (trained(backend, "float32", deterministic=True)[0] for _ in range(2))
    for found, wanted in zip(one.parameters.leaves, other.parameters.leaves, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(found), backend.to_numpy(wanted))
