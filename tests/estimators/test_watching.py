"""Warnings show the line that called the fit."""

import warnings

import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline

from retroprop.estimators import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)


@pytest.mark.parametrize(
    "make", [MLPClassifier, MLPRegressor, lambda **options: make_pipeline(MLPRegressor(**options))]
)
@pytest.mark.parametrize("options", [{"batch_size": 1000}, {"solver": "lbfgs"}, {"solver": "sgd"}])
def test_a_warning_shows_the_line_of_the_call(make, options):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        make(max_iter=1, **options).fit(X, Y)
    assert [warning.filename for warning in seen] == [__file__] * len(seen) != []


def test_of_partial_fit_too():
    with pytest.warns(UserWarning, match="batch_size") as seen:
        MLPRegressor(batch_size=1000).partial_fit(X, Y)
    assert seen[0].filename == __file__
