"""Any order of calls on an estimator: its weights and figures are of one moment, and its copies keep theirs."""

import contextlib
import copy
import io
import pickle
import sys
import warnings
from inspect import signature

import numpy as np
import pytest
from harness import ON_A_CPU, open_backend, why_absent
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPRegressor
from retroprop.estimators.arrays import to_host

RNG = np.random.RandomState(0)
X = RNG.randn(2, 60, 3)
DATA = {
    MLPClassifier: [(x, (x[:, k] + 0.3 * RNG.randn(60) > 0).astype(int)) for k, x in enumerate(X)],
    MLPRegressor: [(x, np.abs(x[:, k]) + 0.3 * RNG.rand(60)) for k, x in enumerate(X)],
}
# Most data are on the host: JAX compiles each step that is new.
PLACES = [name for name, n in zip(ON_A_CPU, (18, 4, 4, 1), strict=True) if not why_absent(name) for _ in range(n)]
SGD, PLATEAU = rp.optimizers.SGD(0.05, momentum=0.9), rp.schedules.ReduceOnPlateau(0.05, patience=1)
# Of every parameter, the values that are accepted (the default first) and one that is refused.
PARAMETERS = {
    "hidden_layer_sizes": ([(4,), (3, 2), 5, ()], (4, 0)),
    "activation": (["relu", "tanh", "gelu", "logistic", ["elu"]], "relux"),
    "solver": (["adam", "sgd", "lbfgs", "rmsprop", "lion", SGD], "newton"),
    "alpha": ([0.0001, 0.0, 0.1, [0.1, 0.2]], -1.0),
    "batch_size": (["auto", 13, 100], 0),
    "learning_rate": (["constant", "invscaling", "adaptive", PLATEAU, rp.schedules.Constant(0.03)], "fast"),
    "learning_rate_init": ([0.001, 0.02, 0.3], 0.0),
    "power_t": ([0.5, 0.3], -1.0),
    "max_iter": ([3, 1, 6], 0),
    "shuffle": ([True, False], "yes"),
    "random_state": ([0, 1], "a"),
    "tol": ([1e-4, 0.0, 0.1], -1.0),
    "verbose": ([False, True], "no"),
    "warm_start": ([False, True], "no"),
    "momentum": ([0.9, 0.0, 0.5], 2.0),
    "nesterovs_momentum": ([True, False], "no"),
    "early_stopping": ([False, True], "no"),
    "validation_fraction": ([0.1, 0.3], 1.0),
    "beta_1": ([0.9, 0.5], 1.0),
    "beta_2": ([0.999, 0.5], 1.0),
    "epsilon": ([1e-8, 0.1], 0.0),
    "n_iter_no_change": ([10, 1, np.inf], 0),
    "max_fun": ([15000, 5], 0),
    "class_weight": ([None, {0: 3.0}, "balanced"], {7: 1.0}),
    "stratify": (["binary", True, False], "all"),
    "l1": ([0.0, 0.05], -1.0),
    "dropout": ([0.0, 0.2, [0.1]], 1.0),
    "initializer": ([None, "he_normal", rp.initializers.Uniform(epsilon=0.3)], "he"),
    "clip_norm": ([None, 1.0], 0.0),
    "scoring": ([None, "loss"], "goodness"),
    "restore_best": ([False, True], "no"),
    "exact_loss": ([False, True], "no"),
    "predict_batch_size": (["auto", 7], 0),
    "checkpoint": ([None], "run"),
    "parallel": ([None], "mpi"),
    "device": ([None, "array_api_strict:device1", "torch:cpu"], "tpu9"),
    "progress": ([False, True], "no"),
    "quantile": ([0.5, 0.2], 1.0),
}
LOSSES = {
    MLPClassifier: (["log_loss", "huber", "binary_cross_entropy"], "mse"),
    MLPRegressor: (["squared_error", "poisson", "quantile", rp.losses.Huber(0.5)], "log_loss"),
}
# What the documentation says is refused.
REFUSED = (
    "does not go with",
    "does not support",
    "would not be read",
    "has no attribute 'partial_fit'",
    "class_weight='balanced'",
    "a further fit needs the layers",
    "which has a learning rate of its own",
    "activation must be one, or one for each",
    "alpha must be one number, or one for each",
    "dropout must be",
    "cannot split an iterator",
    "needs all the data at once",
    "needs outputs in",
)
ELSEWHERE = "must use the same namespace and the same device"
DIVERGED = "Solver produced non-finite parameter weights"
DUPLICATES = [copy.copy, copy.deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))]
FIGURES = ("n_iter_", "t_", "loss_curve_", "loss_", "best_loss_", "validation_scores_", "best_validation_score_")


def weights_of(estimator):
    return [to_host(part).copy() for part in (*estimator.coefs_, *estimator.intercepts_)]


def figures_of(estimator):
    return {name: copy.copy(vars(estimator).get(name)) for name in FIGURES}


@contextlib.contextmanager
def interrupted(at):
    """Press Ctrl-C at the n-th call of a function of a fit."""
    left = [at]

    def trace(frame, event, argument):
        name = frame.f_code.co_filename
        # In a generator that is given up an error would be lost.
        if ("/retroprop/estimators/" in name or "/retroprop/training/" in name) and not frame.f_code.co_flags & 32:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


class Estimator(RuleBasedStateMachine):
    kind = MLPClassifier

    def __init__(self):
        super().__init__()
        self.known = {name: PARAMETERS.get(name) or LOSSES[self.kind] for name in signature(self.kind).parameters}
        self.found = self.kind(**{name: values[0] for name, (values, _) in self.known.items()})
        self.copies = []  # each with the weights and the curve it had
        self.validated = None  # the data of the last fit with early stopping
        self.fitted_by = None  # its solver

    def tried(self, call):
        """Call, and return whether it was not refused; a refusal changes nothing."""
        before = copy.deepcopy(self.found)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                call()
            except (ValueError, TypeError, AttributeError) as error:
                if DIVERGED in str(error):
                    self.validated = None
                    return False
                if not any(words in str(error) for words in REFUSED):
                    raise
                self.assert_same(self.found, before)
                return False
        return True

    def assert_same(self, one, other):
        assert hasattr(one, "coefs_") == hasattr(other, "coefs_")
        if hasattr(one, "coefs_"):
            assert all(map(np.array_equal, weights_of(one), weights_of(other)))
        np.testing.assert_equal(figures_of(one), figures_of(other))
        assert vars(one).keys() - {"_bound"} == vars(other).keys() - {"_bound"}

    def placed(self, which, place):
        """Return X in a library, and y."""
        x, y = DATA[self.kind][which]
        return (x if place == "numpy" else open_backend(place).asarray(x)), y

    def fitted(self, which):
        self.fitted_by = self.found.solver
        self.validated = which

    @rule(data=st.data())
    def set_parameters(self, data):
        for name in data.draw(st.lists(st.sampled_from(sorted(self.known)), min_size=1, max_size=3)):
            value = data.draw(st.sampled_from(self.known[name][0]), label=name)
            if name != "device" or value is None or not why_absent(value):
                self.found.set_params(**{name: value})

    @rule(data=st.data(), which=st.integers(0, 1))
    def set_a_bad_parameter(self, data, which):
        e, (X, y) = self.found, DATA[self.kind][which]
        name = data.draw(st.sampled_from(sorted(self.known)))
        before = getattr(e, name), copy.deepcopy(e)
        e.set_params(**{name: self.known[name][1]})
        with pytest.raises((ValueError, TypeError, AttributeError)):
            e.fit(X, y)
        e.set_params(**{name: before[0]})
        self.assert_same(e, before[1])

    @rule(which=st.integers(0, 1), place=st.sampled_from(PLACES), weighs=st.booleans())
    def fit(self, which, place, weighs):
        X, y = self.placed(which, place)
        e = self.found
        before = weights_of(e) if hasattr(e, "coefs_") else None
        given = {"X_val": X, "y_val": y} if e.early_stopping and e.solver != "lbfgs" else {}
        given |= {"sample_weight": np.linspace(0.0, 2.0, 60)} if weighs else {}
        if not self.tried(lambda: e.fit(X, y, **given)):
            return
        keeps = e.early_stopping or e.restore_best or e.solver == "lbfgs"
        if before is not None and e.warm_start and e.learning_rate_init > 0.01 and not keeps:
            assert any((a != b).any() for a, b in zip(before, weights_of(e), strict=True))
        self.fitted(which if "X_val" in given else None)
        assert 0 <= e.n_iter_ <= e.max_iter

    @rule(which=st.integers(0, 1), size=st.sampled_from([20, 33]))
    def fit_batches(self, which, size):
        X, y = DATA[self.kind][which]
        e = self.found
        more = {"classes": [0, 1]} if self.kind is MLPClassifier else {}
        if self.tried(lambda: e.fit(lambda: ((X[k : k + size], y[k : k + size]) for k in range(0, 60, size)), **more)):
            self.fitted(None)
            assert 0 < e.n_iter_ <= e.max_iter

    @rule(which=st.integers(0, 1), place=st.sampled_from(PLACES))
    def partial_fit(self, which, place):
        X, y = self.placed(which, place)
        e = self.found
        curve = list(vars(e).get("loss_curve_") or [])
        more = {"classes": [0, 1]} if self.kind is MLPClassifier else {}
        if self.tried(lambda: e.partial_fit(X, y, **more)):
            self.fitted(None)
            assert e.loss_curve_[:-1] == curve
            assert e.n_iter_ == 1

    @rule(which=st.integers(0, 1), at=st.integers(1, 4), error=st.sampled_from([OSError, KeyboardInterrupt, "warning"]))
    def a_scorer_ends_the_fit(self, which, at, error):
        X, y = DATA[self.kind][which]
        e, calls = self.found, []
        if e.solver == "lbfgs":
            return

        def scorer(estimator, X, y):
            calls.append(1)
            if len(calls) == at and error != "warning":
                raise error("on purpose")
            return float(estimator.score(X, y))

        scoring = e.scoring
        e.set_params(scoring=scorer)
        before = copy.deepcopy(e)

        def fit():
            with warnings.catch_warnings():
                if error == "warning":
                    warnings.simplefilter("error", ConvergenceWarning)
                try:
                    e.fit(X, y, X_val=X, y_val=y)
                except (OSError, ConvergenceWarning):
                    if len(calls) == 1 and error is OSError:  # before the figures of an epoch
                        self.assert_same(e, before)

        if self.tried(fit):
            self.fitted(which if e.early_stopping and len(calls) > 1 else None)
        e.set_params(scoring=scoring)

    @rule(which=st.integers(0, 1), at=st.integers(1, 330))
    def ctrl_c_at_a_random_place(self, which, at):
        """The weights are of as many epochs as the figures, or of the updates so far of the next."""
        X, y = DATA[self.kind][which]
        e, before = self.found, copy.deepcopy(self.found)

        def fit():
            with contextlib.suppress(KeyboardInterrupt), interrupted(at):
                e.fit(X, y)

        if not self.tried(fit):
            return
        if vars(e).get("n_iter_") == vars(before).get("n_iter_") and figures_of(e) == figures_of(before):
            return  # before an update, or the same fit again
        self.fitted(None)
        if e.solver == "lbfgs" or not e.n_iter_:
            return
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            whole = copy.deepcopy(before).set_params(max_iter=e.n_iter_).fit(X, y)
            np.testing.assert_equal(figures_of(e), figures_of(whole))
            if e.batch_size != 13:
                more = copy.deepcopy(before).set_params(max_iter=e.n_iter_ + 1).fit(X, y)
                assert any(all(map(np.array_equal, weights_of(e), weights_of(other))) for other in (whole, more))

    # Whether a fit was interrupted depends on what the process has cached: a precondition would make the rules do so.
    @rule(duplicate=st.sampled_from(DUPLICATES), swaps=st.booleans())
    def copied(self, duplicate, swaps):
        if not hasattr(self.found, "coefs_") or len(self.copies) == 3:
            return
        other = duplicate(self.found)
        self.assert_same(self.found, other)
        if swaps:
            self.found, other = other, self.found
        self.copies.append((other, weights_of(other), list(vars(other).get("loss_curve_") or [])))

    @rule(place=st.sampled_from(PLACES))
    def moved(self, place):
        if not hasattr(self.found, "coefs_"):
            return
        before = weights_of(self.found)
        self.found = self.found.to(place)
        assert all(map(np.array_equal, before, weights_of(self.found)))

    @rule(place=st.sampled_from(PLACES))
    def predicts_on_every_backend(self, place):
        if not hasattr(self.found, "coefs_"):
            return
        e, (X, y) = self.found, self.placed(0, place)
        backends = open_backend(place), e._backend()
        if backends[0] != backends[1] and "numpy" not in map(str, backends):
            with pytest.raises(ValueError, match=ELSEWHERE):
                e.predict(X)
            return
        found = e.predict(X)
        assert place == "numpy" or open_backend(place).owns(found)
        if self.kind is MLPClassifier:
            assert e.score(X, y) == np.mean(to_host(found) == y)
        np.testing.assert_allclose(to_host(e.activations(X)[-1]), e.activations(DATA[self.kind][0][0])[-1], rtol=1e-5)

    @rule()
    def by_scikit_learn(self):
        if not hasattr(self.found, "coefs_"):
            return
        e, X = self.found, DATA[self.kind][0][0]
        hidden = {f.name for f in e.network_.architecture.hidden}
        if not hidden <= {"relu", "tanh", "sigmoid"} or len(hidden) > 1:
            with pytest.raises(ValueError, match="scikit-learn has no activation"):
                e.to_sklearn()
            return
        try:
            there = e.to_sklearn()
        except ValueError as error:
            if not any(words in str(error) for words in ("scikit-learn has no loss", "one alpha for all layers")):
                raise
            return
        back = self.kind.from_sklearn(there)
        for other in (there, back):
            np.testing.assert_allclose(other.predict(X), e.predict(X), rtol=1e-5)
        np.testing.assert_equal(figures_of(back), figures_of(e))

    @invariant()
    def weights_and_figures_are_of_one_moment(self):
        e = self.found
        clone(e)
        if not hasattr(e, "coefs_"):
            assert not hasattr(e, "classes_")
            return
        assert all(np.isfinite(part).all() for part in weights_of(e))
        X, y = DATA[self.kind][0]
        predicted = e.predict(X)
        if self.kind is MLPClassifier:
            assert e.score(X, y) == np.mean(predicted == y)
            np.testing.assert_allclose(e.predict_proba(X).sum(axis=1), 1.0, rtol=1e-5)
        else:
            assert e.score(X, y) == r2_score(y, predicted)
        curve = vars(e).get("loss_curve_")
        if curve and self.fitted_by != "lbfgs":
            assert e.n_iter_ <= len(curve)
            np.testing.assert_equal(e.loss_, curve[-1])
            assert e.best_loss_ is None or not e.n_iter_ or e.best_loss_ <= min(curve[-e.n_iter_ :])
        if self.validated is not None and not vars(e).get("class_weight") and e.scoring is None and e.n_iter_:
            X, y = DATA[self.kind][self.validated]
            assert e.best_validation_score_ == pytest.approx(e.score(X, y), rel=1e-4)

    @invariant()
    def copies_keep_what_they_had(self):
        for other, weights, curve in self.copies:
            assert all(map(np.array_equal, weights, weights_of(other)))
            assert list(vars(other).get("loss_curve_") or []) == curve


class Regressor(Estimator):
    kind = MLPRegressor


@pytest.mark.parametrize("machine", [Estimator, Regressor])
@pytest.mark.parametrize("runs", [4, pytest.param(1000, marks=pytest.mark.long)])
def test_any_order_of_calls(machine, runs):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs,
            stateful_step_count=12 if runs < 100 else 20,
            deadline=None,
            database=None,
            derandomize=runs < 100,
            suppress_health_check=list(HealthCheck),
        ),
    )
