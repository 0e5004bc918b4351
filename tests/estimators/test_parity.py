"""The same random_state gives the model scikit-learn gives: its 1.9.1 is what these figures are compared with."""

import warnings
from itertools import product

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification

from retroprop import estimators as ours
from retroprop.backends.cpu import numba_target

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.skipif(
        not sklearn.__version__.startswith("1.9."),
        reason=f"the semantics are scikit-learn 1.9.1's, and {sklearn.__version__} is installed",
    ),
]

RNG = np.random.RandomState(0)
IRIS = load_iris(return_X_y=True)
IRIS = (IRIS[0] - IRIS[0].mean(axis=0)) / IRIS[0].std(axis=0), np.asarray(["a", "b", "c"])[IRIS[1]]
BINARY = IRIS[0][50:], IRIS[1][50:]
MULTILABEL = make_multilabel_classification(n_samples=120, n_features=6, random_state=0)
DIGITS = tuple(part[:300] for part in load_digits(return_X_y=True))
DIABETES = load_diabetes(return_X_y=True)
DIABETES = DIABETES[0][:200] * 10.0, (DIABETES[1][:200] - 150.0) / 80.0
TWO = DIABETES[0], np.stack([DIABETES[1], np.abs(DIABETES[0][:, 2])], axis=1)
COUNTS = DIABETES[0], RNG.poisson(np.exp(0.3 * DIABETES[1])).astype(float)

CLASSES = {"binary": BINARY, "multiclass": IRIS, "multilabel": MULTILABEL, "digits": DIGITS}
NUMBERS = {"one": DIABETES, "two": TWO, "counts": COUNTS}
SGD = {"solver": "sgd", "learning_rate_init": 0.05}

CONFIGURATIONS = [
    # every task, solver and activation
    *((task, {"solver": solver, "activation": f, "learning_rate_init": 0.01})
      for task, solver, f in product([*CLASSES, *NUMBERS], ["sgd", "adam"], ["identity", "logistic", "tanh", "relu"])),
    # schedules, momentum
    *((task, {**SGD, "learning_rate": rate, **more}) for task, rate, more in product(
        ["binary", "multiclass", "one"], ["constant", "invscaling", "adaptive"],
        [{"momentum": 0.0}, {"momentum": 0.9, "nesterovs_momentum": False},
         {"momentum": 1.0, "learning_rate_init": 1e-3}, {"power_t": 0.2},
         {"tol": 0.05, "n_iter_no_change": 2, "max_iter": 80}])),
    # what ends it
    *((task, {"solver": solver, "early_stopping": True, "learning_rate_init": 0.01, **more})
      for task, solver, more in product(
        ["binary", "multiclass", "multilabel", "one", "two"], ["sgd", "adam"],
        [{}, {"validation_fraction": 0.3, "n_iter_no_change": 3, "tol": 1e-3}])),
    # batches, layers, penalties
    *((task, {"learning_rate_init": 0.01, **more}) for task, more in product(
        ["binary", "multiclass", "two"],
        [{"batch_size": 7}, {"batch_size": 32, "shuffle": False}, {"shuffle": False}, {"hidden_layer_sizes": ()},
         {"hidden_layer_sizes": (7, 5, 3), "batch_size": 50}, {"hidden_layer_sizes": 4}, {"alpha": 0.0}, {"alpha": 3.0},
         {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}, {"random_state": 3}])),
]  # fmt: skip
LBFGS = [
    (task, {"solver": "lbfgs", "max_iter": 15, "activation": f, **more})
    for task, f, more in product([*CLASSES, "one", "counts"], ["tanh", "relu"], [{}, {"alpha": 1.0}])
]
HOW = ["weights", "sparse", "csc", "warm start", "partial fit", "partial fit, sparse", "random state object"]
WAYS = [
    (task, how, {"solver": solver, "learning_rate_init": 0.01})
    for task, how, solver in product(["binary", "multiclass", "multilabel", "two"], HOW, ["sgd", "adam"])
]


def estimators_of(task, options, **more):
    name = "MLPClassifier" if task in CLASSES else "MLPRegressor"
    options = {"hidden_layer_sizes": (9,), "max_iter": 20, "random_state": 0, **options, **more}
    if task == "counts":
        options["loss"] = "poisson"
    return getattr(ours, name)(**options), getattr(theirs, name)(**options)


def data_of(task):
    return {**CLASSES, **NUMBERS}[task]


def assert_same(mine, reference, x, rtol):
    """Compare all that scikit-learn's estimator has learnt."""
    for name in ("coefs_", "intercepts_"):
        for found, expected in zip(getattr(mine, name), getattr(reference, name), strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mine, name) == getattr(reference, name), name
    np.testing.assert_allclose(mine.loss_, reference.loss_, rtol=rtol)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        found, expected = getattr(mine, name, "none"), getattr(reference, name, "none")
        assert (found is None) == (expected is None)
        assert isinstance(found, str) == isinstance(expected, str)
        if expected is not None and not isinstance(expected, str):
            np.testing.assert_allclose(found, expected, rtol=rtol, err_msg=name)
    if hasattr(reference, "classes_"):
        np.testing.assert_array_equal(mine.classes_, reference.classes_)
        np.testing.assert_allclose(mine.predict_proba(x), reference.predict_proba(x), rtol=rtol, atol=rtol)
    else:
        np.testing.assert_allclose(mine.predict(x), reference.predict(x), rtol=rtol, atol=rtol)


def named(configurations):
    return [pytest.param(*given, id="-".join(map(str, given))) for given in configurations]


@pytest.mark.parametrize(("task", "options"), named(CONFIGURATIONS))
def test_float64(task, options):
    x, y = data_of(task)
    mine, reference = estimators_of(task, options)
    assert_same(mine.fit(x, y), reference.fit(x, y), x, 1e-9)


@pytest.mark.parametrize(("task", "options"), named(CONFIGURATIONS[::7]))
def test_float32(task, options):
    x, y = data_of(task)
    x = x.astype("float32")
    mine, reference = estimators_of(task, options, max_iter=10)
    assert_same(mine.fit(x, y), reference.fit(x, y), x, 2e-3)
    assert all(array.dtype == np.float32 for array in (*mine.coefs_, *mine.intercepts_))


@pytest.mark.parametrize(("task", "options"), named(LBFGS))
def test_lbfgs(task, options):
    x, y = data_of(task)
    mine, reference = estimators_of(task, options)
    assert_same(mine.fit(x, y), reference.fit(x, y), x, 1e-4)


@pytest.mark.parametrize(("task", "how", "options"), named(WAYS))
def test_every_way_to_fit(task, how, options):
    x, y = data_of(task)
    pair = estimators_of(task, options)
    for estimator in pair:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            fitted_as(how, estimator, x, y)
    assert_same(*pair, x, 1e-9)


@pytest.mark.long
def test_float64_in_compiled_loops(monkeypatch):
    pytest.importorskip("numba", reason="Numba is not installed")
    monkeypatch.setenv(numba_target.ENVIRONMENT_VARIABLE, "1")
    for task, options in CONFIGURATIONS[::5]:
        test_float64(task, options)


def fitted_as(how, estimator, x, y):
    weight = np.random.RandomState(1).uniform(0.1, 3.0, len(x))
    classes = {"classes": np.unique(y)} if hasattr(estimator, "predict_proba") and y.ndim == 1 else {}
    if hasattr(estimator, "predict_proba") and y.ndim == 2:
        classes = {"classes": np.arange(y.shape[1])}
    if how == "weights":
        estimator.fit(x, y, sample_weight=weight)
    elif how == "sparse":
        estimator.fit(sparse.csr_array(x), y, sample_weight=weight)
    elif how == "csc":
        estimator.set_params(early_stopping=True).fit(sparse.csc_matrix(x), y)
    elif how == "warm start":
        estimator.set_params(warm_start=True).fit(x, y)
        estimator.set_params(max_iter=5, learning_rate="invscaling").fit(x, y, sample_weight=weight)
    elif how == "random state object":
        estimator.set_params(random_state=np.random.RandomState(5), early_stopping=True).fit(x, y)
    else:
        for part in np.array_split(np.random.RandomState(2).permutation(len(x)), 5):
            given = sparse.csr_array(x[part]) if "sparse" in how else x[part]
            estimator.partial_fit(given, y[part], **classes)
            classes = {}
