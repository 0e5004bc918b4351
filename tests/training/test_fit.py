"""The epoch loop: the history, weights, validation, metrics, penalties, dropout, determinism."""

import numpy as np
import pytest
from harness import assert_close

import retroprop as rp
from retroprop.functions import schedules
from retroprop.training.step import bind_measure

SGD = rp.optimizers.SGD
RNG = np.random.default_rng(20)
X = RNG.normal(size=(11, 3))
Y = np.stack([np.sin(X[:, 0]) + 0.3 * X[:, 1], X[:, 2] * X[:, 0]], axis=1)
LABELS = RNG.integers(0, 3, 11)
W = RNG.integers(0, 4, 11).astype("float64")
XV, YV, WV = X[:4] + 0.1, Y[:4] - 0.2, np.asarray([1.0, 0.0, 2.0, 0.5])


def network(backend="numpy", dtype="float64", **options):
    options = {"hidden": "tanh", "seed": 1, **options}
    return rp.Network([3, 4, 2], dtype=dtype, backend=backend, **options)


def numbers(net):
    return [net.backend.to_numpy(leaf).copy() for leaf in net.parameters.leaves]


def same(left, right):
    for a, b in zip(numbers(left), numbers(right), strict=True):
        np.testing.assert_array_equal(a, b)


def step_by_hand(net, x, y, weight, rate):
    """Update θ ← θ − η g, and return the cost before."""
    g = net.gradient(x, y, weight)
    cost = float(net.backend.to_numpy(net.cost(x, y, weight)))
    net.thetas = [theta - rate * grad for theta, grad in zip(net.thetas, g.thetas, strict=True)]
    if net.biases:
        net.biases = [bias - rate * grad for bias, grad in zip(net.biases, g.biases, strict=True)]
    return cost


def epochs_by_hand(net, x, y, weight, *, rate, epochs, size, seed):
    """Train as the design says, with nothing of `training`; return the cost of each epoch."""
    rng, costs = np.random.default_rng(seed), []
    for _ in range(epochs):
        order = rng.permutation(len(x)) if size < len(x) else np.arange(len(x))
        total = share = 0.0
        for at in range(0, len(x), size):
            some = order[at : at + size]
            w = None if weight is None else weight[some]
            big_w = len(some) if w is None else w.sum()
            total += big_w * step_by_hand(net, x[some], y[some], w, rate)
            share += big_w
        costs.append(total / share)
    return costs


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [11, 4])
def test_the_history_and_the_parameters_are_those_of_gradient_descent_by_hand(weighted, size, backend, dtype):
    weight = W if weighted else None
    net, by_hand = network(backend, dtype, l2=0.1, l1=0.01), network(l2=0.1, l1=0.01)
    history = rp.fit(
        net, X, Y, optimizer=SGD(0.1), epochs=3, batch_size=size, sample_weight=weight, seed=5, progress=False
    )
    costs = epochs_by_hand(by_hand, X, Y, weight, rate=0.1, epochs=3, size=size, seed=5)
    rtol = 256.0 * float(np.finfo(dtype).eps)  # nine updates
    assert history.cost == pytest.approx(costs, rel=rtol)
    for actual, expected in zip(net.parameters.leaves, numbers(by_hand), strict=True):
        assert_close(actual, expected, backend=backend, dtype=dtype, rtol=rtol)
    assert all(type(cost) is float for cost in history.cost)
    assert len(history) == 3
    assert history.stop_reason == "epochs"
    assert history.learning_rate == [0.1] * 3
    assert len(history.seconds) == 3


def test_no_batch_size_is_one_update_an_epoch():
    net, by_hand, seen = network(), network(), []

    class Counter:
        def on_epoch_end(self, state):
            seen.append((state.epoch, state.n_updates))

    rp.fit(net, X, Y, optimizer=SGD(0.1), epochs=3, callbacks=[Counter()])
    for _ in range(3):
        step_by_hand(by_hand, X, Y, None, 0.1)
    assert seen == [(1, 1), (2, 2), (3, 3)]
    for a, b in zip(numbers(net), numbers(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_classes_train_as_by_hand_too(loss, backend):
    output, y = ("softmax", LABELS) if loss == "cross_entropy" else ("sigmoid", np.eye(3)[LABELS])
    net, by_hand = (
        rp.Network([3, 4, 3], output=output, loss=loss, seed=1, dtype="float64", backend=where)
        for where in (backend, "numpy")
    )
    history = rp.fit(net, X, y, optimizer=SGD(0.1), epochs=2, batch_size=4, seed=5)
    costs = epochs_by_hand(by_hand, X, y, None, rate=0.1, epochs=2, size=4, seed=5)
    assert history.cost == pytest.approx(costs, rel=1e-13)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "lion"])
def test_the_optimizer_is_used_and_its_state_goes_from_update_to_update(optimizer):
    from retroprop.training import optimizers

    rule, net, by_hand = optimizers.get(optimizer), network(), network()
    rp.fit(net, X, Y, optimizer=optimizer, epochs=2, batch_size=4, shuffle=False)
    state = rule.start(by_hand.parameters, np.zeros_like)
    for t, at in enumerate([0, 4, 8] * 2, start=1):
        grads = by_hand.gradient(X[at : at + 4], Y[at : at + 4]).parameters.leaves
        leaves = []
        for i, (theta, g) in enumerate(zip(by_hand.parameters.leaves, grads, strict=True)):
            slots = [s.leaves[i] for s in state]
            leaves.append(rule.formula(np, theta, g, *slots, *rule.hyper(t, rule.learning_rate)))
        by_hand.parameters, *state = (by_hand.parameters.like(column) for column in zip(*leaves, strict=True))
    for a, b in zip(numbers(net), numbers(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", [[3, 2], [3, 1], [3, 4, 4, 2]])
@pytest.mark.parametrize("bias", [True, False])
def test_one_layer_many_layers_with_and_without_bias(shape, bias):
    y = Y[:, : shape[-1]]
    net = rp.Network(shape, hidden="tanh", bias=bias, seed=1, dtype="float64", backend="numpy")
    by_hand = rp.Network(shape, hidden="tanh", bias=bias, seed=1, dtype="float64", backend="numpy")
    history = rp.fit(net, X, y, optimizer=SGD(0.05), epochs=2, batch_size=5, seed=0)
    assert history.cost == pytest.approx(
        epochs_by_hand(by_hand, X, y, None, rate=0.05, epochs=2, size=5, seed=0), rel=1e-13
    )
    assert len(net.biases) == (len(shape) - 1 if bias else 0)


@pytest.mark.parametrize("size", [None, 1, 5])
def test_one_row(size, backend):
    net = network(backend)
    before = float(net.to("numpy").cost(X[:1], Y[:1]))
    history = rp.fit(net, X[:1], Y[:1], optimizer=SGD(0.1), epochs=2, batch_size=size)
    assert history.cost[0] == pytest.approx(before, rel=1e-14)
    assert history.cost[1] < history.cost[0]


def test_targets_of_one_axis_for_one_output():
    make = lambda: rp.Network([3, 4, 1], seed=1, dtype="float64", backend="numpy")  # noqa: E731
    flat, column = make(), make()
    rp.fit(flat, X, Y[:, 0], epochs=2, batch_size=4, seed=3)
    rp.fit(column, X, Y[:, :1], epochs=2, batch_size=4, seed=3)
    same(flat, column)


# Weights ---------------------------------------------------------------------------------------------------------


def test_a_weight_of_2_is_the_row_twice_and_of_0_the_row_absent(backend):
    weight = np.asarray([2.0, 1.0, 0.0, 1.0])
    weighted, written_out = network(backend), network()
    first = rp.fit(weighted, X[:4], Y[:4], optimizer="adam", epochs=4, sample_weight=weight)
    some = [0, 0, 1, 3]
    second = rp.fit(written_out, X[some], Y[some], optimizer="adam", epochs=4)
    assert first.cost == pytest.approx(second.cost, rel=1e-13)
    for a, b in zip(numbers(weighted), numbers(written_out), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_equal_weights_are_no_weights():
    weighted, plain = network(), network()
    rp.fit(weighted, X, Y, epochs=3, batch_size=4, seed=0, sample_weight=np.full(11, 7.0))
    rp.fit(plain, X, Y, epochs=3, batch_size=4, seed=0)
    for a, b in zip(numbers(weighted), numbers(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_batch_whose_weights_sum_to_0_contributes_its_penalties_only(backend):
    weight = np.asarray([1.0, 1.0, 0.0, 0.0])
    net, by_hand = network(backend, l2=0.5), network(l2=0.5)
    history = rp.fit(net, X[:4], Y[:4], optimizer=SGD(0.1), epochs=1, batch_size=2, shuffle=False, sample_weight=weight)
    cost = step_by_hand(by_hand, X[:2], Y[:2], None, 0.1)
    by_hand.thetas = [theta * (1.0 - 0.1 * 0.5) for theta in by_hand.thetas]
    # its share of the cost is 0 of 2
    assert history.cost == pytest.approx([cost], rel=1e-13)
    for a, b in zip(numbers(net), numbers(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-16)


# Validation and metrics ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_cost_is_that_after_the_epoch_penalties_included(weighted, backend, dtype):
    data = (XV, YV, WV) if weighted else (XV, YV)
    net, expected = network(backend, dtype, l2=0.1), []

    class After:
        def on_epoch_end(self, state):
            expected.append(float(state.network.to("numpy", dtype="float64").cost(*data)))

    history = rp.fit(net, X, Y, epochs=3, batch_size=4, seed=0, validation_data=data, callbacks=[After()])
    assert history.validation_cost == pytest.approx(expected, rel=8.0 * float(np.finfo(dtype).eps))
    assert len(set(history.validation_cost)) == 3


def test_validation_data_change_nothing_in_the_training():
    with_it, without = network(dropout=0.3), network(dropout=0.3)
    first = rp.fit(with_it, X, Y, epochs=3, batch_size=4, seed=0, validation_data=(XV, YV), metrics=["r2"])
    second = rp.fit(without, X, Y, epochs=3, batch_size=4, seed=0)
    same(with_it, without)
    assert first.cost == second.cost
    assert second.validation_cost == []


def test_metrics_are_those_of_the_validation_data(backend):
    net, expected = network(backend), []

    class After:
        def on_epoch_end(self, state):
            a = state.network.to("numpy").predict(XV)
            expected.append(np.average(np.abs(a - YV).mean(axis=1), weights=WV))

    history = rp.fit(
        net, X, Y, epochs=2, batch_size=4, seed=0, validation_data=(XV, YV, WV),
        metrics=["mean_absolute_error", "r2"], callbacks=[After()],
    )  # fmt: skip
    assert list(history.metrics) == ["mean_absolute_error", "r2"]
    assert history.metrics["mean_absolute_error"] == pytest.approx(expected, rel=1e-13)
    assert all(type(value) is float for value in history.metrics["r2"])


@pytest.mark.parametrize("weighted", [False, True])
def test_without_validation_data_metrics_are_of_the_epochs_own_outputs(weighted, backend):
    # 11 rows by 4: the last batch has 3, so a mean of the batches' means would be another number
    weight = W if weighted else None
    net, by_hand = network(backend), network()
    history = rp.fit(
        net, X, Y, optimizer=SGD(0.1), epochs=2, batch_size=4, seed=6, sample_weight=weight,
        metrics=["mean_absolute_error", "root_mean_squared_error", "r2"],
    )  # fmt: skip
    rng = np.random.default_rng(6)
    for epoch in range(2):
        order, outputs = rng.permutation(11), []
        for at in range(0, 11, 4):
            some = order[at : at + 4]
            outputs.append(by_hand.predict(X[some]))
            step_by_hand(by_hand, X[some], Y[some], None if weight is None else weight[some], 0.1)
        a, y, w = np.concatenate(outputs), Y[order], None if weight is None else weight[order]
        found = {name: values[epoch] for name, values in history.metrics.items()}
        assert found["mean_absolute_error"] == pytest.approx(
            np.average(np.abs(a - y).mean(axis=1), weights=w), rel=1e-12
        )
        assert found["root_mean_squared_error"] == pytest.approx(
            np.average(((a - y) ** 2).mean(axis=1), weights=w) ** 0.5, rel=1e-12
        )
        centre = np.average(y, axis=0, weights=w)
        ratio = np.average((a - y) ** 2, axis=0, weights=w) / np.average((y - centre) ** 2, axis=0, weights=w)
        assert found["r2"] == pytest.approx(np.mean(1.0 - ratio), rel=1e-12)


def test_accuracy_in_fit_from_indices(backend):
    net = rp.Network([3, 8, 3], output="softmax", loss="cross_entropy", seed=1, dtype="float64", backend=backend)
    data = (X, LABELS)
    history = rp.fit(net, *data, optimizer="adam", epochs=2, validation_data=data, metrics=["accuracy", "error"])
    right = np.mean(net.to("numpy").predict(X).argmax(axis=1) == LABELS)
    assert history.metrics["accuracy"][-1] == pytest.approx(right, rel=1e-14)
    assert history.metrics["error"][-1] == pytest.approx(1.0 - right, rel=1e-14)


@pytest.mark.parametrize(
    ("output", "loss", "y", "right", "first_two"),
    [
        ("tanh", "squared_error", [1, 1, -1, -1], 1.0, 1.0),
        ("identity", "squared_error", [1, 1, -1, -1], 1.0, 1.0),
        ("identity", "huber", [1, -1, -1, 1], 0.5, 0.5),
        ("tanh", "squared_error", [1, 1, 1, 1], 0.5, 1.0),  # tanh says that the other class is −1
        ("identity", "squared_error", [1, 1, 0, 0], 0.5, 0.0),  # no output is above ½
        ("sigmoid", "binary_cross_entropy", [1, 1, 0, 0], 1.0, 1.0),
        ("sigmoid", "squared_error", [1, 1, 0, 0], 1.0, 1.0),
    ],
)
def test_accuracy_of_one_output_asks_about_the_middle_of_its_targets(backend, output, loss, y, right, first_two):
    net = rp.Network.from_parameters([[[0.2]]], output=output, loss=loss, dtype="float64", backend=backend)
    x = [[1.0], [2.0], [-1.0], [-2.0]]
    for held_out, expected in ((None, right), ((x[:2], y[:2]), first_two)):
        history = rp.fit(net, x, y, epochs=1, optimizer=SGD(1e-9), metrics=("accuracy", "error"),
                         validation_data=held_out)  # fmt: skip
        assert history.metrics == {"accuracy": [expected], "error": [1.0 - expected]}


@pytest.mark.parametrize(("y", "right"), [([[1, -1, 1], [-1, -1, 1]], 0.5), ([[1, -1, -1], [-1, -1, 1]], 1.0)])
def test_accuracy_of_several_outputs_is_by_the_largest_where_each_row_has_one_class(y, right):
    net = rp.Network.from_parameters([np.eye(3)], output="tanh", backend="numpy")
    history = rp.fit(net, [[2.0, -1.0, 1.0], [-3.0, -2.0, -1.0]], y, epochs=1, optimizer=SGD(1e-9), metrics="accuracy")
    assert history.metrics["accuracy"] == [right]


def test_accuracy_of_several_softmaxes_is_refused():
    groups = rp.losses.GroupedCrossEntropy((2, 2))
    net = rp.Network([2, 4], output=rp.activations.GroupedSoftmax((2, 2)), loss=groups, seed=0, backend="numpy")
    with pytest.raises(ValueError, match="has several: pass a callable"):
        rp.fit(net, [[1.0, 2.0]], [[1.0, 0.0, 0.0, 1.0]], metrics="accuracy")


def test_accuracy_of_several_labels_in_fit():
    y = (Y > 0).astype("float64")
    net = rp.Network([3, 8, 2], output="sigmoid", loss="binary_cross_entropy", seed=1, dtype="float64", backend="numpy")
    history = rp.fit(net, X, y, epochs=2, validation_data=(X, y), metrics="accuracy")
    right = np.mean(((net.predict(X) >= 0.5) == (y >= 0.5)).all(axis=1))
    assert history.metrics["accuracy"][-1] == pytest.approx(right)


# Penalties and dropout ---------------------------------------------------------------------------------------------


def test_penalties_shrink_the_weights_by_the_formula_and_spare_the_biases(backend):
    # x = 0 and y = b: no gradient but the penalties'
    thetas, biases = [[[2.0, -0.5], [0.0, 1.0]]], [[0.3, -0.7]]
    net = rp.Network.from_parameters(thetas, biases, l2=0.5, l1=0.25, dtype="float64", backend=backend)
    history = rp.fit(net, [[0.0, 0.0]], [[0.3, -0.7]], optimizer=SGD(0.5), epochs=1)
    # λ₂/2 (4 + 0.25 + 1) + λ₁ (2 + 0.5 + 1)
    assert history.cost == pytest.approx([0.25 * 5.25 + 0.25 * 3.5], rel=1e-14)
    # θ − 0.5 (0.5 θ + 0.25 sign θ)
    expected = [[2.0 - 0.5 * 1.25, -0.5 + 0.5 * 0.5], [0.0, 1.0 - 0.5 * 0.75]]
    assert_close(net.thetas[0], expected, backend=backend, dtype="float64", rtol=1e-14)
    assert_close(net.biases[0], [0.3, -0.7], backend=backend, dtype="float64", rtol=1e-14)


@pytest.mark.parametrize("weight", [None, [1.0, 3.0]])
def test_a_penalty_of_the_sum_is_shared_by_the_observations(backend, weight):
    """J = ½ mean (θx − y)² + λ₂/2 θ²/Σw; by hand at θ = 2, x = 1 and 3, y = 1 and 4, λ = 0.5 and 0.25."""
    net = rp.Network.from_parameters(
        [[[2.0]], [[1.0]]], hidden="identity", l2=[0.5, 0.25], dtype="float64", backend=backend
    )
    data = net.batch([[1.0], [3.0]], [[1.0], [4.0]], weight)
    with net.backend.active():
        cost, gradients, _ = bind_measure(net.backend, net.architecture, penalties_of_sum=True)(net.parameters, data)
    w, total = np.asarray(weight or [1.0, 1.0]), sum(weight or [1.0, 1.0])
    error = np.asarray([1.0, 2.0])
    np.testing.assert_allclose(
        net.backend.to_numpy(cost), (0.5 * w @ error**2 + 0.25 * 4.0 + 0.125) / total, rtol=1e-12
    )
    expected = [w @ (error * [1.0, 3.0]) + 0.5 * 2.0, w @ (error * [2.0, 6.0]) + 0.25]
    for theta, by_hand in zip(gradients.thetas, expected, strict=True):
        np.testing.assert_allclose(net.backend.to_numpy(theta), [[by_hand / total]], rtol=1e-12)


def test_the_penalty_does_not_depend_on_the_batch_size():
    for size in (1, 2, 4):
        net = rp.Network.from_parameters([[[2.0]]], l2=0.5, dtype="float64", backend="numpy")
        rp.fit(net, [[0.0]] * 4, [0.0] * 4, optimizer=SGD(0.1), epochs=1, batch_size=size)
        assert net.thetas[0][0, 0] == pytest.approx(2.0 * 0.95 ** (4 // size), rel=1e-14)


def test_a_step_with_dropout_by_hand(backend, dtype):
    # 2-3-1, tanh, one row a step: everything written out for the mask of the seed
    theta_1 = np.asarray([[0.5, -0.25], [0.125, 1.0], [-0.75, 0.5]])
    theta_2, x, y, p, rate = np.asarray([[1.0, -0.5, 2.0]]), np.asarray([[1.0, 2.0]]), 0.75, 0.5, 0.125

    def mask_of(seed):
        """mask/(1−p) of the first step and the first hidden layer."""
        key = np.frombuffer(np.random.default_rng(seed).bytes(16), "<u8")
        words = np.random.Philox(key=key, counter=[0, 1, 0, 0]).random_raw(2).astype("<u8").view("<u4")
        return (words[None, :3] >= 2**31) * 2.0

    seed = next(s for s in range(20) if 0 < np.sum(mask_of(s)) < 6)
    mask = mask_of(seed)
    net = rp.Network.from_parameters([theta_1, theta_2], hidden="tanh", dropout=p, dtype=dtype, backend=backend)
    history = rp.fit(net, x, [y], optimizer=SGD(rate), epochs=1, seed=seed)
    a = np.tanh(x @ theta_1.T)
    out = float((a * mask)[0] @ theta_2[0])
    delta_3 = out - y
    # δ^(2) = (δ^(3) Θ^(2) ∘ mask/(1−p)) ∘ f′, f′ from the activation before the mask; Θ^(2)'s gradient the masked one
    delta_2 = delta_3 * theta_2[0] * mask[0] * (1.0 - a[0] ** 2)
    rtol = 32.0 * float(np.finfo(dtype).eps)
    assert history.cost == pytest.approx([0.5 * delta_3**2], rel=rtol)
    assert_close(net.thetas[1], theta_2 - rate * delta_3 * (a * mask), backend=backend, dtype=dtype, rtol=rtol)
    assert_close(net.thetas[0], theta_1 - rate * np.outer(delta_2, x[0]), backend=backend, dtype=dtype, rtol=rtol)


def test_one_seed_the_same_masks_and_batches_on_every_backend(backend, dtype):
    net, reference = network(backend, dtype, dropout=0.4), network("numpy", "float64", dropout=0.4)
    options = {"optimizer": SGD(0.1), "epochs": 2, "batch_size": 4, "seed": 9}
    first, second = rp.fit(net, X, Y, **options), rp.fit(reference, X, Y, **options)
    rtol = 256.0 * float(np.finfo(dtype).eps)
    assert first.cost == pytest.approx(second.cost, rel=rtol)
    for actual, expected in zip(net.parameters.leaves, numbers(reference), strict=True):
        assert_close(actual, expected, backend=backend, dtype=dtype, rtol=rtol)


def test_predict_cost_and_validation_know_no_dropout():
    dropped, plain = network(dropout=0.5), network()
    np.testing.assert_array_equal(dropped.predict(X), plain.predict(X))
    assert float(dropped.cost(X, Y)) == float(plain.cost(X, Y))
    history = rp.fit(dropped, X, Y, epochs=1, validation_data=(XV, YV))
    assert history.validation_cost[0] == pytest.approx(float(dropped.cost(XV, YV)), rel=1e-15)


def test_the_expectation_over_the_masks_is_the_output_without_them():
    # A linear hidden layer: E[(a ∘ mask/(1−p)) Θᵀ] = a Θᵀ. 4000 rows of the same x, each with its own mask.
    m, theta = 4000, np.asarray([[1.0, -2.0, 0.5, 1.5]])
    net = rp.Network.from_parameters(
        [np.ones((4, 1)), theta], hidden="identity", dropout=0.5, dtype="float64", backend="numpy"
    )
    seen = []

    class Outputs:
        name, greater_is_better = "outputs", True

        def __call__(self, a, y, weight, xp):
            seen.append(a[:, 0].copy())
            return xp.mean(a)

    rp.fit(net, np.ones((m, 1)), np.zeros(m), optimizer=SGD(1e-12), epochs=1, seed=0, metrics=[Outputs()])
    # each term is 0 or 2θ_k with equal chances: variance Σ θ_k² = 7.5
    assert abs(seen[0].mean() - theta.sum()) < 5 * np.sqrt(7.5 / m)
    assert seen[0].var() == pytest.approx(7.5, rel=0.2)


# Seeds, data, schedules --------------------------------------------------------------------------------------------


def test_the_same_seed_the_same_training_and_another_another():
    def train(seed):
        net = network(dropout=0.2)
        history = rp.fit(net, X, Y, epochs=3, batch_size=4, seed=seed)
        return history.cost, numbers(net)

    (first, a), (again, b), (other, c) = train(3), train(3), train(4)
    assert first == again
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)
    assert first != other
    assert any(np.any(left != right) for left, right in zip(a, c, strict=True))
    assert train(None)[0] != train(None)[0]
    assert train(np.random.default_rng(3))[0] == first


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rp.fit(network(dropout=0.2), X, Y, epochs=2, batch_size=4)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_data_are_never_written_to(backend, dtype):
    x, y, w = (np.array(part, dtype=dtype) for part in (X, Y, W))
    before = [part.copy() for part in (x, y, w)]
    for part in (x, y, w):
        part.flags.writeable = False
    net = network(backend, dtype, dropout=0.2, l2=0.1)
    rp.fit(net, x, y, epochs=2, batch_size=4, sample_weight=w, validation_data=(x, y, w), metrics=["r2"])
    for part, was in zip((x, y, w), before, strict=True):
        np.testing.assert_array_equal(part, was)


def test_arrays_that_live_on_the_device_are_not_written_to(backend, dtype):
    x, y = backend.asarray(X, dtype, copy=True), backend.asarray(Y, dtype, copy=True)
    given = [backend.to_numpy(part).copy() for part in (x, y)]
    net = network(backend, dtype)
    thetas = net.thetas
    held = [backend.to_numpy(theta).copy() for theta in thetas]
    rp.fit(net, x, y, epochs=2, batch_size=4, seed=0)
    for part, was in zip((x, y), given, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(part), was)
    # what a user took out of the network before is the user's
    for theta, was in zip(thetas, held, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(theta), was)


def test_training_twice_goes_on_from_where_it_was():
    twice, once = network(), network()
    for _ in range(2):
        rp.fit(twice, X, Y, optimizer=SGD(0.1), epochs=2)
    rp.fit(once, X, Y, optimizer=SGD(0.1), epochs=4)
    same(twice, once)


def test_a_schedule_sees_updates_and_the_history_the_last_rate_of_each_epoch():
    net, by_hand, rates = network(), network(), [0.1 * 0.5**t for t in range(6)]
    history = rp.fit(net, X, Y, optimizer=SGD(schedules.Exponential(0.1, 0.5)), epochs=2, batch_size=4, shuffle=False)
    for t, at in enumerate([0, 4, 8] * 2):
        step_by_hand(by_hand, X[at : at + 4], Y[at : at + 4], None, rates[t])
    assert history.learning_rate == pytest.approx([rates[2], rates[5]])
    for a, b in zip(numbers(net), numbers(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: schedules.Warmup(1, s)], ids=["alone", "warm-up"])
def test_reduce_on_plateau_counts_epochs_and_each_fit_starts_fresh(wrap):
    # the cost never improves by more than tol = 10: halved after every epoch but the first
    schedule = wrap(schedules.ReduceOnPlateau(1e-3, factor=0.5, patience=0, tol=10.0))
    for _ in range(2):
        history = rp.fit(network(), X, Y, optimizer=SGD(schedule), epochs=4, batch_size=4, seed=0)
        assert history.learning_rate == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4])


def test_reduce_on_plateau_watches_the_validation_cost_where_there_is_one():
    class Told(schedules.Schedule):
        def __init__(self):
            self.costs = []

        def __call__(self, t):
            return 0.01

        def observe(self, cost):
            self.costs.append(cost)

    told = Told()
    history = rp.fit(network(), X, Y, optimizer=SGD(told), epochs=2, validation_data=(XV, YV))
    assert told.costs == history.validation_cost
    told = Told()
    history = rp.fit(network(), X, Y, optimizer=SGD(told), epochs=2)
    assert told.costs == history.cost


# Bad arguments, before any work --------------------------------------------------------------------------------------


class Loud:
    """A callback that says that the work has begun."""

    def on_fit_begin(self, state):
        pytest.fail("the training began")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"epochs": 0}, ValueError, "epochs"),
        ({"epochs": 2.0}, TypeError, "epochs"),
        ({"epochs": None}, TypeError, "epochs"),
        ({"epochs": True}, TypeError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 2.5}, TypeError, "batch_size"),
        ({"optimizer": "adamm"}, ValueError, "Did you mean"),
        ({"optimizer": 3}, TypeError, "optimizer"),
        ({"metrics": ["acuracy"]}, ValueError, "Did you mean"),
        ({"metrics": ["r2", "r2"]}, ValueError, r"metrics has 2 metrics named 'r2', .* pass each once"),
        ({"metrics": [3]}, TypeError, "metric"),
        ({"callbacks": [object()]}, TypeError, "callback"),
        ({"seed": "a"}, TypeError, "seed"),
        ({"seed": -1}, ValueError, "seed"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight"),
        ({"sample_weight": -np.ones(11)}, ValueError, "sample_weight"),
        ({"sample_weight": np.zeros(11)}, ValueError, "sample_weight"),
        ({"sample_weight": np.full(11, np.nan)}, ValueError, "sample_weight"),
        ({"validation_data": (X,)}, TypeError, "validation_data"),
        ({"validation_data": X}, TypeError, "validation_data"),
        ({"validation_data": (X, Y[:3])}, ValueError, "validation_data"),
        ({"validation_data": (X[:0], Y[:0])}, ValueError, "validation_data"),
        ({"early_stopping": rp.EarlyStopping()}, ValueError, "validation_data"),
        ({"early_stopping": rp.EarlyStopping(monitor="r2")}, ValueError, "'r2'"),
        ({"early_stopping": True}, TypeError, "early_stopping"),
        ({"clip_norm": "1"}, TypeError, "clip_norm"),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, dict) else None,
)
def test_bad_arguments_are_refused_before_any_work(options, error, match):
    net = network()
    before = numbers(net)
    loud = [] if "callbacks" in options else [Loud()]
    with pytest.raises(error, match=match):
        rp.fit(net, X, Y, **{"callbacks": loud, **options})
    for a, b in zip(numbers(net), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (X[:, :2], Y, "x has 2 columns"),
        (X[0], Y[0], "x must have two axes"),
        (X[:0], Y[:0], "x is empty"),
        (X, Y[:5], "y must have the shape"),
        (X, Y[:, 0], "y must have the shape"),
        (np.where(X[1, 1] == X, np.nan, X), Y, "x must be finite"),
        (X, np.where(Y[1, 1] == Y, np.inf, Y), "y must be finite"),
        (np.stack([X, X]), np.stack([Y, Y]), "x must have two axes"),
    ],
)
def test_bad_data_are_refused_before_any_work(x, y, match):
    with pytest.raises(ValueError, match=match):
        rp.fit(network(), x, y, callbacks=[Loud()])


def test_nan_on_a_device_is_found_before_any_work(backend):
    x = backend.asarray(X, "float64")
    zero = backend.asarray(np.zeros_like(X), "float64")
    with backend.active():
        x = x + zero / zero
    with pytest.raises(ValueError, match="x must be finite"):
        rp.fit(network(backend), x, Y, callbacks=[Loud()])
