"""Which weights are the best, and that they are the ones the best figure belongs to."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from retroprop.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
TARGET = X @ np.asarray([1.0, -2.0, 0.5, 0.0])
UNSTEADY = {"hidden_layer_sizes": (8,), "solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.6, "alpha": 0.0,
            "batch_size": 150, "max_iter": 30, "n_iter_no_change": np.inf, "random_state": 0,
            "clip_norm": 1.0}  # fmt: skip


def test_the_best_weights_have_the_best_loss_with_one_batch_an_epoch():
    found = MLPRegressor(restore_best=True, **UNSTEADY).fit(X, TARGET)
    assert found.best_loss_ == min(found.loss_curve_) < found.loss_curve_[-1]
    assert np.mean((found.predict(X) - TARGET) ** 2) / 2.0 == pytest.approx(found.best_loss_)


def test_the_best_of_a_further_fit_is_of_that_fit():
    """The best figure of an earlier fit may be of other data: its weights are not given back for these."""
    found = MLPRegressor(**UNSTEADY, warm_start=True).fit(X, TARGET)
    found.set_params(restore_best=True, learning_rate_init=5.0, clip_norm=None, max_iter=3).fit(X, TARGET)
    assert found.best_loss_ == min(found.loss_curve_[-3:])
    assert np.mean((found.predict(X) - TARGET) ** 2) / 2.0 == pytest.approx(found.best_loss_)


def test_a_further_fit_by_another_figure_begins_it_anew():
    found = MLPClassifier((8,), learning_rate_init=0.02, max_iter=40, random_state=0, warm_start=True).fit(X, Y)
    found.fit(X, Y, X_val=X, y_val=Y)
    assert found.best_validation_score_ > 0.9
    found.partial_fit(X, Y)
    found.set_params(early_stopping=True, max_iter=2).fit(X, Y, X_val=X, y_val=Y)
    assert found.score(X, Y) == found.best_validation_score_ == max(found.validation_scores_[-2:])
