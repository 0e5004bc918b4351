"""The groups of fit_many: which trainings they hold, what they leave out and in memory, and what ends one of them."""

import logging
import re
import tracemalloc

import numpy as np
import pytest
from test_many_equal import WEIGHT, X, alone, assert_equal, numbers

import retroprop as rp
from retroprop.training.many import grouping, parts, running, stacked_course
from retroprop.training.many.group import Group
from retroprop.training.preparation import Options, prepared

SGD, ADAM = rp.optimizers.SGD, rp.optimizers.Adam
Y = np.stack([np.sin(X[:, 0]), X[:, 1]], axis=1)


def networks(k=4, **options):
    options = {"hidden": "tanh", "dtype": "float64", "backend": "numpy", **options}
    return [rp.Network([3, 5, 2], seed=i, **options) for i in range(k)]


@pytest.fixture
def sizes(monkeypatch):
    """The number of networks of each group that was trained."""
    found, run = [], Group.run

    def counted(group):
        found.append(len(group.course.members))
        return run(group)

    monkeypatch.setattr(Group, "run", counted)
    return found


def both(options, k=4, x=X, y=Y, **network):
    """Train k networks together and one by one, and compare."""
    many, single = networks(k, **network), networks(k, **network)
    histories = rp.fit_many(many, x, y, **options)
    assert_equal(many, histories, single, [alone(net, x, y, options, i) for i, net in enumerate(single)])
    return histories


def test_one_that_diverges_or_stops_changes_nothing_for_the_others(sizes):
    rates = [SGD(0.02), SGD(1e200), SGD(0.05), SGD(1e160)]
    stopping = [rp.EarlyStopping(monitor="cost", patience=1, tol=0.5), None, None, rp.EarlyStopping(monitor="cost")]
    histories = both(
        {"optimizer": rates, "epochs": 9, "batch_size": 10, "seed": [1, 2, 3, 4], "early_stopping": stopping}
    )
    assert sizes == [4]
    assert [one.stop_reason for one in histories] == ["early_stopping", "diverged", "epochs", "diverged"]
    assert histories[1].error.history is histories[1]
    # In the company of others a network has the numbers that it has in other company.
    few = networks()[2:3] + networks()[:1]
    rp.fit_many(few, X, Y, optimizer=[SGD(0.05), SGD(0.02)], epochs=9, batch_size=10, seed=[3, 1])
    full = networks()
    rp.fit_many(full, X, Y, optimizer=rates, epochs=9, batch_size=10, seed=[1, 2, 3, 4], early_stopping=stopping)
    np.testing.assert_allclose(numbers(few[0]), numbers(full[2]), rtol=1e-12, atol=1e-14)


def test_those_that_have_ended_are_taken_out_of_the_arrays(monkeypatch, sizes):
    shrunk, shrink = [], stacked_course.StackedCourse.shrink

    def counted(course):
        shrink(course)
        shrunk.append(course.parameters.shape[0])

    monkeypatch.setattr(stacked_course.StackedCourse, "shrink", counted)
    options = {"epochs": [1, 2, 3, 4, 5, 6, 7, 8], "batch_size": [9] * 8, "seed": list(range(8)), "metrics": "r2"}
    options["rows"] = [np.flatnonzero(np.arange(37) % 8 != k) for k in range(8)]
    both(options, k=8)
    assert shrunk == [4, 2, 1]


def test_a_data_set_for_each_network(sizes):
    x = [X, X[::-1].copy(), X[:30], X]
    y = [Y, Y[::-1].copy(), Y[:30], 2.0 * Y]
    options = {"epochs": 3, "batch_size": 10, "seed": [0, 1, 2, 3], "optimizer": "adam"}
    many, single = networks(l2=1e-3), networks(l2=1e-3)
    histories = rp.fit_many(many, x, y, **options)
    others = [rp.fit(net, x[k], y[k], **options | {"seed": k}) for k, net in enumerate(single)]
    assert_equal(many, histories, single, others)
    assert sizes == [4]


def test_networks_of_two_forms_are_two_groups(sizes):
    nets = [*networks(3), *networks(2, hidden="relu")]
    rp.fit_many(nets, X, Y, epochs=1)
    assert sorted(sizes) == [2, 3]


class Quiet:
    """A callback that does nothing."""

    def on_fit_end(self, state):
        pass


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"optimizer": ["lbfgs", "adam", "adam", "adam"]}, r"optimizer='lbfgs' cannot be batched: .* 0$"),
        ({"callbacks": [[], [], [Quiet()], []]}, r"callbacks cannot be batched: .* 2$"),
        ({"seed": np.random.default_rng(0)}, r"one generator as the seed of several cannot be batched: .* 0, 1, 2, 3$"),
    ],
)
def test_options_that_cannot_be_batched_are_named(options, named, caplog):
    with caplog.at_level(logging.INFO, "retroprop"):
        histories = rp.fit_many(networks(), X, Y, epochs=2, **options)
    assert [len(one) for one in histories] == [2] * 4
    assert any(re.search(named, message) for message in caplog.messages)


def test_large_batches_are_trained_one_by_one(sizes, monkeypatch):
    backend = networks(1)[0].backend
    monkeypatch.setattr(type(backend), "stacked", 37 * 10.0)
    rp.fit_many(networks(), X, Y, epochs=1)
    assert sizes == [4]
    monkeypatch.setattr(type(backend), "stacked", 37 * 10.0 - 1.0)
    rp.fit_many(networks(), X, Y, epochs=1)
    assert sizes == [4]


def test_a_budget_of_memory_cuts_a_group(monkeypatch, sizes):
    assert parts.cut(list(range(7)), [60_000] * 7, 3 * 60_000) == [[0, 1], [2, 3], [4, 5, 6]]
    nets = networks(7)
    budget = 3 * parts.bytes_of(prepared(nets[0], X, Y, Options(batch_size=10)))
    monkeypatch.setattr(running, "arranged", lambda given: grouping.arranged(given, budget))
    rp.fit_many(nets, X, Y, epochs=2, batch_size=10, seed=range(7))
    assert sizes == [2, 2, 3]
    single = networks(7)
    for k, net in enumerate(single):
        rp.fit(net, X, Y, epochs=2, batch_size=10, seed=k)
        np.testing.assert_allclose(numbers(nets[k]), numbers(net), rtol=1e-12, atol=1e-14)


class EndsIt(rp.schedules.Schedule):
    """Ctrl-C at an update."""

    def __init__(self, at):
        self.at = at

    def __call__(self, t):
        if t == self.at:
            raise KeyboardInterrupt
        return 0.05


def test_ctrl_c_returns_what_has_ended():
    nets, single = networks(), networks()
    rates = [0.05, EndsIt(9), 0.05, 0.05]
    histories = rp.fit_many(
        nets, X, Y, optimizer=[SGD(rate) for rate in rates], epochs=[1, 5, 5, 2], batch_size=10, seed=0
    )
    assert [one.stop_reason for one in histories] == ["epochs", "interrupted", "interrupted", "epochs"]
    assert [len(one) for one in histories] == [1, 2, 2, 2]
    rp.fit(single[3], X, Y, optimizer=SGD(0.05), epochs=2, batch_size=10, seed=0)
    np.testing.assert_allclose(numbers(nets[3]), numbers(single[3]), rtol=1e-12, atol=1e-14)


def test_the_data_are_held_once():
    m, k = 40_000, 24
    x, y = np.ones((m, 8), "float32"), np.zeros((m, 1), "float32")
    nets = [rp.Network([8, 2, 1], seed=i, backend="numpy") for i in range(k)]
    rows = [np.arange(64) + i for i in range(k)]
    rp.fit_many(nets, x, y, epochs=1, batch_size=32, rows=rows)
    tracemalloc.start()
    rp.fit_many(nets, x, y, epochs=1, batch_size=32, rows=rows, sample_weight=np.ones(m, "float32"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One copy of the data would be 1.3 MB, one of each network 31 MB; checks of the values take a copy of a part.
    assert peak < 2.0 * (x.nbytes + y.nbytes)


def test_equal_orders_are_gathered_once(monkeypatch):
    seen, step = [], Group._step

    def looked(group, portion, t):
        seen.append(portion.rows.ndim)
        return step(group, portion, t)

    monkeypatch.setattr(Group, "_step", looked)
    both({"epochs": 2, "batch_size": 10, "seed": 3, "sample_weight": WEIGHT})
    assert set(seen) == {2}


@pytest.mark.needs("jax:cpu")
def test_consecutive_steps_are_one_call_where_the_library_can(sizes, monkeypatch):
    ran, run = [], Group._run

    def counted(group, portion):
        done = run(group, portion)
        ran.append((portion.steps, done))
        return done

    monkeypatch.setattr(Group, "_run", counted)
    both({"epochs": 2, "batch_size": 10, "seed": [0, 1, 2, 3], "optimizer": "adam"}, backend="jax")
    assert ran == [(3, True), (1, False)] * 2
