"""Every activation with every loss it has a meaning for: the recursion against three foreign witnesses.

The witnesses see only values: f and J_i as `oracles` has them in torch or jax, or the core's own cost in central
differences. None of them sees a derivative of ours.
"""

import itertools

import numpy as np
import pytest
from harness import relative_error
from oracles import oracle, targets_of
from selection import covering

import retroprop as rp
from retroprop.core.architecture import build
from retroprop.core.backward import backward, evaluate
from retroprop.core.forward import forward
from retroprop.core.gradient_check import differences
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.activations import ACTIVATIONS, elementwise_names
from retroprop.functions.losses import LOSSES

AGAINST_AUTODIFF = 1e-10
AGAINST_DIFFERENCES = 1e-6
M, N_IN, N_HIDDEN, N_OUT, K = 5, 3, 4, 3, 2


def meaningful():
    """Return every (hidden, output, loss) to look at: each f hidden, and each output with each loss it may have."""
    for f in elementwise_names():
        yield f, "identity", "squared_error"
        yield f, "softmax", "cross_entropy"
    for f, loss in itertools.product(ACTIVATIONS.values(), LOSSES.values()):
        if loss.output_range[0] <= f.range[0] and f.range[1] <= loss.output_range[1]:
            # relu is 0 for half of its inputs, where log a has no value: sigmoid below it keeps it above.
            yield ("sigmoid" if (f.name, loss.name) == ("relu", "poisson") else "tanh"), f.name, loss.name


CASES = sorted(set(meaningful()))


def problem(hidden, output, loss, *, weighted, bias, models, seed=0):
    """Return the architecture, the parameters and the data of a case, float64 on NumPy."""
    rng = np.random.default_rng(seed)
    architecture = build(
        [N_IN, N_HIDDEN, N_HIDDEN, N_OUT],
        hidden=hidden,
        output=output,
        loss=loss,
        bias=bias,
        l2=0.01,
        l1=0.003,
        dropout=0.0,
    )
    lead = (K,) if models else ()
    # exp of exp grows out of what log a can bear in the witnesses' words
    scale = 0.25 if hidden == "exp" else 0.7
    thetas = [scale * rng.normal(size=(*lead, *shape)) for shape in architecture.shapes]
    biases = [0.5 * rng.normal(size=(*lead, shape[0])) for shape in architecture.shapes] if bias else []
    if output == "relu":
        thetas[-1] = np.abs(thetas[-1]) + 0.1
        biases[-1:] = [np.abs(b) for b in biases[-1:]]
    x = rng.normal(size=(*lead, M, N_IN))
    targets = targets_of(LOSSES[loss])
    if targets == "classes":
        y = rng.dirichlet(np.ones(N_OUT), size=(*lead, M))
    elif targets == "labels":
        y = rng.integers(0, 2, size=(*lead, M, N_OUT)).astype("float64")
    elif targets == "counts":
        y = rng.poisson(2.0, size=(*lead, M, N_OUT)).astype("float64")
    else:
        y = rng.normal(size=(*lead, M, N_OUT))
    weight = rng.uniform(0.2, 2.0, size=(*lead, M)) if weighted else None
    return architecture, Parameters(tuple(thetas), tuple(biases)), x, y, weight


def gradients(architecture, parameters, x, y, weight, xp=np):
    operations = Operations(xp)
    trace = forward(operations, architecture, parameters, x)
    return backward(operations, architecture, parameters, trace, y, weight, wrt_input=True)


def foreign_cost(library, architecture, thetas, biases, x, y, weight):
    """Return J in another library, summed over the models: their gradients do not mix."""
    a, loss = x, architecture.output.loss
    for i, activation in enumerate(architecture.activations):
        z = a @ thetas[i].swapaxes(-1, -2)
        if biases:
            z = z + biases[i][..., None, :]
        a = oracle("activation", activation.name, library)(z)
    losses = oracle("loss", loss.name, library)(loss, a, y).sum(-1)
    if weight is None:
        weight = 0 * losses + 1
    j = ((weight * losses).sum(-1) / weight.sum(-1)).sum()
    for theta in thetas:
        j = j + 0.5 * architecture.l2 * (theta**2).sum() + architecture.l1 * abs(theta).sum()
    return j


def by_torch(case):
    import torch

    architecture, parameters, x, y, weight = case
    leaves = [torch.tensor(leaf, requires_grad=True) for leaf in (*parameters.leaves, x)]
    n = len(parameters.thetas)
    arrays = [None if array is None else torch.tensor(array) for array in (y, weight)]
    j = foreign_cost("torch", architecture, leaves[:n], leaves[n:-1], leaves[-1], *arrays)
    return j.item(), [g.numpy() for g in torch.autograd.grad(j, leaves)]


def by_jax(case):
    import jax

    architecture, parameters, x, y, weight = case
    n = len(parameters.thetas)

    def j(leaves):
        return foreign_cost("jax", architecture, leaves[:n], leaves[n:-1], leaves[-1], y, weight)

    # As one program: operation by operation it compiles each of them, a hundred for one case.
    value, found = jax.jit(jax.value_and_grad(j))([jax.numpy.asarray(leaf) for leaf in (*parameters.leaves, x)])
    return float(value), [np.asarray(g) for g in found]


VARIANTS = list(itertools.product((False, True), repeat=3))


# JAX compiles every operation of every case: in the short run it has cases with every function at every place.
JAX_CASES = [CASES[i] for i in covering([set(enumerate(case)) for case in CASES])]


def witnessed():
    """Return every case with every foreign autodiff."""
    for case in CASES:
        late = [] if case in JAX_CASES else [pytest.mark.long]
        yield pytest.param(*case, by_torch, marks=pytest.mark.needs("torch"))
        yield pytest.param(*case, by_jax, marks=[pytest.mark.needs("jax"), *late])


@pytest.mark.parametrize(("hidden", "output", "loss", "witness"), [*witnessed()])
def test_recursion_against_autodiff(hidden, output, loss, witness):
    """With and without weights, bias and a leading model axis, in float64, to 1e-10."""
    # jax compiles every operation of every variant; its short form takes the plainest and the fullest.
    variants = VARIANTS if witness is by_torch else [VARIANTS[0], VARIANTS[-1]]
    for weighted, bias, models in variants:
        case = problem(hidden, output, loss, weighted=weighted, bias=bias, models=models)
        value, foreign = witness(case)
        ours = gradients(*case)
        assert np.sum(ours.cost) == pytest.approx(value, rel=AGAINST_AUTODIFF)
        for g, h in zip((*ours.parameters.leaves, ours.x), foreign, strict=True):
            assert relative_error(g, h) < AGAINST_AUTODIFF, (weighted, bias, models)


@pytest.mark.long
@pytest.mark.needs("jax")
@pytest.mark.parametrize(("hidden", "output", "loss"), CASES)
def test_recursion_against_jax_in_every_variant(hidden, output, loss):
    for weighted, bias, models in VARIANTS:
        case = problem(hidden, output, loss, weighted=weighted, bias=bias, models=models, seed=1)
        ours = gradients(*case)
        for g, h in zip((*ours.parameters.leaves, ours.x), by_jax(case)[1], strict=True):
            assert relative_error(g, h) < AGAINST_AUTODIFF, (weighted, bias, models)


@pytest.mark.parametrize(("hidden", "output", "loss"), CASES)
def test_recursion_against_central_differences(hidden, output, loss):
    for weighted, bias in itertools.product((False, True), repeat=2):
        architecture, parameters, *data = problem(hidden, output, loss, weighted=weighted, bias=bias, models=False)
        operations = Operations(np)
        g = gradients(architecture, parameters, *data).parameters

        def j(p, architecture=architecture, data=data, operations=operations):
            return evaluate(operations, architecture, p, *data)[0]

        for leaf, grad in enumerate(g.leaves):
            everywhere = np.arange(grad.size)
            left, right = differences(j, parameters, leaf, everywhere, 1e-6, np)
            assert relative_error(grad.ravel(), (left + right) / 2) < AGAINST_DIFFERENCES, (weighted, bias, leaf)


@pytest.mark.parametrize(("hidden", "output", "loss"), CASES)
def test_a_model_axis_is_many_networks(hidden, output, loss):
    """K models in one call are K calls, whether or not they share their data."""
    for weighted, bias in itertools.product((False, True), repeat=2):
        architecture, parameters, x, y, weight = problem(
            hidden, output, loss, weighted=weighted, bias=bias, models=True
        )
        own = gradients(architecture, parameters, x, y, weight)
        shared = gradients(architecture, parameters, x[0], y[0], None if weight is None else weight[0])
        assert own.cost.shape == shared.cost.shape == (K,)
        for k in range(K):
            alone = Parameters(*(tuple(leaf[k] for leaf in part) for part in parameters))
            for together, data in ((own, k), (shared, 0)):
                one = gradients(architecture, alone, x[data], y[data], None if weight is None else weight[data])
                assert together.cost[k] == pytest.approx(one.cost, rel=1e-14)
                for g, h in zip(
                    (*together.parameters.leaves, together.x), (*one.parameters.leaves, one.x), strict=True
                ):
                    assert relative_error(g[k], h) < 1e-13


def test_every_activation_and_loss_is_a_case():
    assert {case[0] for case in CASES} | {case[1] for case in CASES} == set(ACTIVATIONS)
    assert {case[2] for case in CASES} == set(LOSSES)


def test_class_indices_are_one_hot_rows(backend, dtype):
    net = rp.Network([3, 4, 3], output="softmax", loss="cross_entropy", seed=0, dtype=dtype, backend=backend)
    x = np.random.default_rng(0).normal(size=(4, 3))
    indices = net.gradient(x, [2, 0, 1, 2])
    rows = net.gradient(x, [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    to_numpy = backend.to_numpy
    assert to_numpy(indices.cost) == to_numpy(rows.cost)
    for one, other in zip(indices.thetas + indices.biases, rows.thetas + rows.biases, strict=True):
        assert (to_numpy(one) == to_numpy(other)).all()


@pytest.mark.parametrize(
    ("output", "loss", "y"),
    [
        ("softmax", "cross_entropy", [[1.0, 0.0], [0.0, 1.0]]),
        ("sigmoid", "binary_cross_entropy", [[1.0, 0.0], [0.0, 1.0]]),
        ("softmax", "binary_cross_entropy", [[1.0, 0.0], [0.0, 1.0]]),
        ("sigmoid", "cross_entropy", [[1.0, 0.0], [0.0, 1.0]]),
        ("sigmoid", "poisson", [[3.0, 0.0], [0.0, 3.0]]),
        ("softplus", "poisson", [[3.0, 0.0], [0.0, 3.0]]),
        ("identity", "log_cosh", [[1.0, 0.0], [0.0, 1.0]]),
        ("identity", "huber", [[1.0, 0.0], [0.0, 1.0]]),
    ],
)
@pytest.mark.parametrize("logit", [1e2, 1e4, -1e4])
def test_finite_at_extreme_logits(output, loss, y, logit, backend, dtype):
    net = rp.Network.from_parameters([[[1.0, 0.0], [0.0, 1.0]]], output=output, loss=loss, dtype=dtype, backend=backend)
    g = net.gradient([[logit, 0.0], [logit, 0.0]], y, wrt_input=True)
    for array in (g.cost, g.deltas[-1], g.thetas[0], g.x):
        assert np.isfinite(backend.to_numpy(array)).all()
    if (output, loss) == ("softmax", "cross_entropy"):
        # One observation is right and costs nothing, the other is wrong by the whole logit.
        assert float(backend.to_numpy(g.cost)) == pytest.approx(abs(logit) / 2, rel=1e-6)
    if (output, loss) == ("sigmoid", "binary_cross_entropy"):
        assert float(backend.to_numpy(g.cost)) == pytest.approx(abs(logit) / 2 + np.log(2.0), rel=1e-6)


def test_weights_that_sum_to_0_leave_the_penalties(backend, dtype):
    architecture = build([2, 3, 1], hidden="tanh", output="identity", loss="squared_error", bias=True, l2=0.1, l1=0.0,
                         dropout=0.0)  # fmt: skip
    net = rp.Network([2, 3, 1], hidden="tanh", l2=0.1, seed=0, dtype=dtype, backend=backend)
    batch = net.batch([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0])
    nothing = backend.asarray([0.0, 0.0], dtype)
    operations = backend.operations()
    trace = forward(operations, architecture, net.parameters, batch.x)
    g = backward(operations, architecture, net.parameters, trace, batch.y, nothing)
    thetas = [backend.to_numpy(theta) for theta in net.thetas]
    assert float(backend.to_numpy(g.cost)) == pytest.approx(0.05 * sum((t**2).sum() for t in thetas), rel=1e-6)
    for grad, theta in zip(g.thetas, thetas, strict=True):
        np.testing.assert_allclose(backend.to_numpy(grad), 0.1 * theta, rtol=1e-6)
    for grad in g.biases:
        assert (backend.to_numpy(grad) == 0).all()


def test_dropout_uses_the_activation_before_the_mask_for_f_prime():
    """δ = (δΘ ∘ mask/(1−p)) ∘ f′(a before the mask), Θ's gradient the masked activation: against torch."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(0)
    architecture = build([3, 4, 4, 2], hidden=["tanh", "softplus"], output="identity", loss="squared_error",
                         bias=True, l2=0.0, l1=0.0, dropout=[0.5, 0.25])  # fmt: skip
    thetas = tuple(rng.normal(size=shape) for shape in architecture.shapes)
    biases = tuple(rng.normal(size=shape[0]) for shape in architecture.shapes)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    masks = [(rng.random((6, 4)) >= p) / (1.0 - p) for p in (0.5, 0.25)]
    operations = Operations(np)
    parameters = Parameters(thetas, biases)
    g = backward(operations, architecture, parameters, forward(operations, architecture, parameters, x, masks), y)

    leaves = [torch.tensor(leaf, requires_grad=True) for leaf in parameters.leaves]
    t, b, keep = leaves[:3], leaves[3:], [torch.tensor(mask) for mask in masks]
    a = torch.tanh(torch.tensor(x) @ t[0].T + b[0]) * keep[0]
    a = torch.nn.functional.softplus(a @ t[1].T + b[1]) * keep[1]
    j = 0.5 * ((a @ t[2].T + b[2] - torch.tensor(y)) ** 2).sum(-1).mean()
    assert float(g.cost) == pytest.approx(j.item(), rel=1e-13)
    for ours, theirs in zip(g.parameters.leaves, torch.autograd.grad(j, leaves), strict=True):
        assert relative_error(ours, theirs.numpy()) < AGAINST_AUTODIFF
