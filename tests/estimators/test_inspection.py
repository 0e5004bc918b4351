"""Looking inside a fitted network: what is refused."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from retroprop.estimators import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
OPTIONS = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}


def test_input_gradient_takes_a_target_a_row_and_a_whole_number():
    found = MLPClassifier(**OPTIONS).fit(X, Y)
    for length in (1, 149):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            found.input_gradient(X, Y[:length])
    for output in (1.0, True, "1"):
        with pytest.raises(TypeError, match="output must be a whole number"):
            found.input_gradient(X, output=output)
    np.testing.assert_array_equal(found.input_gradient(X, output=np.int64(1)), found.input_gradient(X, output=1))


def test_score_of_several_columns_takes_a_label_a_row_and_column():
    columns = np.stack([Y, Y % 2], axis=1)
    found = MLPClassifier(**OPTIONS).fit(X, columns)
    for y in (columns[:1], columns[:, :1], Y[:2]):
        with pytest.raises(ValueError, match=r"y must have the shape \(150, 2\)"):
            found.score(X, y)
