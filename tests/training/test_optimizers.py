"""Update rules by hand, against scikit-learn's and PyTorch's, and the same on every backend."""

import math

import numpy as np
import pytest
from harness import assert_close
from oracles import minibatch_rules, oracle

import retroprop as rp
from retroprop.core.parameters import Parameters
from retroprop.training import optimizers
from retroprop.training.optimizers import LBFGS, SGD, Adam, AdamW, Lion, RMSprop

# Each row of the table at its defaults, but for a weight decay where it has one.
RULES = minibatch_rules(0.01) | {"adamw": AdamW(0.01, weight_decay=0.1), "lion": Lion(0.01, weight_decay=0.1)}
SHAPES = ((3, 2), (3, 2), (3,), (3,))  # two thetas, two biases


def start_and_gradients(n=12, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s) for s in SHAPES], [[rng.normal(size=s) for s in SHAPES] for _ in range(n)]


def updates(optimizer, start, gradients, backend="numpy", dtype="float64", rates=None):
    """Return the parameters after each update, and the last state."""
    backend = rp.get_backend(backend)
    operations, rule = backend.operations(), optimizer.formula

    def here(arrays):
        arrays = [backend.asarray(a, dtype) for a in arrays]
        return Parameters(tuple(arrays[:2]), tuple(arrays[2:])) if len(arrays) == 4 else Parameters(tuple(arrays))

    parameters = here(start)
    state = optimizer.start(parameters, backend.xp.zeros_like)
    found = []
    for t, grads in enumerate(gradients):
        rate = rates[t] if rates else optimizer.learning_rate
        hyper = optimizer.hyper(t + 1, rate)
        parameters, state = operations.update(rule, parameters, here(grads), state, hyper)
        found.append(parameters)
    return found, state


def one(optimizer, theta, gradients):
    """Return one number after each update, as Python floats."""
    found, _ = updates(optimizer, [[[theta]]], [[[[g]]] for g in gradients])
    return [float(p.thetas[0][0, 0]) for p in found]


# By hand --------------------------------------------------------------------------------------------------------


def test_gradient_descent_by_hand():
    assert one(SGD(0.5), 1.0, [2.0, -1.0]) == [0.0, 0.5]


def test_momentum_by_hand():
    # v: −1, then 0.5·(−1) − 0.5·2 = −1.5
    assert one(SGD(0.5, momentum=0.5), 1.0, [2.0, 2.0]) == [0.0, -1.5]


def test_nesterov_by_hand():
    # v: −1, step 0.5·(−1) − 1 = −1.5; then v = −1.5, step −0.75 − 1 = −1.75
    assert one(SGD(0.5, momentum=0.5, nesterov=True), 1.0, [2.0, 2.0]) == [-0.5, -2.25]


def test_rmsprop_by_hand():
    # ν: 0.25·16 = 4, then 0.75·4 + 0.25·4 = 4: √ν = 2 both times, ε = 2
    assert one(RMSprop(0.5, decay=0.75, epsilon=2.0), 1.0, [4.0, -2.0]) == [0.5, 0.75]


def test_adam_by_hand():
    # t = 1: mu = 1, nu = 4·0.25 = 1, η_1 = 0.5 √0.25 / 0.5 = 0.5, step 0.5·1/(1 + 1) = 0.25
    # t = 2: mu = 0.5 + 1 = 1.5, nu = 0.75 + 1 = 1.75, η_2 = 0.5 √(1 − 0.5625)/0.75
    adam = Adam(0.5, beta1=0.5, beta2=0.75, epsilon=1.0)
    second = 0.75 - 0.5 * math.sqrt(0.4375) / 0.75 * 1.5 / (math.sqrt(1.75) + 1.0)
    assert one(adam, 1.0, [2.0, 2.0]) == pytest.approx([0.75, second], rel=1e-15)


def test_adamw_by_hand():
    # decays first: 1·(1 − 0.5·0.2) = 0.9, then Adam's own 0.25 less
    decayed = AdamW(0.5, beta1=0.5, beta2=0.75, epsilon=1.0, weight_decay=0.2)
    first = 0.9 - 0.25
    second = first * 0.9 - 0.5 * math.sqrt(0.4375) / 0.75 * 1.5 / (math.sqrt(1.75) + 1.0)
    assert one(decayed, 1.0, [2.0, 2.0]) == pytest.approx([first, second], rel=1e-15)


def test_lion_by_hand():
    # t = 1: sign(0.5·0 + 0.5·2) = 1, mu = 0.25·2 = 0.5; t = 2: sign(0.25 − 0.5·0.25) = 1, mu = 0.375 − 0.0625
    # t = 3: sign(0.15625 − 0.5) = −1
    lion = Lion(0.5, beta1=0.5, beta2=0.75)
    assert one(lion, 1.0, [2.0, -0.25, -1.0]) == [0.5, 0.0, 0.5]
    assert one(lion, 1.0, [0.0]) == [1.0]  # sign 0 = 0
    assert one(Lion(0.5, weight_decay=0.5), 1.0, [2.0]) == [1.0 - 0.5 * (1.0 + 0.5)]


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_against_the_papers_algorithm_in_scalars(name):
    algorithm = oracle("optimizer", name, "mpmath")
    rule = RULES[name]
    gradients = np.random.default_rng(3).normal(size=50).tolist()
    assert one(rule, 0.7, gradients) == pytest.approx([float(t) for t in algorithm(rule, 0.7, gradients)], rel=1e-13)


# Against others ---------------------------------------------------------------------------------------------------


def agree(found, expected):
    for parameters, arrays in zip(found, expected, strict=True):
        for actual, wanted in zip(parameters.leaves, arrays, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "ours",
    [SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9, nesterov=True), SGD(0.3, momentum=0.5, nesterov=True), Adam(0.02)],
    ids=str,
)
def test_against_scikit_learn(ours):
    theirs = pytest.importorskip("sklearn.neural_network._stochastic_optimizers", reason="scikit-learn is the witness")
    start, gradients = start_and_gradients()
    params = [a.copy() for a in start]
    if isinstance(ours, Adam):
        optimizer = theirs.AdamOptimizer(params, ours.learning_rate, ours.beta1, ours.beta2, ours.epsilon)
    else:
        optimizer = theirs.SGDOptimizer(params, ours.learning_rate, momentum=ours.momentum, nesterov=ours.nesterov)
    expected = []
    for grads in gradients:
        optimizer.update_params(params, grads)
        expected.append([p.copy() for p in params])
    agree(updates(ours, start, gradients)[0], expected)


def test_momentum_with_a_rate_that_changes_is_scikit_learns():
    # v ← μv − ηg: the rate is inside the velocity, so a change of it counts from the next gradient on.
    theirs = pytest.importorskip("sklearn.neural_network._stochastic_optimizers", reason="scikit-learn is the witness")
    start, gradients = start_and_gradients()
    rates = [0.1 / (1 + t) for t in range(len(gradients))]
    params, expected = [a.copy() for a in start], []
    optimizer = theirs.SGDOptimizer(params, 0.1, momentum=0.9, nesterov=False)
    for grads, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.update_params(params, grads)
        expected.append([p.copy() for p in params])
    agree(updates(SGD(0.1, momentum=0.9), start, gradients, rates=rates)[0], expected)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_against_pytorch(name):
    cases = oracle("optimizer", name, "torch")
    import torch

    for options, theirs, their_options in cases:
        start, gradients = start_and_gradients()
        params = [torch.tensor(a) for a in start]
        optimizer = getattr(torch.optim, theirs)(params, **their_options)
        expected = []
        for grads in gradients:
            for p, g in zip(params, grads, strict=True):
                p.grad = torch.tensor(g)
            optimizer.step()
            expected.append([p.numpy().copy() for p in params])
        agree(updates(optimizers.OPTIMIZERS[name](**options), start, gradients)[0], expected)


def test_adams_epsilon_is_pytorchs_less_its_bias_correction():
    torch = pytest.importorskip("torch", reason="PyTorch is the witness")
    # One update from 0: √(ν/(1 − β₂)) + ε there, (√ν + ε)/√(1 − β₂) here, so ε here is ε √(1 − β₂) of theirs.
    p = torch.zeros(1, dtype=torch.float64)
    p.grad = torch.full((1,), 0.3, dtype=torch.float64)
    torch.optim.Adam([p], lr=0.1, betas=(0.9, 0.99), eps=0.5).step()
    ours = one(Adam(0.1, beta1=0.9, beta2=0.99, epsilon=0.5 * math.sqrt(1.0 - 0.99)), 0.0, [0.3])
    assert ours[0] == pytest.approx(p.item(), rel=1e-12)
    plain = one(Adam(0.1, beta1=0.9, beta2=0.99, epsilon=0.5), 0.0, [0.3])
    assert abs(plain[0] - p.item()) > 1e-3


# On every backend -------------------------------------------------------------------------------------------------

EVERY = [*RULES.values(), SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9, nesterov=True)]


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_the_same_on_every_backend(optimizer, backend, dtype):
    start, gradients = start_and_gradients(5)
    start, gradients = [a.astype(dtype) for a in start], [[g.astype(dtype) for g in gs] for gs in gradients]
    found, state = updates(optimizer, start, gradients, backend, dtype)
    expected, expected_state = updates(optimizer, start, gradients, "numpy", "float64")
    rtol = 64.0 * float(np.finfo(dtype).eps)  # five updates of a dozen roundings each
    for actual, wanted in zip(found[-1].leaves, expected[-1].leaves, strict=True):
        assert_close(actual, wanted, backend=backend, dtype=dtype, rtol=rtol)
    assert len(state) == optimizer.slots
    for slot, expected_slot in zip(state, expected_state, strict=True):
        for actual, wanted in zip(slot.leaves, expected_slot.leaves, strict=True):
            assert_close(actual, wanted, backend=backend, dtype=dtype, rtol=rtol)


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_the_state_begins_with_zeros_of_the_parameters_form(optimizer, backend, dtype):
    net = rp.Network([2, 3, 2], seed=0, dtype=dtype, backend=backend)
    state = optimizer.start(net.parameters, backend.xp.zeros_like)
    assert len(state) == optimizer.slots
    for slot in state:
        assert isinstance(slot, Parameters)
        assert len(slot.thetas) == len(slot.biases) == 2
        for zeros, parameter in zip(slot.leaves, net.parameters.leaves, strict=True):
            assert_close(zeros, np.zeros(parameter.shape), backend=backend, dtype=dtype)


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_a_gradient_of_zeros_from_rest_moves_nothing(optimizer, dtype):
    start, _ = start_and_gradients()
    found, _ = updates(optimizer, start, [[np.zeros(s) for s in SHAPES]] * 2, dtype=dtype)
    keep = (1.0 - optimizer.learning_rate * getattr(optimizer, "weight_decay", 0.0)) ** 2
    for actual, wanted in zip(found[-1].leaves, start, strict=True):
        np.testing.assert_allclose(actual, keep * wanted, rtol=8.0 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_an_update_changes_none_of_its_arguments(optimizer):
    start, gradients = start_and_gradients(1)
    for array in (*start, *gradients[0]):
        array.flags.writeable = False
    updates(optimizer, start, gradients)


def test_names_and_defaults():
    assert all(optimizers.get(name).name == name for name in optimizers.OPTIMIZERS)
    assert optimizers.get("adam") == Adam(0.001, beta1=0.9, beta2=0.999, epsilon=1e-8)
    assert optimizers.get("sgd") == SGD(0.01, momentum=0.0, nesterov=False)
    assert optimizers.get("rmsprop") == RMSprop(0.001, decay=0.9, epsilon=1e-8)
    assert optimizers.get("adamw") == AdamW(0.001, weight_decay=0.01)
    assert optimizers.get("lion") == Lion(0.0001, beta1=0.9, beta2=0.99, weight_decay=0.0)
    assert optimizers.get("lbfgs") == LBFGS(
        history=10, gradient_tol=1e-5, cost_tol=2.22e-9, max_evaluations=20, c1=1e-4, c2=0.9
    )
    given = SGD(0.3)
    assert optimizers.get(given) is given


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SGD(0.0), "learning_rate"),
        (lambda: SGD(-0.1), "learning_rate"),
        (lambda: SGD(0.1, momentum=1.5), "momentum of SGD"),
        (lambda: SGD(0.1, momentum=-0.1), "momentum of SGD"),
        (lambda: SGD(0.1, nesterov=True), "nesterov of SGD needs a momentum"),
        (lambda: RMSprop(0.1, decay=1.0), "decay of RMSprop"),
        (lambda: RMSprop(0.1, epsilon=-1.0), "epsilon of RMSprop"),
        (lambda: Adam(0.1, beta1=1.0), "beta1 of Adam"),
        (lambda: Adam(0.1, beta2=1.0), "beta2 of Adam"),
        (lambda: Adam(0.1, epsilon=math.inf), "epsilon of Adam"),
        (lambda: AdamW(0.1, beta2=1.0), "beta2 of AdamW"),
        (lambda: AdamW(0.1, weight_decay=-1.0), "weight_decay of AdamW"),
        (lambda: Lion(0.1, beta1=1.5), "beta1 of Lion"),
        (lambda: Lion(0.1, weight_decay=math.nan), "weight_decay of Lion"),
        (lambda: LBFGS(history=0), "history of LBFGS"),
        (lambda: LBFGS(history=2.5), "history of LBFGS"),
        (lambda: LBFGS(max_evaluations=True), "max_evaluations of LBFGS"),
        (lambda: LBFGS(gradient_tol=-1.0), "gradient_tol of LBFGS"),
        (lambda: LBFGS(cost_tol=math.nan), "cost_tol of LBFGS"),
        (lambda: LBFGS(c1=0.9, c2=0.1), "c1 and c2 of LBFGS"),
        (lambda: LBFGS(c1=0.0), "c1 and c2 of LBFGS"),
        (lambda: LBFGS(c2=1.0), "c1 and c2 of LBFGS"),
    ],
)
def test_what_is_out_of_range_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_a_learning_rate_that_is_none_is_refused():
    with pytest.raises(TypeError, match="learning_rate"):
        Adam("fast")
