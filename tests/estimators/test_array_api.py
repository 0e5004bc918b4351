"""Arrays of any library in, the same out: library, device and dtype kept, no flag, and the same model."""

import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from harness import ON_A_CPU, ON_A_GPU, assert_close, open_backend, why_absent
from sklearn import config_context
from sklearn.datasets import load_iris

from retroprop.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
TARGET = X @ np.asarray([1.0, -2.0, 0.5, 0.0]) + np.sin(X[:, 0])
LABELS = np.stack([Y > 0, X[:, 1] > 0], axis=1).astype("int32")
W = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
TASKS = {"classes": (MLPClassifier, Y), "two": (MLPClassifier, (Y > 1).astype("int32")),
         "labels": (MLPClassifier, LABELS), "numbers": (MLPRegressor, TARGET),
         "columns": (MLPRegressor, np.stack([TARGET, X[:, 2]], axis=1))}  # fmt: skip
OPTIONS = {"random_state": 0, "max_iter": 6, "hidden_layer_sizes": (5,), "learning_rate_init": 0.01}


def rtol(dtype):
    return 2e-3 if dtype == "float32" else 1e-9


@pytest.mark.parametrize(
    ("task", "options"),
    [
        *((task, {}) for task in ("classes", "labels", "columns")),
        *((task, {"early_stopping": True}) for task in ("classes", "columns")),
        *((task, {"solver": "sgd", "batch_size": 40}) for task in ("two", "numbers")),
    ],
    ids=str,
)
def test_library_device_and_dtype_are_kept(task, options, backend, dtype):
    kind, y = TASKS[task]
    x = X.astype(dtype)
    expected = kind(**OPTIONS, **options).fit(x, y, sample_weight=W)
    x_there = backend.asarray(x)
    found = kind(**OPTIONS, **options).fit(x_there, backend.asarray(y), sample_weight=backend.asarray(W))
    for part, reference in zip(found.coefs_ + found.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
        assert_close(part, reference, backend=backend, dtype=dtype, rtol=rtol(dtype))
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=rtol(dtype))
    outputs = "predict" if kind is MLPRegressor else "predict_proba"
    assert_close(
        getattr(found, outputs)(x_there), getattr(expected, outputs)(x), backend=backend, dtype=dtype, rtol=rtol(dtype)
    )
    predicted = found.predict(x_there)
    assert backend.owns(predicted)
    np.testing.assert_allclose(backend.to_numpy(predicted), expected.predict(x), rtol=rtol(dtype), atol=rtol(dtype))
    score = found.score(x_there, backend.asarray(y))
    assert isinstance(score, float)
    assert score == pytest.approx(expected.score(x, y), rel=rtol(dtype))


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_lbfgs_stays_on_the_device(task, backend, dtype):
    kind, y = TASKS[task]
    x = backend.asarray(X.astype(dtype))
    found = kind(**(OPTIONS | {"max_iter": 40}), solver="lbfgs").fit(x, backend.asarray(y))
    assert all(backend.owns(part) for part in (*found.coefs_, *found.intercepts_))
    reference = kind(**(OPTIONS | {"max_iter": 40}), solver="lbfgs").fit(X, y)
    assert abs(found.loss_ - reference.loss_) < 0.02  # another line search
    assert found.score(x, backend.asarray(y)) > 0.95


@pytest.mark.parametrize("y_as", [list, np.asarray])
def test_y_and_weights_of_the_host_follow_x(y_as, backend):
    x = backend.asarray(X)
    found = MLPClassifier(**OPTIONS).fit(x, y_as(np.asarray(["a", "b", "c"])[Y]), sample_weight=y_as(W))
    expected = MLPClassifier(**OPTIONS).fit(X, Y, sample_weight=W)
    predicted = found.predict(x)
    assert isinstance(predicted, np.ndarray)  # no device holds text
    np.testing.assert_array_equal(predicted, np.asarray(["a", "b", "c"])[expected.predict(X)])


def test_host_and_device_meet_where_it_is_clear(backend):
    if backend.name == "numpy":
        pytest.skip("there is but one place")
    x = backend.asarray(X)
    there, here = MLPClassifier(**OPTIONS).fit(x, Y), MLPClassifier(**OPTIONS).fit(X, Y)
    assert isinstance(there.predict_proba(X), np.ndarray)
    assert backend.owns(here.predict_proba(x))
    assert_close(here.predict_proba(x), there.predict_proba(X), backend=backend, dtype="float64", rtol=1e-9)
    with config_context(array_api_dispatch=False):
        there.predict(X)
    moved = there.to("numpy")
    np.testing.assert_allclose(moved.predict_proba(X), there.predict_proba(X), rtol=1e-9)
    assert_close(here.to(backend).coefs_[0], here.coefs_[0], backend=backend, dtype="float64", rtol=0.0)
    there.partial_fit(X, Y)  # the parameters go where the data of a further fit are
    assert isinstance(there.coefs_[0], np.ndarray)


def test_two_devices_do_not_meet():
    first, second = open_backend("array_api_strict"), open_backend("array_api_strict:device1")
    fitted = MLPClassifier(**OPTIONS).fit(first.asarray(X), Y)
    with pytest.raises(ValueError, match=r"MLPClassifier.predict\(\) must use the same .* estimator.to\('array_api_st"):
        fitted.predict(second.asarray(X))
    assert second.owns(fitted.to(second).predict(second.asarray(X)))


def test_host_data_are_worked_on_where_device_says(backend):
    found = MLPClassifier(**OPTIONS, device=str(backend)).fit(X, Y)
    assert backend.owns(found.coefs_[0])
    assert isinstance(found.predict_proba(X), np.ndarray)
    np.testing.assert_allclose(found.predict_proba(X), MLPClassifier(**OPTIONS).fit(X, Y).predict_proba(X), rtol=1e-9)


LOAD = """
import sys, pickle, numpy
for model, data in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    estimator = pickle.load(open(model, "rb"))
    x, expected = numpy.load(data).values()
    numpy.testing.assert_allclose(estimator.predict_proba(x), expected, rtol=1e-6)
    estimator.partial_fit(x, estimator.predict(x))
found = {name.partition(".")[0] for name in sys.modules} & {"torch", "jax", "cupy", "array_api_strict"}
assert not found, found
"""


def test_a_pickle_loads_with_numpy_alone(tmp_path):
    files = []
    for name in (*ON_A_CPU, *ON_A_GPU):
        if why_absent(name):
            continue
        backend = open_backend(name)
        x = backend.asarray(X)
        fitted = MLPClassifier(**OPTIONS).fit(x, backend.asarray(Y))
        fitted.partial_fit(x, backend.asarray(Y))
        files += [tmp_path / f"{len(files)}.pickle", tmp_path / f"{len(files)}.npz"]
        with files[-2].open("wb") as file:
            pickle.dump(fitted, file)
        np.savez(files[-1], x=X, expected=backend.to_numpy(fitted.predict_proba(x)))
    assert len(files) >= 2
    subprocess.run([sys.executable, "-c", LOAD, *map(str, files)], check=True, env=os.environ)


def test_a_pickle_goes_on_as_if_it_had_never_been_put_away(backend, tmp_path):
    x = backend.asarray(X)
    fitted = MLPClassifier(**OPTIONS).fit(x, backend.asarray(Y))
    fitted.partial_fit(x, backend.asarray(Y))
    joblib.dump(fitted, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_allclose(again.predict_proba(X), backend.to_numpy(fitted.predict_proba(x)), rtol=1e-9)
    fitted.partial_fit(x, backend.asarray(Y)), again.partial_fit(X, Y)  # the moments are there, too
    np.testing.assert_allclose(again.predict_proba(X), backend.to_numpy(fitted.predict_proba(x)), rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, 0], r"Expected 2D array, got 1D array instead"),
        (lambda x: x * float("nan"), "Input X contains NaN"),
        (lambda x: x / 0.0, "Input X contains infinity"),
        (lambda x: x[:0, :], r"Found array with 0 sample\(s\)"),
    ],
)
def test_bad_arrays_get_scikit_learns_words(change, message, backend):
    with backend.active():
        x = change(backend.asarray(np.abs(X) + 1.0))
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**OPTIONS).fit(x, Y)


def test_features_are_counted(backend):
    fitted = MLPClassifier(**OPTIONS).fit(backend.asarray(X), Y)
    assert fitted.n_features_in_ == 4
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4 features as input"):
        fitted.predict(backend.asarray(X[:, :3]))


def test_a_fit_on_jax_changes_nothing_on_the_host():
    jax = pytest.importorskip("jax")
    backend = open_backend("jax:cpu")
    before = dict(jax.config.values)
    MLPClassifier(**OPTIONS).fit(backend.asarray(X), Y)
    assert dict(jax.config.values) == before
