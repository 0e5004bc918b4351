"""Fits of batches from an iterator: the arguments they refuse, and the warnings they do not give."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris

from retroprop.estimators import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)
OPTIONS = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}


def batches():
    return ((X[part], Y[part]) for part in (slice(0, 50), slice(50, 150)))  # not all classes in each


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_does_not_need_every_class_in_every_batch():
    found = MLPClassifier(warm_start=True, **OPTIONS).fit(batches, classes=[0, 1, 2])
    first = found.coefs_[0].copy()
    found.fit(batches)
    assert not np.array_equal(found.coefs_[0], first)
    with pytest.raises(ValueError, match=r"classes must be those of the fit before, \[0 1 2\], not \[0, 1\]"):
        found.fit(batches, classes=[0, 1])


def test_one_pass_over_an_iterator_is_no_failure_to_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MLPClassifier(**OPTIONS).fit(batches(), classes=[0, 1, 2]).n_iter_ == 1


def test_what_batches_cannot_have():
    with pytest.raises(ValueError, match="class_weight='balanced' is not supported for an iterator of batches"):
        MLPClassifier(class_weight="balanced", **OPTIONS).fit(batches, classes=[0, 1, 2])
    for mlp in (MLPClassifier(**OPTIONS), MLPRegressor(**OPTIONS)):
        with pytest.raises(ValueError, match="sample_weight goes with X and y"):
            mlp.fit(batches, None, np.ones(150))
