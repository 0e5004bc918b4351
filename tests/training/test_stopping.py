"""What watches and ends a training: callbacks, early stopping, divergence, Ctrl-C. Nothing computed is lost."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.cpu.numpy_calls import BLOCK, NumpyCalls
from retroprop.functions import schedules
from retroprop.training import DivergenceError

SGD = rp.optimizers.SGD
RNG = np.random.default_rng(21)
X = RNG.normal(size=(12, 2))
Y = X[:, :1] - 0.5 * X[:, 1:] + 0.1 * RNG.normal(size=(12, 1))


def network(backend="numpy", **options):
    return rp.Network([2, 3, 1], hidden="tanh", seed=1, dtype="float64", backend=backend, **options)


def numbers(net):
    return [net.backend.to_numpy(leaf).copy() for leaf in net.parameters.leaves]


def equal(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def lengths(history):
    """Return the lengths of the lists that have one number an epoch."""
    return {len(history.cost), len(history.learning_rate), len(history.seconds), *map(len, history.metrics.values())}


class Scripted:
    """A metric that follows a script, so that early stopping can be worked out by hand."""

    name = "scripted"

    def __init__(self, values, *, up):
        self.values, self.greater_is_better = iter(values), up

    def __call__(self, a, y, weight, xp):
        return xp.mean(a) * 0.0 + next(self.values)


class Keeper:
    """Keeps the parameters of every epoch."""

    def __init__(self):
        self.kept = []

    def on_epoch_end(self, state):
        self.kept.append(numbers(state.network))


# Callbacks --------------------------------------------------------------------------------------------------------


def test_callbacks_are_called_in_order_with_the_state():
    calls = []

    class Scribe:
        def __init__(self, name):
            self.name = name

        def on_fit_begin(self, state):
            calls.append((self.name, "begin", state.epoch, state.epochs, state.n_updates, len(state.history)))

        def on_epoch_end(self, state):
            calls.append((self.name, "epoch", state.epoch, state.epochs, state.n_updates, len(state.history)))

        def on_fit_end(self, state):
            calls.append((self.name, "end", state.epoch, state.epochs, state.n_updates, len(state.history)))

    class OnlyTheEnd:
        def on_fit_end(self, state):
            calls.append(("last", "end", state.epoch))

    rp.fit(network(), X, Y, epochs=2, batch_size=5, callbacks=[Scribe("a"), Scribe("b"), OnlyTheEnd()])
    assert calls == [
        ("a", "begin", 0, 2, 0, 0), ("b", "begin", 0, 2, 0, 0),
        ("a", "epoch", 1, 2, 3, 1), ("b", "epoch", 1, 2, 3, 1),
        ("a", "epoch", 2, 2, 6, 2), ("b", "epoch", 2, 2, 6, 2),
        ("a", "end", 2, 2, 6, 2), ("b", "end", 2, 2, 6, 2), ("last", "end", 2),
    ]  # fmt: skip


def test_a_callback_sees_the_parameters_as_they_stand(backend):
    net, keeper, costs = network(backend), Keeper(), []

    class Cost:
        def on_epoch_end(self, state):
            assert state.network is net
            costs.append(float(state.network.to("numpy").cost(X, Y)))

    history = rp.fit(net, X, Y, optimizer=SGD(0.1), epochs=3, callbacks=[keeper, Cost()])
    # full batch: the cost before update k + 1 is that after update k
    assert history.cost[1:] == pytest.approx(costs[:-1], rel=1e-13)
    assert equal(keeper.kept[-1], numbers(net))
    assert not equal(keeper.kept[0], keeper.kept[1])


def test_true_stops_after_all_were_called_and_nothing_else_does():
    seen = []

    class Answers:
        def __init__(self, answer):
            self.answer = answer

        def on_epoch_end(self, state):
            seen.append(state.epoch)
            return self.answer if state.epoch == 2 else None

    history = rp.fit(network(), X, Y, epochs=5, callbacks=[Answers(True), Answers(None)])
    assert (len(history), history.stop_reason, seen) == (2, "callback", [1, 1, 2, 2])
    history = rp.fit(network(), X, Y, epochs=4, callbacks=[Answers(1), Answers("yes"), Answers(False)])
    assert (len(history), history.stop_reason) == (4, "epochs")


def test_the_true_of_numpy_stops_too():
    class Below:
        def on_epoch_end(self, state):
            return np.asarray(state.history.cost).min() < 1e9

    assert len(rp.fit(network(), X, Y, epochs=5, callbacks=[Below()])) == 1


def test_an_error_in_a_callback_comes_through_and_the_network_keeps_what_it_has_learned():
    class Fails:
        def on_epoch_end(self, state):
            if state.epoch == 2:
                raise RuntimeError("mine")

    net, twin = network(), network()
    with pytest.raises(RuntimeError, match="mine"):
        rp.fit(net, X, Y, epochs=5, callbacks=[Fails()])
    rp.fit(twin, X, Y, epochs=2)
    assert equal(numbers(net), numbers(twin))


# Early stopping ---------------------------------------------------------------------------------------------------


def stopped(values, *, up=False, epochs=None, **rule):
    """Return the history, the parameters of each epoch and those at the end."""
    net, keeper = network(), Keeper()
    history = rp.fit(
        net, X, Y, optimizer=SGD(0.01), epochs=epochs or len(values), metrics=[Scripted(values, up=up)],
        validation_data=(X, Y), callbacks=[keeper], early_stopping=rp.EarlyStopping(monitor="scripted", **rule),
    )  # fmt: skip
    return history, keeper.kept, numbers(net)


def test_patience_counts_epochs_in_a_row_without_improvement():
    values = [5.0, 4.0, 4.5, 4.2, 3.0, 3.5, 3.4, 3.3, 9.0, 9.0]
    history, kept, final = stopped(values, patience=3, tol=0.0)
    assert len(history) == 8
    assert history.stop_reason == "early_stopping"
    assert history.best_epoch == 5
    assert history.metrics["scripted"] == values[:8]
    assert equal(final, kept[4])


def test_a_patience_of_1_stops_at_the_first_epoch_that_is_no_better():
    history, kept, final = stopped([5.0, 4.0, 4.0, 1.0], patience=1, tol=0.0)
    assert (len(history), history.best_epoch) == (3, 2)
    assert equal(final, kept[1])


def test_greater_is_better_where_the_metric_says_so():
    history, kept, final = stopped([0.1, 0.5, 0.4, 0.3, 0.9], up=True, patience=2, tol=0.0)
    assert (len(history), history.best_epoch) == (4, 2)
    assert equal(final, kept[1])


def test_an_improvement_within_tol_is_waited_for_in_vain_but_is_the_best():
    history, kept, final = stopped([5.0, 4.95, 4.9, 4.85, 4.0], patience=3, tol=0.1)
    assert (len(history), history.best_epoch) == (4, 4)
    assert equal(final, kept[3])


def test_without_restoring_the_last_parameters_stay():
    history, kept, final = stopped([5.0, 4.0, 4.5, 4.6], patience=2, tol=0.0, restore_best=False)
    assert len(history) == 4
    assert history.best_epoch is None
    assert equal(final, kept[3])
    assert not equal(final, kept[1])


def test_the_best_is_restored_when_the_epochs_run_out_too():
    history, kept, final = stopped([5.0, 1.0, 2.0, 3.0], patience=100, tol=0.0)
    assert (len(history), history.stop_reason, history.best_epoch) == (4, "epochs", 2)
    assert equal(final, kept[1])


def test_on_fit_end_sees_the_restored_parameters():
    net, keeper = network(), Keeper()

    class AtTheEnd:
        def on_fit_end(self, state):
            assert equal(numbers(state.network), keeper.kept[0])
            assert state.history.best_epoch == 1

    rp.fit(
        net, X, Y, epochs=3, metrics=[Scripted([1.0, 2.0, 3.0], up=False)],
        validation_data=(X, Y), callbacks=[keeper, AtTheEnd()],
        early_stopping=rp.EarlyStopping(monitor="scripted", patience=2),
    )  # fmt: skip


def test_an_epoch_a_callback_stops_at_may_be_the_best():
    net, keeper = network(), Keeper()

    class AtTheThird:
        def on_epoch_end(self, state):
            return state.epoch == 3

    history = rp.fit(
        net, X, Y, epochs=9, metrics=[Scripted([3.0, 2.0, 1.0, 0.0], up=False)],
        validation_data=(X, Y), callbacks=[keeper, AtTheThird()],
        early_stopping=rp.EarlyStopping(monitor="scripted"),
    )  # fmt: skip
    assert history.stop_reason == "callback"
    assert history.best_epoch == 3
    assert equal(numbers(net), keeper.kept[2])


def test_a_figure_of_one_step_restores_what_it_was_measured_at():
    """The full batch: the cost of an epoch is that of the parameters before its only update."""
    net = network()
    history = rp.fit(
        net, X, Y, optimizer=SGD(3.0), epochs=30,
        early_stopping=rp.EarlyStopping(monitor="cost", patience=30, tol=0.0),
    )  # fmt: skip
    best = int(np.argmin(history.cost))
    assert history.best_epoch == best + 1
    assert float(net.cost(X, Y)) == pytest.approx(history.cost[best], rel=1e-14)


def test_a_divergence_does_not_lose_the_best_parameters():
    net = rp.Network([2, 3, 1], hidden="identity", seed=1, dtype="float64", backend="numpy")
    keeper = Keeper()
    with pytest.raises(DivergenceError, match="the best epoch, 4") as caught:
        rp.fit(net, X, Y, optimizer=SGD(Jump(4)), epochs=9, validation_data=(X, Y), callbacks=[keeper],
               early_stopping=rp.EarlyStopping())  # fmt: skip
    assert caught.value.history.best_epoch == 4
    assert equal(numbers(net), keeper.kept[3])


def test_parameters_a_callback_gives_the_network_are_trained_on(backend):
    net, twin = network(backend), network(backend)

    class Zero:
        def on_fit_begin(self, state):
            state.network.thetas = [theta * 0.0 for theta in state.network.thetas]

        def on_epoch_end(self, state):
            self.on_fit_begin(state)

    history = rp.fit(net, X, Y, optimizer=SGD(0.0001), epochs=3, callbacks=[Zero()])
    twin.thetas = [theta * 0.0 for theta in twin.thetas]
    assert history.cost[0] == pytest.approx(float(backend.to_numpy(twin.cost(X, Y))), rel=1e-14)
    assert all((theta == 0).all() for theta in numbers(net)[:2])


def test_validation_cost_is_monitored_by_default(backend):
    # the validation targets are far from the data's: learning makes that cost worse from some epoch on
    net = network(backend)
    history = rp.fit(
        net, X, Y, optimizer=SGD(0.3), epochs=60, validation_data=(X, -Y),
        early_stopping=rp.EarlyStopping(patience=3, tol=0.0),
    )  # fmt: skip
    assert history.stop_reason == "early_stopping"
    best = int(np.argmin(history.validation_cost))
    assert history.best_epoch == best + 1
    assert len(history) == best + 4
    restored = float(net.to("numpy").cost(X, -Y))
    assert restored == pytest.approx(history.validation_cost[best], rel=1e-13)


def test_descent_until_the_cost_converges():
    # one weight, J = ½ θ², θ ← θ/2: J falls by ¾ of itself each epoch, from ½
    net = rp.Network.from_parameters([[[1.0]]], dtype="float64", backend="numpy")
    history = rp.fit(
        net, [[1.0]], [0.0], optimizer=SGD(0.5), epochs=1000,
        early_stopping=rp.EarlyStopping(monitor="cost", patience=1, tol=1e-3),
    )  # fmt: skip
    # 2^−1, 2^−3, ..., 2^−13: the fall from 2^−9 to 2^−11 is 1.5e-3, the next, to 2^−13, less than 1e-3
    assert history.cost == [2.0 ** -(2 * k + 1) for k in range(7)]
    assert history.stop_reason == "early_stopping"


def test_a_cost_that_is_watched_and_missing_is_an_error_before_any_work():
    for monitor in ("validation_cost", "accuracy", "validation_r2"):
        with pytest.raises(ValueError, match=monitor):
            rp.fit(network(), X, Y, metrics=["r2"], early_stopping=rp.EarlyStopping(monitor=monitor))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"patience": 0}, "patience"),
        ({"patience": 2.5}, "patience"),
        ({"tol": -1.0}, "tol"),
        ({"tol": float("nan")}, "tol"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        rp.EarlyStopping(**options)


def test_a_rule_may_be_used_twice():
    rule = rp.EarlyStopping(monitor="scripted", patience=2, tol=0.0)
    for _ in range(2):
        history = rp.fit(
            network(), X, Y, epochs=9, metrics=[Scripted([3.0, 2.0, 2.5, 2.5, 0.0], up=False)], early_stopping=rule
        )
        assert (len(history), history.best_epoch) == (4, 2)


# Divergence -------------------------------------------------------------------------------------------------------


class Jump(schedules.Schedule):
    """A learning rate that is good, until update `at`."""

    def __init__(self, at, *, rate=1e-3, jump=1e308):
        self.at, self.rate, self.jump = at, rate, jump

    def __call__(self, t):
        return self.jump if t == self.at else self.rate


def test_a_divergence_says_where_and_what_to_do_and_loses_nothing(backend):
    # 12 rows by 4, three batches an epoch: update 7 (the second of epoch 3) is the one too far, so the third's cost
    # is not finite
    net, twin, keeper = network(backend), network(backend), Keeper()
    options = {"batch_size": 4, "seed": 0}
    linear = {"hidden": "identity"}
    net = rp.Network([2, 3, 1], seed=1, dtype="float64", backend=backend, **linear)
    twin = rp.Network([2, 3, 1], seed=1, dtype="float64", backend=backend, **linear)
    with pytest.raises(DivergenceError) as caught:
        rp.fit(net, X, Y, optimizer=SGD(Jump(7)), epochs=5, callbacks=[keeper], metrics=["r2"], **options)
    error = caught.value
    assert (error.epoch, error.batch) == (3, 3)
    message = str(error)
    for part in ("epoch 3", "batch 3 of 3", "learning_rate", "clip_norm", "standardise"):
        assert part in message
    before = rp.fit(twin, X, Y, optimizer=SGD(1e-3), epochs=2, **options)
    assert error.history.cost == before.cost
    assert error.history.stop_reason == "diverged"
    assert lengths(error.history) == {2}
    # the parameters of the end of epoch 2, the last that were good
    assert equal(numbers(net), numbers(twin))
    assert equal(numbers(net), keeper.kept[-1])
    assert len(keeper.kept) == 2


def test_a_divergence_in_the_first_epoch_leaves_the_network_as_it_started():
    net = rp.Network([2, 3, 1], hidden="identity", seed=1, backend="numpy")
    before = numbers(net)
    with pytest.raises(DivergenceError) as caught:
        rp.fit(net, X, Y, optimizer=SGD(1e30), epochs=3, batch_size=4)
    assert caught.value.epoch == 1
    assert caught.value.history.cost == []
    assert equal(numbers(net), before)


def test_parameters_that_are_not_finite_after_the_last_update_are_found_too():
    # the only update overflows: its cost was still finite
    net = rp.Network.from_parameters([[[1.0]]], dtype="float32", backend="numpy")
    with pytest.raises(DivergenceError):
        rp.fit(net, [[1e3]], [0.0], optimizer=SGD(1e38), epochs=1)
    assert float(net.thetas[0][0, 0]) == 1.0


def test_a_divergence_of_the_validation_cost_is_found_too():
    # parameters and costs are finite, the validation data overflow: NaN or inf must not go on silently
    net = rp.Network.from_parameters([[[1.0]]], dtype="float32", backend="numpy")
    with pytest.raises(DivergenceError, match="validation"):
        rp.fit(net, [[1.0]], [0.0], optimizer=SGD(0.1), epochs=2, validation_data=([[1e30]], [0.0]))


def test_a_divergence_is_an_arithmetic_error_and_warns_of_nothing(backend):
    net = rp.Network([2, 3, 1], hidden="relu", seed=1, dtype="float32", backend=backend)
    with pytest.raises(ArithmeticError):
        rp.fit(net, 100.0 * X, Y, optimizer=SGD(1e15), epochs=5, batch_size=3)


@pytest.mark.parametrize("size", [None, 4])
def test_what_is_kept_after_a_divergence_is_a_network_that_works(size):
    # The last update of an epoch is the one too far: its parameters are finite, and the next epoch's first cost is not.
    # With the full batch every divergence is of this kind.
    net, keeper = rp.Network([2, 3, 1], hidden="identity", seed=1, dtype="float64", backend="numpy"), Keeper()
    last = 4 if size is None else 14
    with pytest.raises(DivergenceError) as caught:
        rp.fit(net, X, Y, optimizer=SGD(Jump(last, jump=1e200)), epochs=9, batch_size=size, seed=0, callbacks=[keeper])
    assert caught.value.epoch == 6
    assert caught.value.batch == 1
    with np.errstate(all="ignore"):
        assert np.isfinite(float(net.cost(X, Y)))
    assert equal(numbers(net), keeper.kept[3])


def test_after_a_divergence_the_history_holds_finite_numbers():
    net = rp.Network([2, 3, 1], hidden="identity", seed=1, dtype="float64", backend="numpy")
    with pytest.raises(DivergenceError) as caught:
        rp.fit(net, X, Y, optimizer=SGD(Jump(4)), epochs=9, validation_data=(X, Y), metrics=["r2"])
    history = caught.value.history
    assert np.all(np.isfinite([*history.cost, *history.validation_cost, *history.metrics["r2"]]))


# Ctrl-C -----------------------------------------------------------------------------------------------------------


def test_ctrl_c_in_a_callback_ends_the_training_cleanly(backend):
    net, twin, ended = network(backend), network(backend), []

    class Interrupts:
        def on_epoch_end(self, state):
            if state.epoch == 3:
                raise KeyboardInterrupt

        def on_fit_end(self, state):
            ended.append(state.epoch)

    history = rp.fit(net, X, Y, epochs=9, batch_size=4, seed=0, callbacks=[Interrupts()])
    assert history.stop_reason == "interrupted"
    assert lengths(history) == {3}
    assert ended == [3]
    rp.fit(twin, X, Y, epochs=3, batch_size=4, seed=0)
    assert equal(numbers(net), numbers(twin))


@pytest.fixture(autouse=True)
def heard():
    """SIGINT is heard, also where a shell has started the tests in its background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupting(schedules.Schedule):
    """Sends SIGINT to this process before update `at`, as a terminal does."""

    def __init__(self, at):
        self.at = at

    def __call__(self, t):
        if t == self.at:
            signal.raise_signal(signal.SIGINT)
        return 0.1


@pytest.mark.parametrize("end", [RuntimeError("no rate"), KeyboardInterrupt()])
@pytest.mark.parametrize("rate", [0.1, float("inf")])
def test_what_ends_an_epoch_before_its_figures_are_known_leaves_finite_parameters(end, rate):
    """A schedule that raises when the rate of a finished epoch is read: the epoch is in no history."""

    class Raising(schedules.Schedule):
        asked = 0

        def __call__(self, t):
            Raising.asked += 1
            if Raising.asked == 4:  # one a batch of the full epoch and one for its history, twice
                raise end
            return rate if Raising.asked > 2 else 0.1

    net, reference = network(), network()
    first = rp.fit(reference, X, Y, optimizer=SGD(0.1), epochs=1)
    try:
        history = rp.fit(net, X, Y, optimizer=SGD(Raising()), epochs=5)
    except RuntimeError as error:
        history = error.history
    assert history.cost == first.cost
    assert all(np.isfinite(array).all() for array in numbers(net))
    if isinstance(end, RuntimeError):
        assert equal(numbers(net), numbers(reference))


def test_a_callback_that_changes_arrays_in_place_does_not_reach_the_best_ones():
    ends = []

    class Decay:
        def on_epoch_end(self, state):
            ends.append(numbers(state.network))
            for theta in state.network.parameters.thetas:
                theta *= 0.9

    net = network()
    stopping = rp.EarlyStopping(patience=3, tol=0.0)
    history = rp.fit(net, X, Y, optimizer=SGD(0.1), epochs=6, validation_data=(X, Y), early_stopping=stopping,
                     callbacks=[Decay()])  # fmt: skip
    assert equal(numbers(net), ends[history.best_epoch - 1])
    assert net.cost(X, Y) == history.validation_cost[history.best_epoch - 1]


def test_ctrl_c_within_an_epoch_leaves_the_model_as_it_stood_and_the_history_of_whole_epochs():
    net, by_hand = network(), network()
    history = rp.fit(
        net, X, Y, optimizer=SGD(Interrupting(7)), epochs=9, batch_size=4, shuffle=False, metrics=["r2"],
        validation_data=(X, Y),
    )  # fmt: skip
    assert history.stop_reason == "interrupted"
    assert lengths(history) == {2}
    assert len(history.validation_cost) == 2
    # seven updates: two epochs of three and one more
    for at in [0, 4, 8, 0, 4, 8, 0]:
        g = by_hand.gradient(X[at : at + 4], Y[at : at + 4])
        by_hand.thetas = [theta - 0.1 * grad for theta, grad in zip(by_hand.thetas, g.thetas, strict=True)]
        by_hand.biases = [bias - 0.1 * grad for bias, grad in zip(by_hand.biases, g.biases, strict=True)]
    for a, b in zip(numbers(net), numbers(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_after_ctrl_c_the_state_counts_the_epochs_that_are_done():
    states = []

    class AtTheEnd:
        def on_fit_end(self, state):
            states.append((state.epoch, state.n_updates))

    rp.fit(network(), X, Y, optimizer=SGD(Interrupting(7)), epochs=9, batch_size=4, callbacks=[AtTheEnd()])
    assert states == [(2, 7)]


def test_ctrl_c_while_an_epoch_is_measured_leaves_no_ragged_history():
    class Interrupted:
        name, greater_is_better, calls = "interrupted", True, 0

        def __call__(self, a, y, weight, xp):
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return xp.mean(a)

    history = rp.fit(
        network(), X, Y, epochs=9, validation_data=(X, Y), metrics=["r2", Interrupted(), "mean_absolute_error"]
    )
    assert history.stop_reason == "interrupted"
    assert len(lengths(history) | {len(history.validation_cost)}) == 1


def test_ctrl_c_within_a_diverging_epoch_does_not_leave_nan():
    # update 4, the second of epoch 2, throws the parameters to ±1e308; the interrupt comes before the epoch is read
    class JumpThenInterrupt(Jump):
        def __call__(self, t):
            if t == 5:
                raise KeyboardInterrupt
            return super().__call__(t)

    net = rp.Network([2, 3, 1], hidden="identity", seed=1, dtype="float32", backend="numpy")
    history = rp.fit(
        net, X, Y, optimizer=SGD(JumpThenInterrupt(4, jump=1e38)), epochs=9, batch_size=4, shuffle=False, seed=0
    )
    assert history.stop_reason == "interrupted"
    step = [np.abs(leaf).max() for leaf in numbers(net)]
    assert np.all(np.isfinite(step))


def test_ctrl_c_within_an_update_leaves_each_number_before_it_or_after(monkeypatch):
    """NumPy alone updates many parameters in blocks."""
    monkeypatch.setenv("RETROPROP_NUMBA", "0")
    x, y = np.ones((4, 200), "float32"), np.ones((4, 200), "float32")
    before, after, between = (rp.Network([200, 200], seed=0, backend="numpy") for _ in range(3))
    rp.fit(before, x, y, optimizer=SGD(0.1), epochs=1)
    rp.fit(after, x, y, optimizer=SGD(0.1), epochs=2)
    updates = []

    def subtract(a, b, out):
        np.subtract(a, b, out)
        if out.shape == (BLOCK,):
            updates.append(out)
            if len(updates) == 4:  # each update has two whole blocks and a part of one
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setitem(NumpyCalls.names, "subtract", subtract)
    history = rp.fit(between, x, y, optimizer=SGD(0.1), epochs=9)
    assert (history.stop_reason, len(history)) == ("interrupted", 1)
    one, other, found = (np.concatenate([leaf.ravel() for leaf in numbers(net)]) for net in (before, after, between))
    np.testing.assert_array_equal(found, np.concatenate([other[: 2 * BLOCK], one[2 * BLOCK :]]))


@pytest.mark.parametrize("when", ["begin", "end"])
def test_what_a_callback_raises_takes_the_history_along(when, backend):
    class Careless:
        def on_fit_begin(self, state):
            if when == "begin":
                raise KeyError("log")

        def on_epoch_end(self, state):
            if state.epoch == 3:
                raise KeyError("log")

    net, twin = network(backend), network(backend)
    with pytest.raises(KeyError, match="log") as caught:
        rp.fit(net, X, Y, epochs=9, batch_size=4, seed=0, callbacks=[Careless()])
    history = caught.value.history
    done = 0 if when == "begin" else 3
    assert (len(history), history.stop_reason) == (done, "error")
    assert f"the history of {done} epochs is this error's attribute `history`" in caught.value.__notes__[0]
    if done:
        assert history.cost == rp.fit(twin, X, Y, epochs=done, batch_size=4, seed=0).cost
    assert equal(numbers(net), numbers(twin))


@pytest.mark.skipif(os.name == "nt", reason="SIGINT of another process is a console event on Windows")
def test_a_real_ctrl_c_from_another_process():
    program = textwrap.dedent("""
        import sys
        import numpy as np
        import retroprop as rp

        class Ready:
            def on_epoch_end(self, state):
                if state.epoch == 5:
                    print("ready", flush=True)

        x = np.random.default_rng(0).normal(size=(64, 4))
        net = rp.Network([4, 8, 1], seed=0, backend="numpy")
        history = rp.fit(net, x, x[:, :1], epochs=10**9, batch_size=8, callbacks=[Ready()], metrics=["r2"])
        lists = [history.cost, history.learning_rate, history.seconds, history.metrics["r2"]]
        print(history.stop_reason, len(history) >= 5, len({len(l) for l in lists}),
              all(np.isfinite(leaf).all() for leaf in net.parameters.leaves))
    """)
    source = Path(rp.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    ) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert err == ""
    assert out.split() == ["interrupted", "True", "1", "True"]
    assert child.returncode == 0
