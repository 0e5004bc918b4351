"""A step asks no array for its value: on a device that would wait, and a captured step could not.

array-api-strict's second device refuses NumPy and implicit transfers by itself; `float(x)` and `bool(x)` it
answers, so here its arrays are made to refuse those too.
"""

import pytest
from harness import open_backend
from oracles import minibatch_rules, targets_of

import retroprop as rp
from retroprop.backends.intake import arrays as intake
from retroprop.functions.activations import elementwise_names
from retroprop.functions.losses import LOSSES
from retroprop.training import lbfgs, optimizers, step
from retroprop.training.batches import dropout_masks, mask_stream


@pytest.fixture
def strict(monkeypatch):
    backend = open_backend("array_api_strict:device1")
    array = type(backend.asarray([1.0]))

    def forbid():
        for name in ("__float__", "__bool__", "__int__", "__index__", "__complex__", "__iter__", "__dlpack__"):

            def refuse(self, *args, name=name, **kwargs):
                raise AssertionError(f"{name} of an array was called inside a step")

            monkeypatch.setattr(array, name, refuse, raising=False)

    return backend, forbid, monkeypatch.undo


def run_steps(strict, net, batch, optimizer, **clips):
    backend, forbid, allow = strict
    import numpy as np

    optimizer = optimizers.get(optimizer)
    bound = step.bind(backend, net.architecture, optimizer, **clips)
    parameters, state = net.parameters, optimizer.start(net.parameters, backend.xp.zeros_like)
    stream = mask_stream(backend, net.architecture, net.dtype, np.random.default_rng(0))
    masks = dropout_masks(stream, 0, batch.x.shape[0], draws=bound.draws)
    forbid()
    try:
        with backend.active():
            for t in range(1, 3):
                result = bound(parameters, state, optimizer.hyper(t, 0.01), batch, None, masks)
                parameters, state = result.parameters, result.state
    finally:
        allow()
    for array in (*parameters.leaves, result.cost, result.a):
        assert backend.owns(array)


X = [[0.1, -0.2, 0.3], [1.0, 2.0, -1.0], [0.5, 0.0, 0.2]]
WEIGHT = [1.0, 2.0, 0.0]


def test_the_trap_works(strict):
    backend, forbid, allow = strict
    x = backend.asarray([1.0])
    forbid()
    with pytest.raises(AssertionError, match="__float__"):
        float(x[0])
    with pytest.raises(AssertionError, match="__bool__"):
        assert x[0] > 0
    allow()
    assert float(x[0]) == 1.0


@pytest.mark.parametrize("hidden", sorted(elementwise_names()))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation(strict, hidden, dtype):
    net = rp.Network([3, 4, 4, 2], hidden=hidden, seed=0, dtype=dtype, backend=strict[0], l2=0.1, l1=0.1, dropout=0.3)
    run_steps(strict, net, net.batch(X, [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], WEIGHT), "adam")


@pytest.mark.parametrize(
    ("output", "loss", "y"),
    [
        ("softmax", "cross_entropy", [0, 1, 1]),
        ("softmax", "cross_entropy", [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]),
        ("softmax", "squared_error", [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]),
        ("sigmoid", "binary_cross_entropy", [[1, 0], [1, 1], [0, 0]]),
        ("exp", "poisson", [[1, 0], [3, 1], [0, 0]]),
        ("softplus", "poisson", [[1, 0], [3, 1], [0, 0]]),
        *(("identity", name, [[1, 0], [3, 1], [0, 0]]) for name, loss in LOSSES.items()
          if targets_of(loss) == "real"),
    ],
)  # fmt: skip
def test_every_loss(strict, output, loss, y):
    net = rp.Network([3, 4, 2], output=output, loss=loss, seed=0, backend=strict[0])
    run_steps(strict, net, net.batch(X, y), "sgd")
    run_steps(strict, net, net.batch(X, y, WEIGHT), "sgd")


@pytest.mark.parametrize("optimizer", sorted(minibatch_rules(0.1)))
def test_every_optimizer_with_clipping(strict, optimizer):
    net = rp.Network([3, 4, 2], seed=0, backend=strict[0])
    run_steps(strict, net, net.batch(X, [[1, 0], [3, 1], [0, 0]]), optimizer, clip_norm=1.0, clip_value=0.5)


def test_iterations_of_lbfgs_ask_for_nothing_but_what_they_read(strict):
    backend, forbid, allow = strict
    net = rp.Network([3, 4, 2], hidden="tanh", seed=0, backend=backend, l2=0.1)
    batch = net.batch(X, [[1, 0], [3, 1], [0, 0]], WEIGHT)
    bound = lbfgs.bind(backend, net.architecture, optimizers.LBFGS())
    reads = []

    def read(*arguments):
        allow()
        reads.append(intake.read(*arguments))
        forbid()
        return reads[-1]

    with pytest.MonkeyPatch.context() as patched, backend.active():
        patched.setattr(lbfgs, "read", read)
        forbid()
        try:
            result = bound(net.parameters, (), (), batch, None, None)
            for _ in range(3):
                result = bound(result.parameters, result.state, (), batch, None, None)
        finally:
            allow()
    assert len(result.state.pairs) == 4
    assert len(reads) >= 1 + 2 * 4
    for array in (*result.parameters.leaves, result.cost, result.a, result.state.pairs[-1].rho):
        assert backend.owns(array)
