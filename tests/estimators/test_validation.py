"""Scores and losses of validation data: of the observations' own weights, for every format of data."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from retroprop.estimators import MLPClassifier, MLPRegressor
from retroprop.estimators.randomness import split
from retroprop.estimators.stopping import Bests
from retroprop.functions.schedules import Schedule

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
OPTIONS = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0, "learning_rate_init": 0.02}
WEIGHT = np.linspace(0.5, 2.0, 150)
UNEVEN = {0: 1.0, 1: 5.0, 2: 0.1}


@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_class_weights_are_in_the_validation_loss_and_the_default_score(scoring):
    """A scorer that was chosen gets the weights that were passed to `fit`."""
    found = MLPClassifier(class_weight=UNEVEN, scoring=scoring, early_stopping=True, validation_fraction=0.3, **OPTIONS)
    found.fit(X, Y, WEIGHT)
    rng = np.random.RandomState(0)
    for n_in, n_out in ((4, 5), (5, 3)):  # the weights are drawn before the split
        rng.uniform(size=(n_in + 1, n_out))
    _, rows = split(rng, 150, 0.3, None)
    scores, losses = found.validation_scores_, found.validation_loss_curve_
    of_equals = losses if scoring is None else range(4)  # of equal scores the first, by class weights the least loss
    best = min(range(4), key=lambda epoch: (-scores[epoch], of_equals[epoch]))
    with_classes = WEIGHT * np.asarray([UNEVEN[c] for c in Y])
    scored_by = with_classes if scoring is None else WEIGHT
    expected = accuracy_score(Y[rows], found.predict(X[rows]), sample_weight=scored_by[rows])
    assert scores[best] == pytest.approx(expected)
    expected = log_loss(Y[rows], found.predict_proba(X[rows]), sample_weight=with_classes[rows])
    assert losses[best] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("weights", "sample_weight", "message"),
    [
        ({0: -1.0}, None, "class_weight must be 0 or above and finite"),
        ({0: -1.0}, -WEIGHT, "Negative values"),
        ({0: np.nan}, None, "class_weight must be 0 or above and finite"),
        ({0: 0.0, 1: 0.0, 2: 0.0}, None, "at least one non-zero number"),
        ({0: 0.0, 1: 0.0}, (Y < 2) * 1.0, "at least one non-zero number"),
    ],
)
def test_class_weights_are_checked_as_sample_weights_are(weights, sample_weight, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=weights, **OPTIONS).fit(X, Y, sample_weight)


def test_early_stopping_with_class_weights_is_no_worse_than_none():
    lost = []
    for seed in range(4):
        rng = np.random.RandomState(seed)
        x = rng.randn(600, 20)
        y = (x[:, 0] + 0.6 * x[:, 1] + rng.randn(600) * 1.2 > 1.75).astype(int)
        options = {"hidden_layer_sizes": (32, 16), "class_weight": "balanced", "max_iter": 30, "random_state": seed}
        models = (MLPClassifier(early_stopping=stops, **options).fit(x[:450], y[:450]) for stops in (False, True))
        plain, stopped = (balanced_accuracy_score(y[450:], model.predict(x[450:])) for model in models)
        lost.append(plain - stopped)
    assert np.mean(lost) < 0.05, lost


def test_class_weights_make_equal_batches_and_let_the_loss_decide():
    weighted = MLPClassifier(class_weight={0: 3.0})
    assert [weighted._batch_rows(n) for n in (0, 150, 200, 201, 405, 1000)] == [0, 150, 200, 101, 135, 200]
    assert weighted.set_params(batch_size=13)._batch_rows(405) == 13
    assert MLPClassifier(class_weight=[{0: 1.0}, {1: 2.0}])._batch_rows(405) == 135
    for ones in (None, {0: 1.0}):
        assert MLPClassifier(class_weight=ones)._batch_rows(405) == 200
    bests = Bests(None, -np.inf, 0)
    seen = []
    for score, loss in ((0.5, 2.0), (0.5, 1.5), (0.4, 1.0), (0.5, 1.6), (0.5, 1.4), (0.6, 3.0)):
        bests, is_best = bests.with_score(score, 0.01, counts=True, loss=loss)
        seen.append((is_best, bests.waited, bests.score))
    assert seen == [(True, 0, 0.5), (True, 0, 0.5), (False, 0, 0.5), (False, 1, 0.5), (True, 2, 0.5), (True, 0, 0.6)]


def test_a_scorer_looks_at_rows_of_any_sparse_matrix():
    options = OPTIONS | {"early_stopping": True, "scoring": "f1_macro"}
    found = MLPClassifier(**options).fit(sparse.coo_matrix(X), Y)
    np.testing.assert_allclose(found.validation_scores_, MLPClassifier(**options).fit(X, Y).validation_scores_)


def test_stratify_keeps_the_parts_of_several_columns():
    columns = np.stack([np.repeat([0, 1, 2], [100, 30, 20]), np.tile([0, 1], 75)], axis=1)
    found = MLPClassifier(stratify=True, early_stopping=True, validation_fraction=0.2, **OPTIONS)
    seen = []
    found._validation_score = lambda outputs, scored, weight: float(seen.append(scored) or 0.0)
    found.fit(X, columns)
    np.testing.assert_array_equal(np.bincount(seen[0] @ [2, 1]), [10, 10, 3, 3, 2, 2])


class Recorded(Schedule):
    """A schedule that records the costs it observes."""

    def __init__(self):
        self.seen = []

    def __call__(self, t):
        return 0.01

    def observe(self, cost):
        self.seen.append(cost)


GIVEN = {"X_val": X[::3], "y_val": Y[::3]}


@pytest.mark.parametrize(
    ("options", "given"),
    [({}, {}), ({}, GIVEN), ({"early_stopping": True}, {}), ({"early_stopping": True}, GIVEN),
     ({"scoring": "f1_macro"}, GIVEN)],
)  # fmt: skip
def test_a_schedule_observes_the_validation_loss_where_there_is_one(options, given):
    rate = Recorded()
    options = {**OPTIONS, "learning_rate_init": 0.001, "solver": "sgd", **options}
    found = MLPClassifier(learning_rate=rate, **options).fit(X, Y, **given)
    assert rate.seen == (found.validation_loss_curve_ or found.loss_curve_)
    assert len(rate.seen) == found.n_iter_ > 2


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_absolute_error", "loss"])
def test_a_diverging_fit_ends_alike_whatever_the_scoring(scoring):
    options = {**OPTIONS, "solver": "sgd", "learning_rate_init": 1e6, "early_stopping": True, "max_iter": 20}
    with np.errstate(all="ignore"), pytest.warns(UserWarning, match="the training diverged: at epoch"):
        plain, scored = (MLPRegressor(scoring=one, **options).fit(X, Y)
                         for one in (None, scoring))  # fmt: skip
    assert np.isnan(plain.validation_scores_[-1])
    assert np.isnan(scored.validation_scores_[-1])
    assert plain.n_iter_ == scored.n_iter_
    for one, other in zip(plain.coefs_, scored.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_scorers_error_about_finite_outputs_is_raised():
    def fails(estimator, X, y):
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        MLPRegressor(scoring=fails, early_stopping=True, **OPTIONS).fit(X, Y)
