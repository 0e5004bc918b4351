"""The course of a training: a value that is all there is to it, and epochs whose work outside the step is constant."""

from collections import Counter
from types import FunctionType, ModuleType

import numpy as np
import pytest
from sklearn.datasets import load_iris

import retroprop as rp
from retroprop.backends import host_backend
from retroprop.backends.numpy_backend import NumpyBackend
from retroprop.core.parameters import Parameters
from retroprop.estimators import MLPClassifier
from retroprop.functions import schedules
from retroprop.training import optimizers
from retroprop.training.batches import Minibatches, mask_stream
from retroprop.training.course import Course, copied
from retroprop.training.epoch import Epochs
from retroprop.training.rows import source_of
from retroprop.training.step import bind

RNG = np.random.default_rng(5)
X, Y, W = RNG.normal(size=(23, 3)), RNG.normal(size=(23, 2)), RNG.random(23)
PLATEAU = schedules.ReduceOnPlateau(0.05, factor=0.5, patience=0, tol=10.0)


def epochs_of(net):
    """Return the epochs of a training."""
    backend, rule = net.backend, optimizers.Adam(schedules.Warmup(2, PLATEAU))
    rng, own = np.random.default_rng(7), copied(net.parameters, backend.xp)
    return Epochs(
        backend,
        bind(backend, net.architecture, rule),
        rule,
        source=source_of(backend, net.batch(X, Y, None)),
        order=Minibatches(len(X), 5, shuffle=True),
        schedule=schedules.get(rule.learning_rate).start(),
        rng=rng,
        masks=mask_stream(backend, net.architecture, net.dtype, rng),
        course=Course(own, rule.start(own, backend.xp.zeros_like)),
    )


def trained(machine, epochs):
    """Return the costs of each epoch."""
    found = []
    while machine.course.epoch < epochs:
        with machine.backend.active():
            found.append(machine.run().cost)
        machine.schedule.observe(found[-1])
        machine.course = machine.course._replace(schedule=machine.schedule.run_state)
    return found


def network(backend="numpy", **options):
    return rp.Network([3, 6, 4, 2], hidden="tanh", dropout=0.2, seed=1, dtype="float64", backend=backend, **options)


def same(left, right, backend):
    for one, other in zip(left.leaves, right.leaves, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))


def test_a_course_does_not_change():
    net = network()
    machine = epochs_of(net)
    trained(machine, 1)
    before, kept = machine.course, machine.course._replace()
    last = machine.course.last.copy()
    trained(machine, 3)
    assert before == kept
    np.testing.assert_array_equal(before.last, last)
    with pytest.raises(AttributeError):
        before.epoch = 3


# Work outside the step --------------------------------------------------------------------------------------------


class Counting(ModuleType):
    """NumPy's namespace, counting its calls."""

    def __init__(self):
        super().__init__("numpy")
        self.calls = Counter()

    def __getattr__(self, name):
        found = getattr(np, name)
        if not isinstance(found, (FunctionType, np.ufunc)) and type(found).__name__ != "builtin_function_or_method":
            return found if not callable(found) or isinstance(found, type) else self._counted(name, found)
        return self._counted(name, found)

    def _counted(self, name, function):
        def call(*arguments, **options):
            self.calls[name] += 1
            return function(*arguments, **options)

        return call


@pytest.fixture
def counted(monkeypatch):
    """Count the calls of the library outside of captured steps, and the waits for the device."""
    counting, to_numpy = Counting(), NumpyBackend.to_numpy

    def waits(backend, array):
        counting.calls["to_numpy"] += 1
        return to_numpy(backend, array)

    monkeypatch.setattr(host_backend(), "xp", counting)
    monkeypatch.setattr(NumpyBackend, "to_numpy", waits)
    return counting.calls


def calls_per_epoch(calls, fit):
    """Return the calls of each kind an epoch: of 12 epochs without those of 2."""
    found = []
    for epochs in (2, 12):
        calls.clear()
        fit(epochs)
        found.append(Counter(calls))
    found[1].subtract(found[0])
    return {name: n / 10 for name, n in found[1].items() if n}


@pytest.mark.parametrize("options", [{}, {"sample_weight": W, "clip_norm": 1.0},
                                     {"early_stopping": rp.EarlyStopping(monitor="cost", patience=99)}])  # fmt: skip
def test_a_full_batch_epoch_calls_the_library_as_often_whatever_the_number_of_layers(options, counted):
    def fit(sizes, epochs):
        net = rp.Network(sizes, seed=0, backend=host_backend())
        assert len(rp.fit(net, X, Y, epochs=epochs, **options)) == epochs

    shallow = calls_per_epoch(counted, lambda epochs: fit([3, 4, 2], epochs))
    deep = calls_per_epoch(counted, lambda epochs: fit([3, *[4] * 8, 2], epochs))
    assert deep == shallow
    # One copy of all parameters, one check of them, one transfer of the costs.
    expected = {"concat": 2, "isfinite": 1, "all": 1, "astype": 1, "to_numpy": 1}
    assert shallow == (expected | {"sum": 1} if "sample_weight" in options else expected)


def test_nor_does_an_epoch_of_an_estimator_count_layers(counted):
    x, y = load_iris(return_X_y=True)

    def fit(hidden, epochs):
        with pytest.warns(UserWarning, match="Maximum iterations"):
            MLPClassifier(hidden, batch_size=150, max_iter=epochs, shuffle=False, random_state=0).fit(x, y)

    shallow = calls_per_epoch(counted, lambda epochs: fit((4,), epochs))
    assert shallow == calls_per_epoch(counted, lambda epochs: fit((4,) * 8, epochs))
    assert shallow == {"concat": 2, "isfinite": 1, "all": 1, "astype": 1, "to_numpy": 1}


def test_joined_parameters_are_separated_into_the_same(backend):
    from retroprop.core.parameters import joined, separated

    net = network(backend)
    xp = net.backend.xp
    with net.backend.active():
        flat = joined(net.parameters, xp)
        found = separated(flat, net.parameters.shapes, xp)
    assert flat.shape == (net.n_parameters,)
    assert isinstance(found, Parameters)
    same(found, net.parameters, net.backend)
