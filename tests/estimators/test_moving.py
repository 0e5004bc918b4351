"""Copies of a fitted estimator: independent of it, and where it is."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris

from retroprop.estimators import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
OPTIONS = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}


def test_a_copy_stays_on_the_device_and_a_pickle_does_not(backend):
    found = MLPClassifier(**OPTIONS).fit(backend.asarray(X), backend.asarray(Y))
    for copied in (copy.copy(found), copy.deepcopy(found), found.to(backend)):
        assert all(backend.owns(part) for part in (*copied.coefs_, *copied.intercepts_, *copied._best.leaves))
    loaded = pickle.loads(pickle.dumps(found))
    assert all(isinstance(part, np.ndarray) for part in loaded.coefs_)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda mlp: mlp.to("numpy")])
def test_a_copy_shares_nothing_that_training_changes(how):
    x, y = X, Y
    found = MLPClassifier(**OPTIONS).fit(x, y, X_val=x, y_val=y)
    kept, reference = how(found), pickle.loads(pickle.dumps(found))
    found.partial_fit(x, y)
    assert len(kept.loss_curve_) == len(kept.validation_scores_) == 3
    assert kept._optimizer.n_updates == reference._optimizer.n_updates == found._optimizer.n_updates - 1
    for mlp in (kept, reference):
        mlp.partial_fit(x, y)
    for mine, other in zip(kept.coefs_, reference.coefs_, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert kept.loss_curve_ == reference.loss_curve_
