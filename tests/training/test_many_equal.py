"""K networks in one step are the K networks, histories and stopping epochs of K single trainings."""

import numpy as np
import pytest
from harness import needing, open_backend

import retroprop as rp
from retroprop.functions.activations import elementwise_names
from retroprop.training.many.group import Group

K = 5
RNG = np.random.default_rng(11)
X = RNG.normal(size=(37, 3))
TARGETS = {
    "squared_error": np.stack([np.sin(X[:, 0]) + 0.3 * X[:, 1], X[:, 2] * X[:, 0]], axis=1),
    "huber": np.stack([np.cos(X[:, 0]), X[:, 1]], axis=1),
    "poisson": np.stack([np.exp(X[:, 0]), np.abs(X[:, 1])], axis=1),
    "binary_cross_entropy": (np.stack([X[:, 0], X[:, 1] * X[:, 2]], axis=1) > 0.0).astype("float64"),
    "cross_entropy": (X[:, 0] > 0.3).astype("int64"),
}
OUTPUTS = {
    "squared_error": "identity",
    "huber": "tanh",
    "poisson": "exp",
    "binary_cross_entropy": "sigmoid",
    "cross_entropy": "softmax",
}
WEIGHT = RNG.integers(0, 4, 37).astype("float64")
O = rp.optimizers
S = rp.schedules
SOLVERS = (
    lambda rate: O.SGD(rate),
    lambda rate: O.SGD(rate, momentum=0.9),
    lambda rate: O.SGD(rate, momentum=0.8, nesterov=True),
    lambda rate: O.RMSprop(rate),
    lambda rate: O.Adam(rate),
    lambda rate: O.AdamW(rate, weight_decay=0.1),
    lambda rate: O.Lion(rate),
)
RATES = (0.01, 0.02, S.Exponential(0.02, 0.99), S.ReduceOnPlateau(0.02, patience=1), S.Cosine(0.03, 20))
RATES_LIKE = (0.003, 0.01, 0.02, 0.005, 0.03)
STOPPING = (
    None,
    rp.EarlyStopping(patience=2),
    rp.EarlyStopping(monitor="cost", patience=1, tol=1e-2),
    rp.EarlyStopping(patience=1, tol=1e-2, restore_best=False),
)
FOLDS = [np.flatnonzero(np.arange(37) % K != k) for k in range(K)]


def configuration(number):
    """Return how K networks are made, and the arguments of `fit_many`: a mixture that depends on the number alone."""
    rng = np.random.default_rng(number)
    names = elementwise_names()
    loss = list(TARGETS)[number % len(TARGETS)]
    penalties = [float(p) for p in rng.choice([0.0, 1e-3, 1e-2], K)] if number % 2 else [1e-3] * K
    dropout = [0.2, 0.5, 0.3, 0.1, 0.25] if number % 3 == 1 else [0.0] * K

    def nets(backend):
        return [
            rp.Network(
                [3, 4, 5, 2],
                hidden=[names[number % len(names)], names[(number * 5 + 1) % len(names)]],
                output=OUTPUTS[loss],
                loss=loss,
                bias=number % 7 != 3,
                l2=penalties[k],
                l1=penalties[-k] if number % 4 == 1 else 0.0,
                dropout=dropout[k],
                seed=k,
                dtype="float64",
                backend=backend,
            )
            for k in range(K)
        ]

    rates = RATES if number % 3 else RATES_LIKE
    options = {
        "optimizer": [SOLVERS[number % len(SOLVERS)](rate) for rate in rates],
        "epochs": [int(n) for n in rng.integers(2, 6, K)],
        "batch_size": (8, None, 36, 10, 30)[number % 5],
        "shuffle": number % 6 != 5,
        "seed": [int(n) for n in rng.integers(0, 3, K)],
        "clip_norm": 0.2 if number % 5 == 2 else None,
        "clip_value": 0.05 if number % 8 == 3 else None,
    }
    if number % 4 != 2:
        options["rows"] = FOLDS
    if number % 3 == 2:
        options["sample_weight"] = WEIGHT
    stopping = STOPPING[number % len(STOPPING)]
    if stopping is not None:
        options |= {"early_stopping": stopping, "epochs": 12}
    metrics = {"cross_entropy": "accuracy", "binary_cross_entropy": "error"}.get(loss, "r2")
    options["metrics"] = metrics if number % 4 in (1, 2) else ()
    if stopping is not None and stopping.monitor == "validation_cost":
        held = [(X[fold[::3]], TARGETS[loss][fold[::3]]) for fold in FOLDS]
        options["validation_data"] = held if number % 8 < 4 else held[0]
    return nets, TARGETS[loss], options


def alone(net, x, y, options, k):
    """Train one network as `fit_many` is asked to train the one with that number."""
    own = {name: value[k] if isinstance(value, list) or name == "rows" else value for name, value in options.items()}
    rows = own.pop("rows", slice(None))
    if "sample_weight" in own:
        own["sample_weight"] = own["sample_weight"][rows]
    try:
        return rp.fit(net, x[rows], y[rows], **own)
    except rp.DivergenceError as error:
        return error.history


def numbers(net):
    return np.concatenate([net.backend.to_numpy(leaf).ravel() for leaf in net.parameters.leaves])


def assert_equal(many, histories, single, others, tolerance=1e-12):
    for k, (net, other, history, expected) in enumerate(zip(many, single, histories, others, strict=True)):
        what = f"network {k}"
        assert (history.stop_reason, len(history)) == (expected.stop_reason, len(expected)), what
        assert history.best_epoch == expected.best_epoch, what
        for name in ("cost", "validation_cost", "learning_rate"):
            found, wanted = getattr(history, name), getattr(expected, name)
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance, err_msg=f"{name}, {what}")
        for name, wanted in expected.metrics.items():
            np.testing.assert_allclose(history.metrics[name], wanted, rtol=tolerance, atol=tolerance, err_msg=what)
        np.testing.assert_allclose(numbers(net), numbers(other), rtol=tolerance, atol=tolerance, err_msg=what)
        for leaf, like in zip(net.parameters.leaves, other.parameters.leaves, strict=True):
            assert net.backend.owns(leaf)
            assert (leaf.dtype, tuple(leaf.shape)) == (like.dtype, tuple(like.shape))


@pytest.fixture
def batched(monkeypatch):
    """The numbers of networks that were trained in groups."""
    found, run = [], Group.run

    def counted(group):
        found.append(len(group.course.members))
        return run(group)

    monkeypatch.setattr(Group, "run", counted)
    return found


def check(backend, number, batched):
    nets, y, options = configuration(number)
    many, single = nets(backend), nets(backend)
    histories = rp.fit_many(many, X, y, **options)
    assert sum(batched) == K
    assert_equal(many, histories, single, [alone(net, X, y, options, k) for k, net in enumerate(single)])


QUICK = {"numpy": range(0, 64, 7), "array_api_strict:device1": (7,), "torch:cpu": (4, 11)}


@pytest.mark.parametrize(
    ("name", "number"),
    [pytest.param(name, n, marks=needing(name).marks) for name, some in QUICK.items() for n in some],
)
def test_a_few_are_equal_to_single_trainings(name, number, batched):
    check(open_backend(name), number, batched)


@pytest.mark.long
@pytest.mark.parametrize("number", range(64))
def test_all_are_equal_to_single_trainings(number, backend, batched):
    check(backend, number, batched)


@pytest.mark.long
@pytest.mark.parametrize("number", range(0, 64, 5))
def test_some_are_equal_by_compiled_steps(number, monkeypatch, batched):
    """Where they are taken; elsewhere the step with a model axis has compiled loops."""
    pytest.importorskip("numba", reason="Numba is not installed (the extra 'fast')")
    monkeypatch.setenv("RETROPROP_NUMBA", "1")
    check(open_backend("numpy"), number, batched)
