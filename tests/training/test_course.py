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


class Key:
    """A generator that draws the key of the masks of another training."""

    def __init__(self, key):
        self.key = key

    def bytes(self, n):
        return b"".join(word.to_bytes(n // 2, "little") for word in self.key)


class StoppedError(Exception):
    """Ends a training within an epoch."""


def epochs_of(net, *, course=None, weighted=False, rule=None, advance=lambda rows: None, collects=False):
    """Return the epochs of a training, from its start or from a course."""
    backend, rule = net.backend, rule or optimizers.Adam(schedules.Warmup(2, PLATEAU))
    rng = np.random.default_rng(7)
    masks = mask_stream(backend, net.architecture, net.dtype, rng if course is None else Key(course.mask_key))
    schedule = schedules.get(rule.learning_rate).start()
    if course is None:
        own = copied(net.parameters, backend.xp)
        course = Course(own, rule.start(own, backend.xp.zeros_like))
    else:
        rng = np.random.default_rng(0)
        rng.bit_generator.state = course.generator
        schedule = schedules.get(rule.learning_rate).start(course.schedule)
    return Epochs(
        backend,
        bind(backend, net.architecture, rule),
        rule,
        source=source_of(backend, net.batch(X, Y, W if weighted else None)),
        order=Minibatches(len(X), 5, shuffle=True),
        schedule=schedule,
        rng=rng,
        masks=masks,
        course=course,
        advance=advance,
        collects=collects,
    )


def stored(value, backend):
    """Return a course as it would lie on a disk, read again: nothing is shared with the training."""
    if isinstance(value, tuple):
        parts = [stored(part, backend) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, np.ndarray) and value.dtype.kind == "i":
        return value.copy()  # the order, which is on the host
    if hasattr(value, "shape"):
        return backend.asarray(np.array(backend.to_numpy(value)))
    assert value is None or isinstance(value, (int, float, dict)), value
    return value


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


@pytest.mark.parametrize("weighted", [False, True])
def test_a_training_goes_on_from_its_course_bit_for_bit(weighted, backend):
    net = network(backend)
    whole = epochs_of(net, weighted=weighted)
    costs = trained(whole, 5)
    first = epochs_of(net, weighted=weighted)
    begun = trained(first, 2)
    second = epochs_of(net, course=stored(first.course, backend), weighted=weighted)
    assert begun + trained(second, 5) == costs
    same(second.course.parameters, whole.course.parameters, backend)
    for one, other in zip(second.course.state, whole.course.state, strict=True):
        same(one, other, backend)
    assert second.course.schedule == whole.course.schedule != PLATEAU.run_state
    assert second.course.n_updates == whole.course.n_updates == 25


@pytest.mark.parametrize("collects", [False, True])
@pytest.mark.parametrize("at", [1, 4])
def test_and_from_the_middle_of_an_epoch(at, collects, backend):
    net, calls = network(backend), Counter()
    whole = epochs_of(net, weighted=True, collects=collects)
    costs = trained(whole, 3)

    def advance(rows):
        calls["rows"] += rows
        if calls["rows"] >= len(X) + 5 * at:
            raise StoppedError

    first = epochs_of(net, weighted=True, advance=advance, collects=collects)
    with pytest.raises(StoppedError):
        trained(first, 3)
    course = first.course
    assert course.epoch == 1
    assert course.n_batches == (4 if backend.name == "jax" and not collects else at)  # which does four in one call
    assert course.n_updates == 5 + course.n_batches
    assert len(course.batch_sizes) == course.n_batches
    assert len(course.seen) == (course.n_batches if collects else 0)
    second = epochs_of(net, course=stored(course, backend), weighted=True, collects=collects)
    assert trained(second, 3) == costs[course.epoch :]
    same(second.course.parameters, whole.course.parameters, backend)


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
