"""`TabularClassifier` and `TabularRegressor` keep scikit-learn's contract, on frames as on arrays."""

import io
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators are scikit-learn's")

from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from retroprop.tabular import TabularClassifier, TabularRegressor

FAST = {"epochs": 40, "hidden": (16,), "random_state": 0}


def frame(library, m=120):
    """Return a frame with a number, a category and a date, some of them missing; and classes that depend on them."""
    rng = np.random.default_rng(0)
    x, colour = rng.normal(size=m), rng.choice(["red", "blue", "green"], m)
    y = np.where(x + 2.0 * (colour == "red") > 0.7, 10**17 + 1, 10**17)
    columns = {
        "x": [None if i % 10 == 0 else value for i, value in enumerate(x.tolist())],
        "colour": [None if i % 13 == 0 else value for i, value in enumerate(colour.tolist())],
        "day": (np.datetime64("2024-01-01") + rng.integers(0, 300, m)).astype("datetime64[ms]"),
    }
    return pytest.importorskip(library, reason=f"frames of {library}").DataFrame(columns), y


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_scikit_learns_checks_of_every_estimator(kind):
    results = check_estimator(kind(epochs=40, hidden=(16,)), on_fail=None, on_skip=None)
    assert [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")] == []
    assert len(results) > 45


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_with_texts_dates_and_missing_values(library):
    X, y = frame(library)
    fitted = TabularClassifier(**FAST).fit(X, y)
    assert fitted.score(X, y) > 0.85
    assert fitted.predict(X).dtype == y.dtype
    assert fitted.feature_names_in_.tolist() == ["x", "colour", "day"]
    assert fitted.notes_ == []
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(X[["colour", "x", "day"]])
    number = TabularRegressor(**FAST).fit(X, np.where(y == y.min(), 1.7e9, 1.7e9 + 1000))
    assert number.score(X, np.where(y == y.min(), 1.7e9, 1.7e9 + 1000)) > 0.5
    with pytest.raises(ValueError, match="the value is missing"):
        TabularClassifier(missing="refuse", **FAST).fit(X, y)


@pytest.mark.parametrize(
    "labels",
    [
        np.asarray([2**53, 2**53 + 1]),
        np.asarray([2**64 - 1, 2**64 - 2], dtype=np.uint64),
        np.asarray(["01", "1"]),
        np.asarray(["b", "a"], dtype=object),
        np.asarray([True, False]),
        np.asarray([-5, 7], dtype=np.int8),
    ],
)
def test_labels_are_exact(labels):
    which = np.arange(40) % 2
    X = which[:, None] * 10.0 + np.arange(40)[:, None] / 40.0
    fitted = TabularClassifier(epochs=5, hidden=(), learning_rate=1.0, random_state=0).fit(X, labels[which])
    found = fitted.predict(X)
    assert found.dtype == labels.dtype
    assert found.tolist() == labels[which].tolist()


def test_texts_in_an_array_of_objects():
    pytest.importorskip("polars", reason="texts need polars")
    X = np.asarray([["red", 1.0], ["blue", 2.0]] * 20, dtype=object)
    fitted = TabularClassifier(**FAST).fit(X, ["u", "v"] * 20)
    assert fitted.predict(X[:2]).tolist() == ["u", "v"]


def test_pickle_joblib_and_clone():
    joblib = pytest.importorskip("joblib", reason="pickles by joblib")
    X, y = frame("pandas")
    fitted = TabularClassifier(early_stopping=True, class_weight="balanced", **FAST).fit(X, y)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(io.BytesIO(file.getvalue()))):
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    np.testing.assert_array_equal(fresh.fit(X, y).predict_proba(X), fitted.predict_proba(X))


def test_pipelines_and_searches():
    X, y = frame("pandas")
    search = GridSearchCV(TabularClassifier(**FAST), {"hidden": [(4,), (8, 4)], "l2": [1e-3, 1e-1]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.7
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include=float)),
        (OneHotEncoder(handle_unknown="ignore"), ["colour"]),
        sparse_threshold=0.0,
    )
    assert cross_val_score(make_pipeline(columns, TabularClassifier(**FAST)), X, y, cv=2).mean() > 0.7


def test_class_weights_are_by_label():
    X, y = frame("pandas")
    rare = np.where(np.arange(len(y)) % 10 == 0, "rare", "usual")
    found = {
        str(weight): (
            TabularClassifier(class_weight=weight, **FAST | {"epochs": 4}).fit(X, rare).predict(X) == "rare"
        ).sum()
        for weight in (None, {"rare": 20.0}, "balanced")
    }
    assert found["None"] < min(found["{'rare': 20.0}"], found["balanced"])
    with pytest.raises(ValueError, match="not among the classes"):
        TabularClassifier(class_weight={"common": 1.0}, **FAST).fit(X, rare)
    with pytest.raises(ValueError, match="y holds None"):
        TabularClassifier(**FAST).fit(X, np.where(rare == "rare", None, rare))
