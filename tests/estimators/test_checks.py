"""The short checks of data that are surely good: results and errors are scikit-learn's, whose checks run otherwise."""

import warnings

import numpy as np
import pytest
import sklearn.utils.validation
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier as Theirs

from retroprop.estimators import MLPClassifier, MLPRegressor, arrays
from retroprop.estimators.targets import Labels

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


def spoilt(value):
    found = X.copy()
    found[3, 1] = value
    return found


class Subclass(np.ndarray):
    """An array of a user's own class."""


GIVEN = {
    "float64": X,
    "float32": X.astype("float32"),
    "one row": X[:1],
    "Fortran order": np.asfortranarray(X),
    "every other row": X[::2],
    "read-only": np.frombuffer(X.tobytes()).reshape(X.shape),
    "float16": X.astype("float16"),
    "integers": X.astype(int),
    "big-endian": X.astype(">f8"),
    "list": X.tolist(),
    "subclass": X.view(Subclass),
    "objects": X.astype(object),
    "NaN": spoilt(np.nan),
    "inf": spoilt(-np.inf),
    "too few columns": X[:, :3],
    "one axis": X[0],
    "three axes": X[None],
    "no rows": X[:0],
    "no columns": X[:, :0],
    "text": X.astype(str).tolist(),
    "words": [["a", "b", "c", "d"]],
    "complex": X + 0j,
}


def outcome(call, *arguments):
    """Return the result, or the error, and the warnings of a call."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = call(*arguments)
        except Exception as error:
            found = type(error), str(error)
    return found, [(one.category, str(one.message)) for one in said]


@pytest.fixture(scope="module")
def both():
    theirs = Theirs((5,), max_iter=3, random_state=0).fit(X, Y)
    return MLPClassifier.from_sklearn(theirs), theirs


@pytest.mark.parametrize("name", GIVEN)
def test_inputs_are_taken_or_refused_as_there(both, name):
    (ours, said), (theirs, their) = (outcome(model.predict_proba, GIVEN[name]) for model in both)
    assert said == their
    if isinstance(theirs, tuple):
        assert ours == theirs
    else:
        np.testing.assert_allclose(ours, theirs, rtol=2e-6 if theirs.dtype == "float32" else 1e-12)


def test_names_of_features_are_compared_as_there(both):
    frames = pytest.importorskip("pandas")
    frame = frames.DataFrame(X, columns=list("abcd"))
    for given, fitted in ((frame, X), (X, frame), (frame[list("bacd")], frame)):
        found = [
            outcome(cls((5,), max_iter=2, random_state=0).fit(fitted, Y).predict, given)
            for cls in (MLPClassifier, Theirs)
        ]
        assert found[0][1] == found[1][1]
        assert isinstance(found[0][0], tuple) == isinstance(found[1][0], tuple)


LABELS = {
    "three classes": Y,
    "two classes": (Y > 0).astype(int),
    "negative": 3 * Y - 4,
    "unsigned": Y.astype("uint8"),
    "text": np.asarray(["b", "a", "cc"])[Y],
    "two words": np.asarray(["no", "yes"])[(Y > 1).astype(int)],
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("rows", [slice(None), slice(0, 150, 7), slice(0, 1), slice(0, 40)])
def test_known_labels_are_coded_as_by_scikit_learn(name, rows):
    coding, y = Labels(LABELS[name]), LABELS[name][rows]
    found, wanted = coding.known(y), coding.targets(y)
    if found is None:
        assert 2 * len(np.unique(y)) >= len(y), "the labels of a small batch are left to scikit-learn"
        return
    for ours, theirs in zip(found, wanted, strict=True):
        assert type(ours) is type(theirs)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert (ours == theirs).all()
        else:
            assert ours == theirs


@pytest.mark.parametrize(
    "y",
    [Y + 1, Y - 1, Y.astype(float), Y.tolist(), Y.astype("int8"), Y[:, None], Y.astype(object), Y > 0, Y[:0],
     spoilt(0)[:, 1], np.where(Y == 2, 7, Y)],
)  # fmt: skip
def test_other_labels_are_left_to_scikit_learn(y):
    assert Labels(Y).known(y) is None


def test_one_class_and_indicators_are_left_to_scikit_learn():
    assert Labels([1, 1]).known(np.ones(9, int)) is None
    assert Labels(np.eye(3, dtype=int)).known(np.zeros(9, int)) is None


@pytest.mark.parametrize(
    "y", [np.full(40, 9), np.where(Y == 1, 5, Y), Y.astype(float) + 0.5, ["a"] * 150, Y[:10], Y[:0], None]
)
def test_bad_labels_get_the_error_of_there(y):
    x = X[:40] if y is not None and len(y) == 40 else X
    found = []
    for cls in (MLPClassifier, Theirs):
        model = cls((5,), random_state=0)
        model.partial_fit(X, Y, classes=[0, 1, 2])
        found.append(outcome(model.partial_fit, x, y)[0])
    assert [kind for kind, _ in found] == [ValueError, ValueError]


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_good_data_are_checked_once(cls, monkeypatch):
    model = cls(hidden_layer_sizes=5, random_state=0).partial_fit(
        X, Y, **({"classes": [0, 1, 2]} if cls is MLPClassifier else {})
    )
    checked, finite = [], []
    for module in (sklearn.utils.validation, sklearn.utils.multiclass, sklearn.preprocessing._label):
        whole = module.check_array
        monkeypatch.setattr(module, "check_array", lambda *a, _whole=whole, **k: checked.append(a) or _whole(*a, **k))
    plain = arrays.host.all_finite
    monkeypatch.setattr(arrays.host, "all_finite", lambda array: finite.append(array.shape) or plain(array))
    model.partial_fit(X, Y)
    assert len(checked) == (0 if cls is MLPClassifier else 1), "the values of a regressor, by scikit-learn"
    assert finite == [X.shape]
    model.predict(X)
    assert finite == [X.shape] * 2
    assert len(checked) <= 1 + (cls is MLPClassifier)
