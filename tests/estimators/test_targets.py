"""Labels as a network learns them, and the loss that goes with their outputs."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

import retroprop as rp
from retroprop.estimators import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.mark.parametrize("y", [Y > 0, Y, np.stack([Y > 0, Y == 2], axis=1), np.stack([Y, Y % 2], axis=1)])
def test_cross_entropy_as_an_object_is_the_log_loss(y):
    options = {"random_state": 0, "max_iter": 20, "learning_rate_init": 0.05}
    by_name = MLPClassifier(**options).fit(X, y)
    as_object = MLPClassifier(loss=rp.losses.CrossEntropy(), **options).fit(X, y)
    assert by_name.loss_curve_ == as_object.loss_curve_
    np.testing.assert_array_equal(as_object.predict(X), by_name.predict(X))
    assert len(np.unique(as_object.predict(X))) == len(np.unique(y))
