"""The seam: an operation that a backend overrides takes effect in `predict` and in `fit`, recorded or not."""

import logging
from collections import Counter
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from harness import assert_close, open_backend

import retroprop as rp
from retroprop.backends.backend import Backend
from retroprop.backends.numpy_backend import NumpyBackend
from retroprop.backends.record.graph import base_of
from retroprop.backends.record.recorder import form_of, record
from retroprop.core.operations import Operations
from retroprop.functions.activations import ReLU, Tanh
from retroprop.training import step as steps

X = np.linspace(-1.0, 1.0, 24).reshape(8, 3)
Y = np.linspace(0.0, 1.0, 16).reshape(8, 2)


class Counted(Operations):
    """The plain operations; each call is counted, and every activation is halved, so that an override is seen."""

    calls: ClassVar[Counter] = Counter()

    def affine(self, layer, a, theta, bias, activation, *, keep_z):
        Counted.calls["affine"] += 1
        z, a = super().affine(layer, a, theta, bias, activation, keep_z=keep_z)
        return z, a * 0.5

    def delta(self, layer, delta_next, theta, z, a, activation, mask):
        Counted.calls["delta"] += 1
        return super().delta(layer, delta_next, theta, z, a, activation, mask) * 0.5

    def gradient(self, layer, delta_next, a, *, has_bias):
        Counted.calls["gradient"] += 1
        return super().gradient(layer, delta_next, a, has_bias=has_bias)

    def gather(self, part, rows):
        Counted.calls["gather"] += 1
        return super().gather(part, rows)

    def update(self, rule, parameters, gradients, state, hyper):
        Counted.calls["update"] += 1
        return super().update(rule, parameters, gradients, state, hyper)


def counting(name):
    """Return the backend of a name with `Counted` operations."""
    kind = type(open_backend(name))

    class CountingBackend(kind):
        def operations(self):
            return Counted(self.xp, self.device)

    return CountingBackend.open(name.partition(":")[2] or None)


def trained(backend, **options):
    net = rp.Network([3, 5, 2], hidden="tanh", seed=0, dtype="float64", backend=backend)
    Counted.calls.clear()
    history = rp.fit(net, X, Y, optimizer="sgd", seed=0, epochs=3, **options)
    return net, history, dict(Counted.calls)


@pytest.mark.parametrize("numba", ["0", "1"])
@pytest.mark.parametrize("name", ["numpy", "torch:cpu"])
def test_an_override_is_recorded(name, numba, monkeypatch, caplog):
    """The override runs once, for the record, and its effect is in every step: the curve is that of the plain step."""
    monkeypatch.setenv("RETROPROP_NUMBA", numba)
    caplog.set_level(logging.INFO, "retroprop")
    net, history, calls = trained(counting(name), batch_size=4)
    assert not caplog.records, "the step is recorded"
    assert calls == {"affine": 2, "delta": 1, "gradient": 2, "gather": 3, "update": 1}
    monkeypatch.setattr(NumpyBackend, "capture", Backend.capture)
    plain, expected, calls = trained(counting("numpy"), batch_size=4)
    assert calls == {name: 6 * calls for name, calls in
                     {"affine": 2, "delta": 1, "gradient": 2, "gather": 3, "update": 1}.items()}  # fmt: skip
    np.testing.assert_allclose(history.cost, expected.cost, rtol=1e-12)
    ordinary = rp.fit(rp.Network([3, 5, 2], hidden="tanh", seed=0, dtype="float64", backend="numpy"), X, Y,
                      optimizer="sgd", seed=0, epochs=3, batch_size=4)  # fmt: skip
    assert abs(history.cost[0] - ordinary.cost[0]) > 1e-3, "an override that changed nothing would prove nothing"
    assert_close(net.predict(X), plain.predict(X), backend=net.backend, dtype="float64")


@pytest.mark.parametrize("name", ["array_api_strict:device1", "jax:cpu"])
def test_an_override_takes_effect_elsewhere(name):
    net, history, calls = trained(counting(name))
    assert min(calls.values()) >= 1
    expected = trained(counting("numpy"))[1]
    np.testing.assert_allclose(history.cost, expected.cost, rtol=1e-8)
    Counted.calls.clear()
    net.predict(X)
    assert Counted.calls["affine"] == 2


class Doubled(Operations):
    """A batch is gathered, and J weighed, otherwise."""

    penalty_fraction = 0.25

    def gather(self, part, rows):
        found = super().gather(part, rows)
        return found if found is None or found.ndim == 1 else found * 2.0


def by_class(kind):
    class Overriding(kind):
        def operations(self):
            return Doubled(self.xp, self.device)

    return Overriding


def on_the_object(kind):
    class Overriding(kind):
        def operations(self):
            operations = super().operations()
            operations.penalty_fraction = 0.25
            operations.gather = Doubled(self.xp, self.device).gather
            return operations

    return Overriding


@pytest.mark.parametrize("override", [by_class, on_the_object])
@pytest.mark.parametrize("name", ["numpy", "torch:cpu", "jax:cpu"])
def test_an_override_is_of_its_backend_alone(name, override, monkeypatch):
    """Plans and compiled steps are shared by trainings, but not with those of other operations: in any order."""
    kind, device = type(open_backend(name)), name.partition(":")[2] or None

    def cost(backend):
        net = rp.Network([3, 4, 2], hidden="tanh", seed=0, dtype="float64", backend=backend, l2=0.5)
        return rp.fit(net, X, Y, optimizer="sgd", seed=0, epochs=2, batch_size=4).cost

    found = [cost(k.open(device)) for k in (kind, override(kind), kind)]
    monkeypatch.setattr(NumpyBackend, "capture", Backend.capture)
    expected = [cost(k.open(None)) for k in (NumpyBackend, by_class(NumpyBackend), NumpyBackend)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert abs(found[0][0] - found[1][0]) > 1e-2


def test_operations_over_functions_of_their_own_are_not_recorded(caplog):
    """Symbols would take the place of the functions, and `fit` would train another network than `predict` shows."""

    class Rounding:
        def __getattr__(self, name):
            return getattr(np, name)

        def matmul(self, a, b):
            return np.matmul(np.round(a, 1), np.round(b, 1))

    class RoundingBackend(NumpyBackend):
        def operations(self):
            return Operations(Rounding(), self.device)

    caplog.set_level(logging.INFO, "retroprop")
    net = rp.Network([3, 5, 2], hidden="tanh", seed=0, dtype="float64", backend=RoundingBackend())
    before = float(net.cost(X, Y))
    assert rp.fit(net, X, Y, optimizer="sgd", epochs=1).cost == [before]
    assert "compute with functions of their own" in caplog.text


def test_an_override_that_cannot_be_recorded_runs_as_it_is_written(caplog, monkeypatch):
    class OnHost(Operations):
        def affine(self, layer, a, theta, bias, activation, *, keep_z):
            return super().affine(layer, np.round(np.asarray(a), 1), theta, bias, activation, keep_z=keep_z)

    class OnHostBackend(NumpyBackend):
        def operations(self):
            return OnHost(self.xp)

    def train():
        net = rp.Network([3, 2], seed=0, dtype="float64", backend=OnHostBackend())
        return rp.fit(net, X, Y, optimizer=rp.optimizers.SGD(0.1), epochs=2).cost

    caplog.set_level(logging.INFO, "retroprop")
    found = train()
    assert ["runs as it is written" in record.getMessage() for record in caplog.records] == [True]
    monkeypatch.setattr(NumpyBackend, "capture", Backend.capture)
    assert found == train()


def recording(**options):
    net = rp.Network([7, 5, 4, 3], hidden=["relu", "tanh"], output="softmax", loss="cross_entropy", backend="numpy")
    rule = rp.optimizers.Adam()
    data, rows = net.batch(np.ones((9, 7)), np.zeros(9, int)), np.arange(4)
    arguments = (net.parameters, rule.start(net.parameters, np.zeros_like), rule.hyper(1, 0.1), data, rows, None)
    return record(steps.step_of(net.architecture, rule, None, None), Operations(np), form_of(arguments), (0, 1)), rule


def test_nodes_keep_their_role():
    recorded, rule = recording()
    products = [(n.role.operation, n.role.layer) for n in recorded.graph if n.op == "matmul"]
    assert products == [("affine", 1), ("affine", 2), ("affine", 3), ("gradient", 3), ("delta", 2), ("gradient", 2),
                        ("delta", 1), ("gradient", 1)]  # fmt: skip
    for one in recorded.operations:
        results = one.results if isinstance(one.results, tuple) else (one.results,)
        for node in results:
            if hasattr(node, "op") and one.role.operation in ("affine", "delta", "gradient"):
                assert base_of(node).role == one.role
    functions = {(one.role.operation, one.role.layer): one.role.function for one in recorded.operations}
    assert isinstance(functions["affine", 1], ReLU)
    assert isinstance(functions["delta", 2], Tanh)
    assert functions["update", 0] == rule.formula
    assert functions["gradient", 1] is None
    assert {n.role.operation for n in recorded.graph if n.role} >= {"gather", "affine", "output", "delta", "update"}


def test_a_recorded_operation_has_its_arguments_and_results():
    recorded, _ = recording()
    affine = [one for one in recorded.operations if one.role.operation == "affine"]
    assert [set(one.arguments) >= {"layer", "a", "theta", "bias", "activation"} for one in affine] == [True] * 3
    for before, after in pairwise(affine):
        assert after.arguments["a"] is before.results[1]
    gradient = {one.role.layer: one for one in recorded.operations if one.role.operation == "gradient"}
    assert gradient[2].results[0].op == "matmul"
    assert gradient[2].results[1].op == "sum"
