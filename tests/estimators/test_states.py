"""Any order of calls on an estimator: its weights and figures are of one moment, and its copies keep theirs."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sklearn.exceptions import ConvergenceWarning

from retroprop.estimators import MLPClassifier
from retroprop.estimators.arrays import to_host

RNG = np.random.RandomState(0)
DATA = [(X, (X[:, k] + 0.3 * RNG.randn(60) > 0).astype(int)) for k, X in enumerate(RNG.randn(2, 60, 3))]
PARAMETERS = {
    "solver": ["adam", "sgd", "lbfgs", "rmsprop"],
    "learning_rate_init": [0.001, 0.02, 0.3],
    "max_iter": [1, 3, 6],
    "batch_size": ["auto", 13],
    "early_stopping": [False, True],
    "restore_best": [False, True],
    "warm_start": [False, True],
    "n_iter_no_change": [1, 10],
    "shuffle": [False, True],
    "alpha": [0.0, 0.1],
    "class_weight": [None, {0: 3.0}, "balanced"],
    "clip_norm": [None, 1.0],
    "dropout": [0.0, 0.2],
    "exact_loss": [False, True],
}
# What the documentation says is refused.
REFUSED = (
    "does not go with",
    "does not support",
    "would not be read",
    "has no attribute 'partial_fit'",
    "class_weight='balanced'",
    "a further fit needs the layers",
)
DUPLICATES = [copy.copy, copy.deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))]


def weights_of(estimator):
    return [to_host(part).copy() for part in (*estimator.coefs_, *estimator.intercepts_)]


class Estimator(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.found = MLPClassifier((4,), random_state=0, max_iter=3)
        self.copies = []  # each with the weights and the curve it had
        self.validated = None  # the data of the last fit with early stopping

    def tried(self, call):
        """Call, and return whether it was not refused; a refusal changes nothing."""
        before = copy.deepcopy(self.found)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                call()
            except (ValueError, AttributeError) as error:
                if not any(words in str(error) for words in REFUSED):
                    raise
                self.assert_same(self.found, before)
                return False
        return True

    def assert_same(self, one, other):
        assert hasattr(one, "coefs_") == hasattr(other, "coefs_")
        if hasattr(one, "coefs_"):
            assert all(map(np.array_equal, weights_of(one), weights_of(other)))
        for name in ("n_iter_", "t_", "loss_curve_", "loss_", "best_loss_", "validation_scores_"):
            assert vars(one).get(name) == vars(other).get(name), name

    @rule(name=st.sampled_from(sorted(PARAMETERS)), data=st.data())
    def set_a_parameter(self, name, data):
        self.found.set_params(**{name: data.draw(st.sampled_from(PARAMETERS[name]))})

    @rule(which=st.integers(0, 1))
    def fit(self, which):
        X, y = DATA[which]
        e = self.found
        before = weights_of(e) if hasattr(e, "coefs_") else None
        validation = {"X_val": X, "y_val": y} if e.early_stopping and e.solver != "lbfgs" else {}
        if not self.tried(lambda: e.fit(X, y, **validation)):
            return
        if before is not None and e.warm_start and e.learning_rate_init > 0.01 and not e.early_stopping:
            assert any((a != b).any() for a, b in zip(before, weights_of(e), strict=True)) or e.solver == "lbfgs"
        self.validated = which if validation else None
        assert 0 <= e.n_iter_ <= e.max_iter

    @rule(which=st.integers(0, 1))
    def partial_fit(self, which):
        X, y = DATA[which]
        e = self.found
        curve = list(vars(e).get("loss_curve_") or [])
        if self.tried(lambda: e.partial_fit(X, y, classes=[0, 1])):
            self.validated = None
            assert e.loss_curve_[:-1] == curve
            assert e.n_iter_ == 1

    @rule(which=st.integers(0, 1), at=st.integers(1, 4), error=st.sampled_from([OSError, KeyboardInterrupt, "warning"]))
    def interrupted_fit(self, which, at, error):
        X, y = DATA[which]
        e, calls = self.found, []
        if e.solver == "lbfgs":
            return

        def scorer(estimator, X, y):
            calls.append(1)
            if len(calls) == at and error != "warning":
                raise error("on purpose")
            return float(np.mean(estimator.predict(X) == y))

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
            self.validated = which if e.early_stopping and len(calls) > 1 else None
        e.set_params(scoring=None)

    @precondition(lambda self: hasattr(self.found, "coefs_") and len(self.copies) < 3)
    @rule(duplicate=st.sampled_from(DUPLICATES), swaps=st.booleans())
    def copied(self, duplicate, swaps):
        other = duplicate(self.found)
        self.assert_same(self.found, other)
        if swaps:
            self.found, other = other, self.found
        self.copies.append((other, weights_of(other), list(vars(other).get("loss_curve_") or [])))

    @invariant()
    def weights_and_figures_are_of_one_moment(self):
        e = self.found
        if not hasattr(e, "coefs_"):
            assert not hasattr(e, "classes_")
            return
        assert all(np.isfinite(part).all() for part in weights_of(e))
        X, y = DATA[0]
        assert e.score(X, y) == np.mean(e.predict(X) == y)
        np.testing.assert_allclose(e.predict_proba(X).sum(axis=1), 1.0)
        curve = vars(e).get("loss_curve_")
        if curve:
            assert e.n_iter_ <= len(curve)
            assert e.loss_ == curve[-1] or e.solver == "lbfgs"
            assert e.best_loss_ is None or e.best_loss_ <= min(curve[-e.n_iter_ :], default=np.inf)
        if self.validated is not None and e.class_weight is None:
            X, y = DATA[self.validated]
            assert e.best_validation_score_ == pytest.approx(e.score(X, y)) or e.n_iter_ == 0

    @invariant()
    def copies_keep_what_they_had(self):
        for other, weights, curve in self.copies:
            assert all(map(np.array_equal, weights, weights_of(other)))
            assert list(vars(other).get("loss_curve_") or []) == curve


@pytest.mark.parametrize("runs", [8, pytest.param(2000, marks=pytest.mark.long)])
def test_any_order_of_calls(runs):
    run_state_machine_as_test(
        Estimator,
        settings=settings(
            max_examples=runs,
            stateful_step_count=12,
            deadline=None,
            derandomize=runs < 100,
            suppress_health_check=list(HealthCheck),
        ),
    )
