"""Many trainings in one call: the arguments, one value or a list, and the results of K calls of `fit`."""

import logging

import numpy as np
import pytest

import retroprop as rp
from retroprop.training import intake
from retroprop.training.many.per_model import per_model

RNG = np.random.default_rng(7)
X = RNG.normal(size=(13, 3))
Y = np.stack([np.sin(X[:, 0]) + 0.3 * X[:, 1], X[:, 2] * X[:, 0]], axis=1)
W = RNG.integers(0, 4, 13).astype("float64")
HISTORY = rp.History()


def networks(k=3, **options):
    options = {"hidden": "tanh", "dtype": "float64", "backend": "numpy", **options}
    return [rp.Network([3, 4, 2], seed=i, **options) for i in range(k)]


def numbers(net):
    return np.concatenate([net.backend.to_numpy(leaf).ravel() for leaf in net.parameters.leaves])


def agree(many, single, histories, alone):
    for k, (a, b, one, other) in enumerate(zip(many, single, histories, alone, strict=True)):
        np.testing.assert_allclose(numbers(a), numbers(b), rtol=1e-12, atol=1e-12, err_msg=f"network {k}")
        for name in ("cost", "validation_cost", "learning_rate"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, err_msg=f"{name} of {k}")
        assert list(one.metrics) == list(other.metrics)
        for name in one.metrics:
            np.testing.assert_allclose(one.metrics[name], other.metrics[name], rtol=1e-12)
        assert (one.stop_reason, one.best_epoch, len(one)) == (other.stop_reason, other.best_epoch, len(other))


def test_one_value_or_a_list_of_each_argument():
    many, single = networks(), networks()
    lists = {
        "epochs": [4, 6, 5],
        "batch_size": [4, None, 13],
        "optimizer": ["adam", rp.optimizers.SGD(0.05), rp.optimizers.RMSprop(0.01)],
        "sample_weight": [W, None, W + 1.0],
        "validation_data": [(X[:4], Y[:4]), None, (X[:5], Y[:5], W[:5])],
        "metrics": [["r2"], [], ["mean_absolute_error"]],
        "early_stopping": [rp.EarlyStopping(patience=1), None, rp.EarlyStopping(monitor="cost", patience=1)],
        "clip_norm": [None, 0.1, None],
        "seed": range(3),
        "shuffle": (True, False, True),
    }
    histories = rp.fit_many(many, [X, X[::-1], X * 0.5], [Y, Y[::-1], Y], clip_value=0.5, **lists)
    alone = []
    for k, (net, x, y) in enumerate(zip(single, [X, X[::-1], X * 0.5], [Y, Y[::-1], Y], strict=True)):
        options = {name: values[k] for name, values in lists.items()}
        alone.append(rp.fit(net, x, y, clip_value=0.5, **options))
    agree(many, single, histories, alone)


def test_networks_of_different_shapes_dtypes_and_losses():
    def nets():
        return [
            rp.Network([3, 5, 2], seed=1, backend="numpy"),
            rp.Network([3, 2], seed=2, dtype="float64", backend="numpy"),
            rp.Network([3, 4, 4, 2], output="softmax", loss="cross_entropy", seed=3, backend="numpy"),
        ]

    labels = (X[:, 0] > 0.0).astype("int64")
    many, single, y = nets(), nets(), [Y, Y, labels]
    histories = rp.fit_many(many, X, y, batch_size=5, epochs=3, seed=1)
    alone = [rp.fit(net, X, one, batch_size=5, epochs=3, seed=1) for net, one in zip(single, y, strict=True)]
    agree(many, single, histories, alone)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_rows_are_those_of_an_array_of_their_own(batch_size):
    rows = [np.arange(13) % 5 != k for k in range(3)]
    rows = [np.flatnonzero(mask) for mask in rows]
    many, single = networks(), networks()
    options = {"epochs": 4, "batch_size": batch_size, "metrics": ["r2"]}
    options["early_stopping"] = rp.EarlyStopping(monitor="r2", patience=2)
    histories = rp.fit_many(many, X, Y, rows=rows, sample_weight=W, seed=3, **options)
    alone = [
        rp.fit(net, X[r], Y[r], sample_weight=W[r], seed=3, **options) for net, r in zip(single, rows, strict=True)
    ]
    agree(many, single, histories, alone)
    # A history goes on in a training of those rows, and in no other.
    more = rp.fit(many[0], X[rows[0]], Y[rows[0]], sample_weight=W[rows[0]], resume_from=histories[0], **options)
    assert len(more) >= len(histories[0])
    with pytest.raises(ValueError, match="x holds other data now"):
        rp.fit(many[0], X[rows[1]], Y[rows[1]], sample_weight=W[rows[1]], resume_from=histories[0], **options)


def test_a_network_that_diverges_leaves_the_others_alone(caplog):
    many, single = networks(), networks()
    rates = [0.05, 1e200, 0.02]
    with caplog.at_level(logging.WARNING, "retroprop"):
        histories = rp.fit_many(many, X, Y, optimizer=[rp.optimizers.SGD(rate) for rate in rates], epochs=5)
    with pytest.raises(rp.DivergenceError) as raised:
        rp.fit(single[1], X, Y, optimizer=rp.optimizers.SGD(rates[1]), epochs=5)
    alone = [rp.fit(single[k], X, Y, optimizer=rp.optimizers.SGD(rates[k]), epochs=5) for k in (0, 2)]
    agree(many, single, histories, [alone[0], raised.value.history, alone[1]])
    assert histories[1].stop_reason == "diverged"
    assert str(histories[1].error) == str(raised.value)
    assert "nets[1]: the training diverged" in caplog.text


class Interrupts:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, state):
        if state.epoch == self.epoch:
            raise KeyboardInterrupt


def test_ctrl_c_returns_what_is_there():
    many = networks()
    histories = rp.fit_many(many, X, Y, epochs=[2, 5, 5], callbacks=Interrupts(3))
    assert [history.stop_reason for history in histories] == ["epochs", "interrupted", "interrupted"]
    assert len(histories[0]) == 2


class Fails:
    def on_epoch_end(self, state):
        raise RuntimeError("of the user")


def test_an_error_of_the_user_carries_the_histories():
    with pytest.raises(RuntimeError, match="of the user") as raised:
        rp.fit_many(networks(), X, Y, epochs=2, callbacks=[[], [Fails()], []])
    assert [len(history) for history in raised.value.histories] == [2, 0, 2]
    assert raised.value.histories[0].stop_reason == "epochs"


class FailsLate:
    name, greater_is_better = "late", True

    def __init__(self, epochs):
        self.calls, self.epochs = 0, epochs

    def __call__(self, a, y, weight, xp):
        self.calls += 1
        if self.calls > self.epochs:
            raise RuntimeError("of the metric")
        return xp.mean(a)


def test_an_error_of_a_metric_loses_no_epoch():
    many, single = networks(2), networks(2)
    options = {"batch_size": 4, "shuffle": False, "epochs": 5}
    with pytest.raises(RuntimeError, match="of the metric") as raised:
        rp.fit_many(many, X, Y, metrics=[[FailsLate(9)], [FailsLate(2)]], **options)
    for net, history in zip(single, raised.value.histories, strict=True):
        with pytest.raises(RuntimeError) as alone:
            rp.fit(net, X, Y, metrics=[FailsLate(2)], **options)
        assert history.stop_reason == alone.value.history.stop_reason == "error"
        assert len(history) == len(alone.value.history) == 2
    for net, other in zip(many, single, strict=True):
        np.testing.assert_allclose(numbers(net), numbers(other), rtol=1e-12)


def test_trainings_go_on():
    many, single = networks(), networks()
    first = rp.fit_many(many, X, Y, batch_size=4, epochs=2, seed=range(3))
    histories = rp.fit_many(many, X, Y, batch_size=4, epochs=3, resume_from=first)
    alone = [rp.fit(net, X, Y, batch_size=4, epochs=5, seed=k) for k, net in enumerate(single)]
    agree(many, single, histories, alone)


def test_checkpoints_have_a_folder_each(tmp_path):
    folders = [rp.Checkpoint(tmp_path / str(k)) for k in range(3)]
    rp.fit_many(networks(), X, Y, epochs=2, checkpoint=folders)
    assert all(list((tmp_path / str(k)).glob("*.safetensors")) for k in range(3))
    with pytest.raises(ValueError, match=r"checkpoint is one folder for several networks: pass a list"):
        rp.fit_many(networks(), X, Y, checkpoint=folders[0])
    other = tmp_path / "other"
    with pytest.raises(ValueError, match="checkpoint is one folder for several networks"):
        rp.fit_many(networks(), X, Y, checkpoint=[None, rp.Checkpoint(other), rp.Checkpoint(f"{tmp_path}/./other")])
    assert not other.exists()


def test_the_same_data_are_taken_in_once(monkeypatch):
    taken = []
    for name in ("take_inputs", "take_targets", "take_weights"):
        own = getattr(intake, name)
        monkeypatch.setattr(
            intake, name, lambda *args, own=own, name=name, **options: taken.append(name) or own(*args, **options)
        )
    x, y = X.tolist(), Y.astype("float32")
    rp.fit_many(networks(4), x, [y, y, y, Y], batch_size=4, epochs=1, sample_weight=W)
    assert sorted(taken) == ["take_inputs", "take_targets", "take_targets", "take_weights"]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("seed", 3, [3, 3]),
        ("seed", [3, 4], [3, 4]),
        ("seed", np.asarray([3, 4]), [3, 4]),
        ("seed", np.int64(3), [3, 3]),
        ("optimizer", "adam", ["adam", "adam"]),
        ("optimizer", ("adam", "sgd"), ["adam", "sgd"]),
        ("metrics", "r2", ["r2", "r2"]),
        ("metrics", ["r2", "error"], [["r2", "error"]] * 2),
        ("metrics", [["r2"], []], [["r2"], []]),
        ("metrics", [], [[], []]),
        ("validation_data", (1, 2), [(1, 2)] * 2),
        ("validation_data", [(1, 2), None], [(1, 2), None]),
        ("x", [[1.0, 2.0], [3.0, 4.0]], [[[1.0, 2.0], [3.0, 4.0]]] * 2),
        ("y", [1, 0], [[1, 0]] * 2),
        ("sample_weight", [None, None], [None, None]),
        ("rows", [0, 1], [[0, 1]] * 2),
        ("rows", [[0, 1], None], [[0, 1], None]),
        ("resume_from", HISTORY, [HISTORY] * 2),
        ("resume_from", [HISTORY, None], [HISTORY, None]),
    ],
)
def test_one_value_and_a_list_are_told_apart(name, given, expected):
    assert per_model(name, given, 2) == expected


def test_arrays_in_a_list_are_one_each():
    found = per_model("x", [X, Y], 2)
    assert found[0] is X
    assert found[1] is Y
    assert per_model("x", X, 2)[1] is X


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"progress": "x"}, r"nets\[0\]: progress must be True or False, not 'x'"),
        ({"epochs": [1, 2]}, r"epochs is a list of 2, and there are 3 networks"),
        ({"x": [X, X]}, r"x is a list of 2, and there are 3 networks.*numpy.stack"),
        ({"seed": range(4)}, r"seed is a list of 4"),
        ({"metrics": [["r2"], "error", []]}, r"metrics is a list of lists and of other things"),
        ({"validation_data": [X, Y]}, r"validation_data is a list, and so one for each network"),
        ({"sample_weight": [W, None, 1.0]}, r"sample_weight is a list of arrays and of other things"),
        ({"epochs": [1, 0, 2]}, r"nets\[1\]: epochs must be 1 or above, not 0"),
        ({"optimizer": ["adam", "adam", "adem"]}, r"nets\[2\]: .*'adem'"),
        ({"rows": [[0, 1], [0, 13], None]}, r"nets\[1\]: rows must be in \[0, 13\)"),
        ({"rows": [0.0, 1.0]}, r"nets\[0\]: rows must hold the indices of rows"),
        ({"rows": [[True] * 13] * 3}, r"rows must hold the indices of rows.*flatnonzero"),
        ({"rows": [[0], [], [1]]}, r"nets\[1\]: rows is empty"),
        ({"rows": [[0]] * 3, "sample_weight": np.eye(13)[1]}, r"sample_weight is 0 for each of rows"),
        ({"nets": []}, r"nets is empty"),
        ({"nets": [1]}, r"nets\[0\] must be a Network"),
        ({"nets": networks(1)[0]}, r"fit_many takes a list of networks first"),
        ({"nets": networks(1) * 2}, r"nets\[1\] is the same network as nets\[0\]"),
        ({"x": iter([(X, Y)]), "y": None, "epochs": 1}, r"x is one iterator of batches for several networks"),
        ({"learning_rate": 0.1}, r"fit_many has no argument learning_rate=0.1: the learning rate belongs to"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(options, message):
    nets = options.get("nets", networks())
    own = [net for net in nets if isinstance(net, rp.Network)] if isinstance(nets, list) else []
    before = [numbers(net) for net in own]
    options = {"nets": nets, "x": X, "y": Y, **options}
    with pytest.raises((TypeError, ValueError), match=message):
        rp.fit_many(**options)
    for net, values in zip(own, before, strict=True):
        np.testing.assert_array_equal(numbers(net), values)
