"""L-BFGS: its direction against dense BFGS, its minima against SciPy and closed forms, and `fit` with it."""

import itertools
from functools import partial

import numpy as np
import pytest
from harness import Cube, Quartic, assert_close, tolerance

import retroprop as rp
from retroprop.backends.intake import arrays as intake
from retroprop.core.parameters import Parameters
from retroprop.training import DivergenceError, lbfgs
from retroprop.training.lbfgs import Pair, direction, minimize
from retroprop.training.optimizers import LBFGS

RNG = np.random.default_rng(5)
M = 40
X = RNG.normal(size=(M, 3))
NUMBERS = X @ RNG.normal(size=(3, 2)) + 0.3 * RNG.normal(size=(M, 2))
LABELS = (X[:, 0] + 0.8 * RNG.normal(size=M) > 0).astype(int) + (X[:, 1] > 0.7)
WEIGHT = RNG.integers(1, 4, size=M).astype("float64")
TIGHT = LBFGS(gradient_tol=1e-9, cost_tol=0.0)


def numbers(net):
    return [net.backend.to_numpy(leaf).copy() for leaf in net.parameters.leaves]


def equal(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def mlp(backend="numpy", dtype="float64", **options):
    options = {"hidden": "tanh", "l2": 1e-3, "seed": 2} | options
    return rp.Network([3, 8, 2], dtype=dtype, backend=backend, **options)


def largest_gradient(net, *data):
    return max(float(np.max(np.abs(net.backend.to_numpy(g)))) for g in net.gradient(*data).parameters.leaves)


# The direction ----------------------------------------------------------------------------------------------------


def test_the_two_loops_are_dense_bfgs(backend, dtype):
    """H_{k+1} = (I − ρ s yᵀ) H_k (I − ρ y sᵀ) + ρ s sᵀ, Nocedal & Wright's equation 6.17, from γ I."""
    n, k = 12, 5
    rng = np.random.default_rng(0)
    hessian = rng.normal(size=(n, n))
    hessian = hessian @ hessian.T + n * np.eye(n)
    steps = rng.normal(size=(k, n))
    changes = steps @ hessian
    dense = np.eye(n) * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y in zip(steps, changes, strict=True):
        rho = 1.0 / (y @ s)
        left = np.eye(n) - rho * np.outer(s, y)
        dense = left @ dense @ left.T + rho * np.outer(s, s)
    gradient = rng.normal(size=n)
    xp = backend.xp
    with backend.active():
        pairs = []
        for s, y in zip(steps, changes, strict=True):
            s, y = (backend.asarray(a, dtype) for a in (s, y))
            pairs.append(Pair(s, y, 1.0 / xp.matmul(y, s)))
        found = direction(backend.asarray(gradient, dtype), tuple(pairs), xp)
    rtol = 1e3 * float(np.finfo(dtype).eps)
    assert_close(found, -dense @ gradient, backend=backend, dtype=dtype, rtol=rtol)


@pytest.mark.parametrize("size", [1.0, 1e30, 1e-30])
def test_without_pairs_it_is_the_steepest_descent_of_length_1(size, backend, dtype):
    with backend.active():
        found = direction(backend.asarray([3.0 * size, -4.0 * size], dtype), (), backend.xp)
    assert_close(found, [-0.6, 0.8], backend=backend, dtype=dtype, rtol=1e-6)


# Any function -----------------------------------------------------------------------------------------------------


def rosenbrock(xp):
    """Return Σ 100 (x_{i+1} − x_i²)² + (1 − x_i)² with its gradient, in Array API terms."""

    def value_and_gradient(parameters):
        (x,) = parameters.thetas
        here, there = x[:-1], x[1:]
        off, rest = there - here * here, 1.0 - here
        zero = xp.zeros_like(x[:1])
        inner = xp.concat([-400.0 * here * off - 2.0 * rest, zero]) + xp.concat([zero, 200.0 * off])
        return xp.sum(100.0 * off * off + rest * rest), Parameters((inner,))

    return value_and_gradient


STARTS = [
    pytest.param(np.tile([-1.2, 1.0], n // 2) if seed is None else np.random.default_rng(seed).normal(size=n) * 2.0)
    for n, seed in itertools.product((2, 10, 50), (None, 0, 1))
]


@pytest.mark.parametrize("start", STARTS)
def test_rosenbrock_takes_scipys_evaluations(start):
    optimize = pytest.importorskip("scipy.optimize")
    theirs = optimize.minimize(optimize.rosen, start, jac=optimize.rosen_der, method="L-BFGS-B")
    kept = start.copy()
    found = minimize(rosenbrock(np), Parameters((start,)), backend=rp.get_backend("numpy"))
    assert found.reason == "converged"
    assert np.array_equal(start, kept)
    np.testing.assert_allclose(found.parameters.thetas[0], 1.0, atol=1e-3)
    assert found.cost < 1e-8
    assert found.n_evaluations <= 1.3 * theirs.nfev
    assert found.n_iterations <= 1.3 * theirs.nit


def test_rosenbrock_on_every_backend(backend, dtype):
    start = Parameters((backend.asarray([-1.2, 1.0, -1.2, 1.0], dtype),))
    found = minimize(rosenbrock(backend.xp), start, backend=backend, rule=TIGHT)
    assert found.reason in ("converged", "stalled")
    assert_close(found.parameters.thetas[0], np.ones(4), backend=backend, dtype=dtype, rtol=2.0 * tolerance(dtype))
    assert found.n_evaluations < 150


def test_what_is_not_defined_everywhere_is_minimised_inside(backend):
    """X − log x has its minimum, 1, at 1; the first steps from 0.01 lead below 0, where it is NaN."""
    xp = backend.xp

    def value_and_gradient(parameters):
        (x,) = parameters.thetas
        return xp.sum(x - xp.log(x)), Parameters((1.0 - 1.0 / x,))

    found = minimize(value_and_gradient, Parameters((backend.asarray([0.01, 3.0], "float64"),)), backend=backend)
    assert found.reason == "converged"
    assert_close(found.parameters.thetas[0], [1.0, 1.0], backend=backend, dtype="float64", rtol=1e-4)


def minimised(**options):
    start = Parameters((np.tile([-1.2, 1.0], 5),))
    return minimize(rosenbrock(np), start, backend=rp.get_backend("numpy"), **options)


def test_limits_end_it_and_say_so():
    found = minimised(max_iterations=5)
    assert (found.reason, found.n_iterations) == ("max_iterations", 5)
    found = minimised(max_evaluations=20)
    assert found.reason == "max_evaluations"
    assert 20 <= found.n_evaluations < 40
    with pytest.raises(ValueError, match="max_iterations must be 1 or above, not 0"):
        minimised(max_iterations=0)


def test_a_callback_sees_the_cost_fall_and_may_end_it():
    seen = []

    def callback(so_far):
        seen.append(so_far)
        return len(seen) == 8

    found = minimised(callback=callback)
    assert (found.reason, found.n_iterations, len(seen)) == ("callback", 8, 8)
    assert all(one.cost > other.cost for one, other in itertools.pairwise(seen))
    assert found.cost == seen[-1].cost == float(rosenbrock(np)(found.parameters)[0])
    assert [s.n_iterations for s in seen] == list(range(1, 9))
    assert seen[-1].n_evaluations == found.n_evaluations


def test_only_the_last_steps_are_kept():
    few, many = minimised(rule=LBFGS(history=1)), minimised(rule=LBFGS(history=40))
    assert few.reason == many.reason == "converged"
    assert many.n_iterations < few.n_iterations


def test_a_start_that_is_no_number_is_not_left():
    found = minimize(rosenbrock(np), Parameters((np.array([np.nan, 1.0]),)), backend=rp.get_backend("numpy"))
    assert (found.reason, found.n_iterations, found.n_evaluations) == ("diverged", 0, 1)


def test_a_decrease_within_the_rounding_of_the_cost_is_no_progress():
    evaluations = itertools.count()

    def an_ulp_a_time(parameters):
        k = next(evaluations)
        return np.float32(1.0 - 2.0**-24 * k), Parameters((np.array([1e-8 * 0.5**k], dtype="float32"),))

    rule = LBFGS(gradient_tol=0.0, cost_tol=0.0)
    start = Parameters((np.zeros(1, dtype="float32"),))
    found = minimize(an_ulp_a_time, start, backend=rp.get_backend("numpy"), rule=rule, max_iterations=50)
    assert (found.reason, found.n_iterations) == ("converged", 1)


def test_pairs_that_mislead_are_forgotten():
    start = Parameters((np.array([-1.2, 1.0]),))
    objective = lbfgs.Objective(rp.get_backend("numpy"), lambda p: lbfgs.Measured(*rosenbrock(np)(p), None), start)
    state = lbfgs.begin(objective, start, LBFGS())
    # yᵀs < 0: with it, the direction leads uphill.
    misleading = Pair(np.array([1.0, 0.0]), np.array([-1.0, 0.0]), np.float64(-1.0))
    assert direction(state.point.gradient, (misleading,), np) @ state.point.gradient > 0.0
    after = lbfgs.iterate(objective, state._replace(pairs=(misleading,)), LBFGS())
    assert after.point.value < state.point.value
    assert after.reason == ""
    assert len(after.pairs) == 1
    assert after.pairs[0].rho > 0.0


def test_a_step_along_which_the_slope_has_steepened_makes_no_pair():
    """On cos x from 0.3 a search of one evaluation stops at 1.3, where it goes down more steeply still: yᵀs < 0."""

    def cosine(parameters):
        (x,) = parameters.thetas
        return lbfgs.Measured(np.sum(np.cos(x)), Parameters((-np.sin(x),)), None)

    start = Parameters((np.array([0.3]),))
    objective, rule = lbfgs.Objective(rp.get_backend("numpy"), cosine, start), LBFGS(max_evaluations=1)
    after = lbfgs.iterate(objective, lbfgs.begin(objective, start, rule), rule)
    np.testing.assert_allclose(after.point.x, [1.3])
    assert after.pairs == ()
    assert after.reason == ""


def test_a_gradient_that_lies_ends_in_stalled():
    def uphill(parameters):
        cost, gradient = rosenbrock(np)(parameters)
        return cost, Parameters((-gradient.thetas[0],))

    start = Parameters((np.array([-1.2, 1.0]),))
    found = minimize(uphill, start, backend=rp.get_backend("numpy"))
    assert (found.reason, found.n_iterations) == ("stalled", 0)
    assert np.array_equal(found.parameters.thetas[0], start.thetas[0])


# Convex networks --------------------------------------------------------------------------------------------------


def test_least_squares_against_the_normal_equations(backend):
    net = rp.Network([3, 2], l2=0.1, seed=0, dtype="float64", backend=backend)
    history = rp.fit(net, X, NUMBERS, optimizer=TIGHT, epochs=100, sample_weight=WEIGHT)
    assert history.stop_reason in ("converged", "stalled")
    # (Σ w_i x_i x_iᵀ / Σ w + λ I) Θᵀ = Σ w_i x_i y_i / Σ w, with a column of ones for the bias, which has no penalty
    wide = np.c_[X, np.ones(M)]
    share = (WEIGHT / WEIGHT.sum())[:, None]
    solved = np.linalg.solve(wide.T @ (share * wide) + 0.1 * np.diag([1, 1, 1, 0]), wide.T @ (share * NUMBERS))
    assert_close(net.thetas[0], solved[:3].T, backend=backend, dtype="float64", rtol=1e-6)
    assert_close(net.biases[0], solved[3], backend=backend, dtype="float64", rtol=1e-6)


CONVEX = {
    "softmax": ([3, 3], {"output": "softmax", "loss": "cross_entropy"}, LABELS),
    "sigmoid": ([3, 1], {"output": "sigmoid", "loss": "binary_cross_entropy"}, (LABELS > 0).astype("float64")),
    "identity": ([3, 2], {}, NUMBERS),
}


def by_scipy(net, *data, **options):
    """Return SciPy's result from the same start, on the same cost."""
    optimize = pytest.importorskip("scipy.optimize")
    start = net.parameters
    ends = np.cumsum([leaf.size for leaf in start.leaves])[:-1]

    def value_and_gradient(row):
        parts = np.split(row, ends)
        at = start.like(part.reshape(leaf.shape) for part, leaf in zip(parts, start.leaves, strict=True))
        copy = rp.Network.from_parameters(
            at.thetas, at.biases, hidden=list(net.architecture.hidden), output=net.architecture.output.activation,
            loss=net.architecture.output.loss, l2=net.architecture.l2, backend="numpy",
        )  # fmt: skip
        g = copy.gradient(*data)
        return float(g.cost), np.concatenate([leaf.ravel() for leaf in g.parameters.leaves])

    row = np.concatenate([leaf.ravel() for leaf in start.leaves])
    return optimize.minimize(value_and_gradient, row, jac=True, method="L-BFGS-B", options=options)


@pytest.mark.parametrize("kind", sorted(CONVEX))
def test_convex_networks_have_scipys_minimum(kind):
    sizes, options, y = CONVEX[kind]
    net = rp.Network(sizes, l2=0.01, seed=0, dtype="float64", backend="numpy", **options)
    theirs = by_scipy(net, X, y, gtol=1e-9, ftol=1e-15)
    rp.fit(net, X, y, optimizer=TIGHT, epochs=500)
    ours = np.concatenate([leaf.ravel() for leaf in net.parameters.leaves])
    np.testing.assert_allclose(float(net.cost(X, y)), theirs.fun, rtol=1e-10)
    if kind != "softmax":  # a constant added to all biases of a softmax changes nothing
        np.testing.assert_allclose(ours, theirs.x, rtol=1e-6, atol=1e-6)
    else:
        theta, bias = ours[:9].reshape(3, 3), ours[9:] - ours[9:].mean()
        np.testing.assert_allclose(theta.ravel(), theirs.x[:9], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(bias, theirs.x[9:] - theirs.x[9:].mean(), rtol=1e-6, atol=1e-6)


def test_a_network_with_hidden_layers_takes_scipys_evaluations():
    ours = theirs = 0
    for seed in range(4):
        net = mlp(seed=seed)
        theirs += by_scipy(net, X, NUMBERS, gtol=1e-4, ftol=0.0, maxiter=1000).nfev
        found = minimize(
            partial(net_value_and_gradient, net),
            net.parameters,
            backend=net.backend,
            rule=LBFGS(gradient_tol=1e-4, cost_tol=0.0),
        )
        assert found.reason == "converged"
        ours += found.n_evaluations
    assert ours <= 1.3 * theirs


def net_value_and_gradient(net, parameters):
    net.parameters = parameters
    g = net.gradient(X, NUMBERS)
    return g.cost, g.parameters


# Through fit ------------------------------------------------------------------------------------------------------


def test_the_history_is_that_of_minimize():
    net, again = mlp(), mlp()
    costs = [float(net.cost(X, NUMBERS))]
    rule = LBFGS(gradient_tol=0.03)
    found = minimize(
        partial(net_value_and_gradient, again),
        again.parameters,
        backend=again.backend,
        rule=rule,
        callback=lambda so_far: costs.append(so_far.cost),
    )
    history = rp.fit(net, X, NUMBERS, optimizer=rule, epochs=1000)
    assert history.stop_reason == found.reason == "converged"
    assert len(history) == found.n_iterations
    # Each measured before its update, as with any optimizer.
    np.testing.assert_allclose(history.cost, costs[:-1], rtol=1e-9)
    np.testing.assert_allclose(float(net.cost(X, NUMBERS)), costs[-1], rtol=1e-9)
    assert all(one > other for one, other in itertools.pairwise(history.cost))
    assert largest_gradient(net, X, NUMBERS) <= 0.03
    assert set(history.learning_rate) == {1.0}


def test_the_same_on_every_backend(backend):
    here, there = mlp(backend), mlp("numpy")
    options = {"optimizer": "lbfgs", "epochs": 25, "sample_weight": WEIGHT, "metrics": ("r2",)}
    history, expected = rp.fit(here, X, NUMBERS, **options), rp.fit(there, X, NUMBERS, **options)
    assert len(history) == len(expected) == 25
    np.testing.assert_allclose(history.cost, expected.cost, rtol=1e-8)
    np.testing.assert_allclose(history.metrics["r2"], expected.metrics["r2"], rtol=1e-7)
    for one, other in zip(here.parameters.leaves, there.parameters.leaves, strict=True):
        assert_close(one, other, backend=backend, dtype="float64", rtol=1e-6)


@pytest.mark.parametrize("rule", [LBFGS(), LBFGS(gradient_tol=0.0, cost_tol=0.0)], ids=["defaults", "no tolerance"])
def test_it_ends_by_itself_where_the_dtype_does(rule, backend, dtype):
    net = rp.Network([3, 3], output="softmax", loss="cross_entropy", l2=0.01, seed=0, dtype=dtype, backend=backend)
    history = rp.fit(net, X, LABELS, optimizer=rule, epochs=400)
    assert history.stop_reason in ("converged", "stalled")
    assert len(history) < 100
    assert largest_gradient(net, X, LABELS) < max(1e-5, tolerance(dtype))
    assert net.backend.dtype_name(net.thetas[0]) == dtype


def test_what_is_read_of_a_device_is_one_number_an_iteration_and_three_an_evaluation(monkeypatch):
    reads = []

    def read(backend, arrays):
        reads.append(len(arrays))
        return intake.read(backend, arrays)

    monkeypatch.setattr(lbfgs, "read", read)
    found = minimised()
    # The first evaluation knows no direction yet.
    assert reads[0] == 2
    assert reads.count(1) == found.n_iterations
    assert reads.count(3) == found.n_evaluations - 1
    assert len(reads) == found.n_iterations + found.n_evaluations


def test_metrics_of_its_own_outputs_are_those_before_each_update(backend):
    net = mlp(backend)
    r2 = []

    class Keeper:
        def on_epoch_end(self, state):
            kept.append(numbers(state.network))

    kept = [numbers(net)]
    history = rp.fit(net, X, NUMBERS, optimizer="lbfgs", epochs=6, metrics="r2", callbacks=(Keeper(),))
    for leaves in kept[:-1]:
        at = rp.Network.from_parameters(leaves[:2], leaves[2:], hidden="tanh", backend="numpy")
        off = ((at.predict(X) - NUMBERS) ** 2).sum(axis=0)
        r2.append(float(np.mean(1.0 - off / ((NUMBERS - NUMBERS.mean(axis=0)) ** 2).sum(axis=0))))
    np.testing.assert_allclose(history.metrics["r2"], r2, rtol=1e-7)


def test_validation_data_are_looked_at_after_each_iteration():
    net = mlp()
    history = rp.fit(net, X[:30], NUMBERS[:30], optimizer="lbfgs", epochs=5, validation_data=(X[30:], NUMBERS[30:]))
    assert history.validation_cost[-1] == pytest.approx(float(net.cost(X[30:], NUMBERS[30:])), rel=1e-12)
    assert len(history.validation_cost) == 5


def test_a_weight_of_2_is_the_row_twice():
    one, other = mlp(), mlp()
    rp.fit(one, X, NUMBERS, optimizer="lbfgs", epochs=10, sample_weight=WEIGHT)
    times = WEIGHT.astype(int)
    rp.fit(other, X.repeat(times, axis=0), NUMBERS.repeat(times, axis=0), optimizer="lbfgs", epochs=10)
    for a, b in zip(one.parameters.leaves, other.parameters.leaves, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def test_callbacks_that_only_watch_change_nothing(backend):
    class Watcher:
        def on_epoch_end(self, state):
            epochs.append(state.epoch)

    epochs = []
    one, other = mlp(backend), mlp(backend)
    rp.fit(one, X, NUMBERS, optimizer="lbfgs", epochs=12)
    rp.fit(other, X, NUMBERS, optimizer="lbfgs", epochs=12, callbacks=(Watcher(),))
    assert epochs == list(range(1, 13))
    assert equal(numbers(one), numbers(other))


def test_parameters_a_callback_gives_the_network_are_where_it_goes_on(backend):
    fresh = numbers(mlp(seed=9))

    class Replace:
        def on_epoch_end(self, state):
            if state.epoch == 4:
                state.network.thetas, state.network.biases = fresh[:2], fresh[2:]

    net, other = mlp(backend), mlp(backend, seed=9)
    history = rp.fit(net, X, NUMBERS, optimizer="lbfgs", epochs=10, callbacks=(Replace(),))
    expected = rp.fit(other, X, NUMBERS, optimizer="lbfgs", epochs=6)
    assert history.cost[4:] == expected.cost
    assert equal(numbers(net), numbers(other))


def test_early_stopping_restores_what_its_figure_belongs_to():
    class Keeper:
        def on_epoch_end(self, state):
            kept.append(numbers(state.network))

    net = mlp(l2=0.0)
    kept = [numbers(net)]
    history = rp.fit(
        net, X, NUMBERS, optimizer="lbfgs", epochs=200, callbacks=(Keeper(),),
        early_stopping=rp.EarlyStopping(monitor="cost", patience=3, tol=1e-3),
    )  # fmt: skip
    assert history.stop_reason == "early_stopping"
    assert equal(numbers(net), kept[history.best_epoch - 1])


def test_a_true_from_a_callback_ends_it():
    class Stop:
        def on_epoch_end(self, state):
            return state.epoch == 3

    history = rp.fit(mlp(), X, NUMBERS, optimizer="lbfgs", epochs=50, callbacks=(Stop(),))
    assert (history.stop_reason, len(history)) == ("callback", 3)


def test_at_the_minimum_already_nothing_moves():
    net = rp.Network([3, 2], l2=0.1, seed=0, dtype="float64", backend="numpy")
    rp.fit(net, X, NUMBERS, optimizer=TIGHT, epochs=100)
    before = numbers(net)
    history = rp.fit(net, X, NUMBERS, optimizer="lbfgs", epochs=100)
    assert (history.stop_reason, len(history)) == ("converged", 1)
    assert equal(numbers(net), before)


def test_functions_from_outside(backend):
    net = rp.Network([3, 6, 2], hidden=Cube(), loss=Quartic(), l2=1e-3, seed=1, dtype="float64", backend=backend)
    history = rp.fit(net, X, NUMBERS, optimizer="lbfgs", epochs=40)
    assert history.cost[-1] < 0.1 * history.cost[0]
    assert all(one > other for one, other in itertools.pairwise(history.cost))


def test_a_cost_that_is_not_finite_at_the_start_is_a_divergence():
    net = mlp()
    net.thetas = [theta * 1e200 for theta in net.thetas]
    before = numbers(net)
    with pytest.raises(DivergenceError, match=r"epoch 1, batch 1 of 1, the cost is inf\. Standardise") as error:
        rp.fit(net, X, NUMBERS, optimizer="lbfgs", epochs=5)
    assert "learning rate" not in str(error.value)
    assert error.value.history.stop_reason == "diverged"
    assert equal(numbers(net), before)


class Interrupting:
    """A loss that is interrupted at one of its evaluations."""

    name = "interrupting"

    def __init__(self):
        self.left = None

    def value(self, a, y, xp):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return 0.5 * xp.sum((a - y) ** 2, axis=-1)

    def derivative(self, a, y, xp):
        return a - y


def test_ctrl_c_within_a_line_search_leaves_the_last_iterate():
    loss = Interrupting()
    # A backend that runs the step as it is written, so that the loss is called at each evaluation.
    net = mlp("array_api_strict", loss=loss)
    loss.left = 9
    history = rp.fit(net, X, NUMBERS, optimizer="lbfgs", epochs=50)
    assert history.stop_reason == "interrupted"
    assert 0 < len(history) < 9
    loss.left = None
    other = mlp("array_api_strict", loss=loss)
    rp.fit(other, X, NUMBERS, optimizer="lbfgs", epochs=len(history))
    assert equal(numbers(net), numbers(other))


@pytest.mark.parametrize(
    ("options", "fit_options", "match"),
    [
        ({}, {"batch_size": 39}, "needs all 40 rows in each step: batch_size must be None or 40 or above, not 39"),
        ({"dropout": 0.1}, {}, "'lbfgs' does not go with dropout"),
        ({"l1": 0.1}, {}, "'lbfgs' does not go with l1"),
        ({}, {"clip_norm": 1.0}, "'lbfgs' does not go with clip_norm"),
        ({}, {"clip_value": 1.0}, "'lbfgs' does not go with clip_value"),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_refused_before_any_work(options, fit_options, match):
    net = mlp(**options)
    before = numbers(net)
    with pytest.raises(ValueError, match=match):
        rp.fit(net, X, NUMBERS, optimizer="lbfgs", **fit_options)
    assert equal(numbers(net), before)


def test_a_batch_of_all_rows_is_the_full_batch():
    one, other = mlp(), mlp()
    rp.fit(one, X, NUMBERS, optimizer="lbfgs", epochs=4, batch_size=M)
    rp.fit(other, X, NUMBERS, optimizer="lbfgs", epochs=4)
    assert equal(numbers(one), numbers(other))
