"""Every loss against scikit-learn, PyTorch and closed forms, and the output layer at the ends of the range."""

import math

import numpy as np
import pytest
from harness import assert_close, needing, tolerance
from oracles import oracle, targets_of

import retroprop as rp
from retroprop.functions import activations, losses, outputs

ULPS = 32
M, N = 12, 3


def data(kind, seed=0):
    """Return outputs and targets as a loss takes them, exact in both dtypes."""
    rng = np.random.default_rng(seed)
    if kind == "real":
        return rng.integers(-40, 41, (M, N)) / 8.0, rng.integers(-40, 41, (M, N)) / 8.0
    if kind == "counts":
        return rng.integers(1, 80, (M, N)) / 8.0, rng.integers(0, 9, (M, N)).astype("float64")
    a = (rng.multinomial(64 - N, [1 / N] * N, M) + 1) / 64.0  # rows that sum to 1, none 0 or 1
    if kind == "labels":
        return a, rng.integers(0, 2, (M, N)).astype("float64")
    return a, np.eye(N)[rng.integers(0, N, M)]


KINDS = {name: targets_of(loss) for name, loss in losses.LOSSES.items()}
WITH_PARAMETERS = [losses.Huber(0.5), losses.Huber(3.0), losses.Quantile(0.1), losses.Quantile(0.8)]
ALL = [*(losses.get(name) for name in KINDS), *WITH_PARAMETERS]


def both(loss, a, y, backend, dtype):
    a, y = backend.asarray(a, dtype), backend.asarray(y, dtype)
    return loss.value(a, y, backend.xp), loss.derivative(a, y, backend.xp)


def close(actual, expected, backend, dtype):
    """To ULPS units in the last place of the largest expected number: a sum has the error of its largest term."""
    assert_close(actual, expected, backend=backend, dtype=dtype, rtol=ULPS * float(np.finfo(dtype).eps))


def test_a_name_is_that_of_its_entry():
    assert all(losses.get(name).name == name for name in losses.LOSSES)


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_value_sums_over_outputs_and_not_over_observations(loss, backend, dtype):
    by_hand = oracle("loss", loss.name, "mpmath")
    a, y = data(KINDS[loss.name])
    # leading axes are left alone
    value, derivative = both(loss, a.reshape(2, M // 2, N), y.reshape(2, M // 2, N), backend, dtype)
    expected = [
        math.fsum(float(by_hand(loss, *pair)) for pair in zip(*rows, strict=True))
        for rows in zip(a.tolist(), y.tolist(), strict=True)
    ]
    close(value, np.reshape(expected, (2, M // 2)), backend, dtype)
    assert derivative.shape == (2, M // 2, N)


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_derivative_is_that_of_the_value(loss):
    a, y = data(KINDS[loss.name], seed=1)
    a = a + 2.0**-6 if KINDS[loss.name] == "real" else a  # off the kinks
    h = 2.0**-18
    for j in range(N):
        step = np.zeros(N)
        step[j] = h * 0.0625
        difference = (loss.value(a + step, y, np) - loss.value(a - step, y, np)) / (2.0 * step[j])
        error = np.abs(loss.derivative(a, y, np)[:, j] - difference)
        # third derivatives are those of 1/a: 2/a³ at most
        third = 2.0 / np.min(a, axis=-1) ** 3 if KINDS[loss.name] != "real" else 1.0
        rounding = np.finfo("float64").eps * (1.0 + np.abs(loss.value(a, y, np))) / step[j]
        assert np.all(error <= step[j] ** 2 * third * 10.0 + 4.0 * rounding)


@pytest.mark.needs("torch")
@pytest.mark.parametrize("loss", ALL, ids=str)
def test_derivative_against_pytorch(loss, backend, dtype):
    theirs = oracle("loss", loss.name, "torch")
    import torch

    a, y = data(KINDS[loss.name], seed=2)
    a = a + 2.0**-6 if KINDS[loss.name] == "real" else a  # off the kinks
    witness = torch.tensor(a, requires_grad=True)
    theirs(loss, witness, torch.tensor(y)).sum().backward()
    close(both(loss, a, y, backend, dtype)[1], witness.grad.numpy(), backend, dtype)


def test_values_against_scikit_learn(backend, dtype):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the witness")

    def ours(loss, kind):
        a, y = data(kind, seed=3)
        return float(backend.to_numpy(both(loss, a, y, backend, dtype)[0]).astype("float64").mean()) / N

    a, y = data("real", seed=3)
    rel = ULPS * float(np.finfo(dtype).eps)
    assert ours(losses.SquaredError(), "real") == pytest.approx(metrics.mean_squared_error(y, a) / 2, rel=rel)
    assert ours(losses.AbsoluteError(), "real") == pytest.approx(metrics.mean_absolute_error(y, a), rel=rel)
    for q in (0.1, 0.5, 0.8):
        assert ours(losses.Quantile(q), "real") == pytest.approx(metrics.mean_pinball_loss(y, a, alpha=q), rel=rel)
    a, y = data("counts", seed=3)
    deviance = metrics.mean_poisson_deviance(y.ravel(), a.ravel())
    assert ours(losses.Poisson(), "counts") == pytest.approx(deviance / 2, rel=rel)
    a, y = data("labels", seed=3)
    expected = np.mean([metrics.log_loss(y[:, j], a[:, j], labels=[0, 1]) for j in range(N)])
    assert ours(losses.BinaryCrossEntropy(), "labels") == pytest.approx(expected, rel=rel)
    a, y = data("classes", seed=3)
    expected = metrics.log_loss(y.argmax(axis=-1), a, labels=range(N))
    assert ours(losses.CrossEntropy(), "classes") * N == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("loss", [losses.AbsoluteError(), losses.Huber(), losses.LogCosh(), losses.Quantile(0.3)])
def test_no_error_no_loss_and_no_slope(loss, backend, dtype):
    value, derivative = both(loss, [[1.5, -2.0]], [[1.5, -2.0]], backend, dtype)
    np.testing.assert_array_equal(backend.to_numpy(value), [0.0])
    np.testing.assert_array_equal(backend.to_numpy(derivative), [[0.0, 0.0]])


def test_huber_is_continuous_and_its_slope_held(backend, dtype):
    value, derivative = both(losses.Huber(2.0), [[2.0], [-2.0], [100.0], [-100.0]], [[0.0]] * 4, backend, dtype)
    np.testing.assert_array_equal(backend.to_numpy(value), [2.0, 2.0, 198.0, 198.0])
    np.testing.assert_array_equal(backend.to_numpy(derivative), [[2.0], [-2.0], [2.0], [-2.0]])


def test_log_cosh_of_a_huge_error(backend, dtype):
    e = [1e2, -1e2, 1e4, -1e4, 1e30]
    value, derivative = both(losses.LogCosh(), [[v] for v in e], [[0.0]] * 5, backend, dtype)
    close(value, [abs(v) - math.log(2.0) for v in e], backend, dtype)
    np.testing.assert_array_equal(backend.to_numpy(derivative)[:, 0], np.sign(e))


def test_log_cosh_of_a_small_error_is_half_its_square(backend, dtype):
    # e²/2 − e⁴/12 + e⁶/45 − ...: at 2^−4.5 and below the next term, 17 e⁸/2520, is 2e-9 of the value
    e = (1.375 * 2.0 ** np.arange(-5, -31, -1)).astype("float32").astype("float64")
    value, _ = both(losses.LogCosh(), e[:, None], np.zeros((e.size, 1)), backend, dtype)
    expected = e**2 / 2.0 - e**4 / 12.0 + e**6 / 45.0
    # no tolerance but the dtype's: an error of √eps must not lose its cost, nor make it negative
    found = backend.to_numpy(value).astype("float64")
    assert np.all(found >= 0.0)
    np.testing.assert_allclose(found, expected, rtol=tolerance(dtype), atol=0.0)


def test_poisson_at_its_edges(backend, dtype):
    value, derivative = both(losses.Poisson(), [[0.0], [2.0], [2.0]], [[0.0], [0.0], [2.0]], backend, dtype)
    close(value, [0.0, 2.0, 0.0], backend, dtype)
    close(derivative, [[1.0], [1.0], [0.0]], backend, dtype)
    value, _ = both(losses.Poisson(), [[0.0]], [[3.0]], backend, dtype)
    assert np.isfinite(backend.to_numpy(value)[0])
    assert backend.to_numpy(value)[0] > 100.0


def test_cross_entropies_of_soft_targets(backend, dtype):
    a, y = [[0.5, 0.25, 0.25]], [[0.25, 0.75, 0.0]]
    value, derivative = both(losses.CrossEntropy(), a, y, backend, dtype)
    close(value, [0.25 * math.log(2.0) + 0.75 * math.log(4.0)], backend, dtype)
    close(derivative, [[-0.5, -3.0, 0.0]], backend, dtype)
    value, derivative = both(losses.BinaryCrossEntropy(), a, y, backend, dtype)
    expected = math.log(2.0) + 0.75 * math.log(4.0) + 0.25 * math.log(4.0 / 3.0) + math.log(4.0 / 3.0)
    close(value, [expected], backend, dtype)
    # (1 − y)/(1 − a) − y/a
    close(derivative, [[1.0, 1.0 / 3.0 - 3.0, 4.0 / 3.0]], backend, dtype)


# The pairs --------------------------------------------------------------------------------------------------------

PAIRS = [(loss.link, name) for name, loss in losses.LOSSES.items() if loss.link is not None]


def output(f, loss):
    return outputs.pair(activations.get(f), losses.get(loss))


@pytest.mark.parametrize(("f", "loss"), [(f, loss) for f in activations.ACTIVATIONS for loss in losses.LOSSES])
def test_who_makes_a_pair(f, loss):
    expected = outputs.PairedOutput if (f, loss) in PAIRS else outputs.GeneralOutput
    assert type(output(f, loss)) is expected


@pytest.mark.parametrize(("f", "loss"), PAIRS)
def test_a_pair_says_what_the_general_rule_says(f, loss, backend, dtype):
    z = np.random.default_rng(5).integers(-12, 13, (M, N)) / 8.0
    y = data(KINDS[loss], seed=5)[1]
    z, y = backend.asarray(z, dtype), backend.asarray(y, dtype)
    paired, xp = output(f, loss), backend.xp
    general = outputs.GeneralOutput(paired.activation, paired.loss)
    a = paired.activation.value(z, xp)
    for which in ("value", "error"):
        expected = backend.to_numpy(getattr(general, which)(z, a, y, xp))
        assert_close(getattr(paired, which)(z, a, y, xp), expected, backend=backend, dtype=dtype)


# z, y, J_i and ∂J_i/∂z, all by hand
FAR = {
    "cross_entropy": [
        ([1e4, -1e4, 0.0], [1.0, 0.0, 0.0], 0.0, [0.0, 0.0, 0.0]),
        ([1e4, -1e4, 0.0], [0.0, 1.0, 0.0], 2e4, [1.0, -1.0, 0.0]),
        ([1e4, -1e4, 0.0], [0.0, 0.0, 1.0], 1e4, [1.0, 0.0, -1.0]),
        ([1e4, 1e4, -1e4], [1.0, 0.0, 0.0], math.log(2.0), [-0.5, 0.5, 0.0]),
        ([-1e4, -1e4, -1e4], [0.0, 1.0, 0.0], math.log(3.0), [1 / 3, -2 / 3, 1 / 3]),
        ([1e4, -1e4, 0.0], [0.5, 0.25, 0.25], 0.25 * 2e4 + 0.25 * 1e4, [0.5, -0.25, -0.25]),
    ],
    "binary_cross_entropy": [
        ([1e4, -1e4, 0.0], [1.0, 0.0, 0.0], math.log(2.0), [0.0, 0.0, 0.5]),
        ([1e4, -1e4, 1e4], [0.0, 1.0, 1.0], 2e4, [1.0, -1.0, 0.0]),
        ([1e4, -1e4, 1e4], [0.5, 0.25, 1.0], 5e3 + 2.5e3, [0.5, -0.25, 0.0]),
    ],
    "squared_error": [([1e4, -1e4, 0.0], [0.0, 0.0, 2.0], 1e8 + 2.0, [1e4, -1e4, -2.0])],
    "poisson": [
        ([-1e4, 0.0, 0.0], [3.0, 1.0, 0.0], 3.0 * math.log(3.0) - 3.0 + 3e4 + 1.0, [-3.0, 0.0, 1.0]),
        ([-1e4, -1e4, -1e4], [0.0, 0.0, 0.0], 0.0, [0.0, 0.0, 0.0]),
    ],
}


@pytest.mark.parametrize(("f", "loss"), PAIRS)
def test_a_pair_is_finite_and_right_at_logits_of_ten_thousand(f, loss, backend, dtype):
    z, y, value, error = (np.asarray(column) for column in zip(*FAR[loss], strict=True))
    out, xp = output(f, loss), backend.xp
    z, y = backend.asarray(z, dtype), backend.asarray(y, dtype)
    rtol = ULPS * float(np.finfo(dtype).eps)
    a = out.activation.value(z, xp)
    assert_close(out.value(z, a, y, xp), value, backend=backend, dtype=dtype, rtol=rtol, atol=0.0)
    assert_close(out.error(z, a, y, xp), error, backend=backend, dtype=dtype, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("f", "loss"), PAIRS)
def test_and_so_are_the_cost_and_the_deltas_of_a_network(f, loss, backend, dtype):
    z, y, value, error = (np.asarray(column) for column in zip(*FAR[loss], strict=True))
    net = rp.Network.from_parameters([np.eye(3)], hidden=[], output=f, loss=loss, dtype=dtype, backend=backend)
    g = net.gradient(z, y)
    rtol = ULPS * float(np.finfo(dtype).eps)
    assert_close(g.cost, value.mean(), backend=backend, dtype=dtype, rtol=rtol)
    assert_close(g.deltas[1], error / len(value), backend=backend, dtype=dtype, rtol=rtol)
    if loss == "cross_entropy":
        hard = y.max(axis=-1) == 1.0
        indices = net.cost(z[hard], y[hard].argmax(axis=-1))
        assert_close(indices, value[hard].mean(), backend=backend, dtype=dtype, rtol=rtol)


@pytest.mark.parametrize("logit", [8.0, 12.0, 20.0, 30.0])
def test_the_cost_of_what_is_right_keeps_its_digits(logit, backend, dtype):
    # A row that is right costs log(1 + e^−z), small but not 0: the cost of a network that has learned.
    expected = math.log1p(math.exp(-logit))
    xp = backend.xp
    z, y = backend.asarray([[logit], [-logit]], dtype), backend.asarray([[1.0], [0.0]], dtype)
    binary = losses.BinaryCrossEntropy().value_from_z(z, y, xp)
    assert_close(binary, [expected] * 2, backend=backend, dtype=dtype, rtol=tolerance(dtype), atol=0.0)


@pytest.mark.parametrize("logit", [8.0, 12.0, 20.0, 30.0])
def test_and_so_does_that_of_two_classes(logit, backend, dtype):
    expected = math.log1p(math.exp(-logit))
    z, y = backend.asarray([[logit, 0.0], [0.0, logit]], dtype), backend.asarray([[1.0, 0.0], [0.0, 1.0]], dtype)
    classes = losses.CrossEntropy().value_from_z(z, y, backend.xp)
    assert_close(classes, [expected] * 2, backend=backend, dtype=dtype, rtol=tolerance(dtype), atol=0.0)


# The general rule at the ends -------------------------------------------------------------------------------------


def _allowed(f, loss):
    low, high = activations.get(f).range
    return losses.get(loss).output_range[0] <= low and high <= losses.get(loss).output_range[1]


GENERAL = [
    (f, loss)
    for f in activations.ACTIVATIONS
    for loss in losses.LOSSES
    if (f, loss) not in PAIRS and f != "exp" and _allowed(f, loss)
]


@pytest.mark.parametrize("backend_name", [needing("numpy"), needing("torch:cpu")])
@pytest.mark.parametrize(("f", "loss"), GENERAL)
def test_the_general_rule_is_finite_at_the_ends(f, loss, backend_name, dtype):
    backend = rp.get_backend(backend_name)
    net = rp.Network.from_parameters([np.eye(3)], hidden=[], output=f, loss=loss, dtype=dtype, backend=backend)
    y = {"real": [0.0, 7.0, -3.0], "counts": [0.0, 7.0, 3.0], "labels": [0.0, 1.0, 1.0], "classes": [0.0, 1.0, 0.0]}
    y = [y[KINDS[loss]]] * 5
    z = [[1e4, -1e4, -1e4], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]]
    g = net.gradient(z, y)
    assert np.isfinite(backend.to_numpy(g.cost))
    assert np.all(np.isfinite(backend.to_numpy(g.deltas[1])))


@pytest.mark.needs("torch")
@pytest.mark.parametrize(("f", "loss"), GENERAL)
def test_the_general_rule_against_pytorch(f, loss):
    activation, per_output = oracle("activation", f, "torch"), oracle("loss", loss, "torch")
    import torch

    rng = np.random.default_rng(8)
    z, y = rng.normal(size=(M, N)) + (1.5 if KINDS[loss] == "counts" else 0.0), data(KINDS[loss], seed=8)[1]
    if (f, KINDS[loss]) == ("relu", "counts"):
        z = np.abs(z) + 0.1  # the Poisson loss has no value at 0
    net = rp.Network.from_parameters([np.eye(N)], hidden=[], output=f, loss=loss, dtype="float64", backend="numpy")
    g = net.gradient(z, y)
    witness = torch.tensor(z, requires_grad=True)
    cost = per_output(losses.get(loss), activation(witness), torch.tensor(y)).sum(dim=-1).mean()
    cost.backward()
    assert float(g.cost) == pytest.approx(cost.item(), rel=1e-12)
    np.testing.assert_allclose(
        g.deltas[1], witness.grad.numpy(), rtol=1e-10, atol=1e-13 * float(witness.grad.abs().max())
    )


# Parameters and objects from outside ------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0.0, -1.0, math.inf, math.nan])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(ValueError, match="delta of huber"):
        losses.Huber(delta)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.5, math.nan])
def test_a_quantile_out_of_range_is_refused(q):
    with pytest.raises(ValueError, match="q of quantile"):
        losses.Quantile(q)


class Quartic:
    def value(self, a, y, xp):
        return xp.sum((a - y) ** 4, axis=-1) / 4.0

    def derivative(self, a, y, xp):
        return (a - y) ** 3


def test_a_custom_loss_is_wrapped(backend, dtype):
    loss = losses.get(Quartic())
    assert isinstance(loss, losses.Loss)
    assert (loss.name, loss.link) == ("Quartic", None)
    value, derivative = both(loss, [[1.0, 3.0]], [[0.0, 1.0]], backend, dtype)
    close(value, [17.0 / 4.0], backend, dtype)
    close(derivative, [[1.0, 8.0]], backend, dtype)
    net = rp.Network([2, 3, 2], hidden="tanh", loss=Quartic(), seed=0, dtype="float64", backend=backend)
    assert rp.check_gradient(net, [[0.3, -0.2], [1.0, 0.5]], [[0.1, 0.0], [0.7, -1.0]]).ok


@pytest.mark.parametrize("missing", ["value", "derivative"])
def test_a_custom_loss_that_lacks_something_is_refused(missing):
    parts = {"value": lambda self, a, y, xp: a, "derivative": lambda self, a, y, xp: a}
    del parts[missing]
    with pytest.raises(TypeError, match=f"has no {missing}"):
        losses.get(type("Part", (), parts)())


class NotPerObservation(Quartic):
    def value(self, a, y, xp):
        return xp.mean((a - y) ** 4)


class WrongSign(Quartic):
    def derivative(self, a, y, xp):
        return (y - a) ** 3


class OfOneOutputOnly(Quartic):
    """Right for the first output, wrong for the others."""

    def derivative(self, a, y, xp):
        return (a - y) ** 3 * xp.asarray([1.0, 2.0])


@pytest.mark.parametrize("custom", [NotPerObservation, WrongSign, OfOneOutputOnly])
def test_a_custom_loss_is_checked_when_the_network_is_built(custom):
    with pytest.raises(ValueError, match=custom.__name__):
        rp.Network([2, 2], loss=custom())


def test_an_output_that_reports_held_probabilities_costs_at_most_minus_log_eps():
    z, y = np.asarray([[40.0], [-2.0]]), np.asarray([[0.0], [1.0]])
    a = activations.Sigmoid().value(z, np)
    held = outputs.ClippedOutput(activations.Sigmoid(), losses.BinaryCrossEntropy())
    eps = np.finfo(float).eps
    np.testing.assert_allclose(held.value(z, a, y, np), [-np.log(eps), np.log1p(np.exp(2.0))], rtol=1e-12)
    np.testing.assert_array_equal(held.error(z, a, y, np), a - y)


def test_an_output_that_reports_the_mean_over_outputs_is_differentiated_by_the_sum():
    z, y = np.asarray([[1.0, 4.0]]), np.asarray([[0.0, 2.0]])
    averaged = outputs.AveragedOutput(activations.Identity(), losses.SquaredError())
    assert averaged != outputs.pair(activations.Identity(), losses.SquaredError())  # steps are kept by what they do
    np.testing.assert_allclose(averaged.value(z, z, y, np), [0.5 * (1.0 + 4.0) / 2.0])
    np.testing.assert_array_equal(averaged.error(z, z, y, np), [[1.0, 2.0]])


def test_the_cross_entropies_of_groups_add_up():
    groups = (2, 3)
    z = np.asarray([[0.0, 1.0, 2.0, 0.0, -1.0], [1e4, -1e4, 0.0, 0.0, 0.0]])
    y = np.asarray([[0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0]])
    output = outputs.pair(activations.GroupedSoftmax(groups), losses.GroupedCrossEntropy(groups))
    assert isinstance(output, outputs.PairedOutput)
    one = losses.CrossEntropy()
    expected = one.value_from_z(z[:, :2], y[:, :2], np) + one.value_from_z(z[:, 2:], y[:, 2:], np)
    np.testing.assert_allclose(output.value(z, None, y, np), expected)
    assert expected[1] == pytest.approx(2e4 + np.log(3.0))
    net = rp.Network([4, 6, 5], hidden="tanh", output=output.activation, loss=output.loss, seed=0, dtype="float64")
    rows = np.random.default_rng(0).permutation(np.repeat(y, 4, axis=0))
    assert rp.check_gradient(net, np.random.default_rng(1).normal(size=(8, 4)), rows).ok


def test_a_group_of_one_class_is_refused():
    with pytest.raises(ValueError, match="sizes of grouped_cross_entropy must be 2 or above, one a group"):
        losses.GroupedCrossEntropy((1, 2))


def test_groups_of_other_sizes_make_no_pair():
    """The error is a − y only where the loss looks at the groups that the activation makes."""
    f, loss = activations.GroupedSoftmax((2, 3)), losses.GroupedCrossEntropy((3, 2))
    assert isinstance(outputs.pair(f, loss), outputs.GeneralOutput)
    net = rp.Network([4, 5], output=f, loss=loss, seed=0, dtype="float64", backend="numpy")
    rows = np.eye(5)[[0, 1, 2]] + np.eye(5)[[3, 4, 3]]
    assert rp.check_gradient(net, np.random.default_rng(1).normal(size=(3, 4)), rows).ok


def test_a_projected_output_has_the_derivatives_of_one_output():
    z, pick = np.asarray([[0.3, -0.2, 0.9]]), np.asarray([[0.0, 1.0, 0.0]])
    f = activations.Softmax()
    output = outputs.ProjectedOutput(f, losses.CrossEntropy())
    a = f.value(z, np)
    assert output.value(z, a, pick, np) == pytest.approx(a[:, 1])
    np.testing.assert_allclose(
        output.error(z, a, pick, np), [[-a[0, 0] * a[0, 1], a[0, 1] * (1 - a[0, 1]), -a[0, 2] * a[0, 1]]]
    )
