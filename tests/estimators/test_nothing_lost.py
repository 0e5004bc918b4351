"""Nothing that a fit computed is lost; no state of an earlier fit, no shape and no option decides silently."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPRegressor, lbfgs
from retroprop.estimators.arrays import to_host
from retroprop.estimators.descent import Descent

RNG = np.random.RandomState(0)
X = RNG.randn(200, 3)
Y = (X[:, 0] > 0).astype(int)
OPTIONS = {"hidden_layer_sizes": (8,), "random_state": 0, "learning_rate_init": 0.02}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def classifier(**options):
    return MLPClassifier(**OPTIONS | options)


class Failing:
    """A scorer or a source of batches that fails at a call."""

    def __init__(self, call, error):
        self.call, self.error, self.calls = call, error, 0

    def count(self):
        self.calls += 1
        if self.calls == self.call:
            raise self.error("on purpose")

    def __call__(self, estimator, x, y):
        self.count()
        return accuracy_score(y, estimator.predict(x))

    def batches(self):
        for k in range(10):
            self.count()
            yield X[k * 20 : k * 20 + 20], Y[k * 20 : k * 20 + 20]


# What ends a fit ----------------------------------------------------------------------------------------------------


def test_a_warning_made_an_error_loses_nothing():
    found, whole = classifier(max_iter=20), classifier(max_iter=20).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            found.fit(X, Y)
    np.testing.assert_array_equal(found.coefs_[0], whole.coefs_[0])
    assert (found.n_iter_, found.loss_curve_) == (20, whole.loss_curve_)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"restore_best": True}], ids=str)
def test_a_scorer_that_fails_leaves_the_epochs_before(options, error):
    """The weights are those of five epochs, as all figures are."""
    given = {} if options.get("early_stopping") else {"X_val": X, "y_val": Y}
    found = classifier(scoring=Failing(6, error), max_iter=50, n_iter_no_change=50, **options)
    whole = classifier(scoring="accuracy", max_iter=5, n_iter_no_change=50, **options).fit(X, Y, **given)
    if error is OSError:
        with pytest.raises(OSError, match="on purpose"):
            found.fit(X, Y, **given)
    else:
        found.fit(X, Y, **given)
    assert (found.n_iter_, found.t_) == (whole.n_iter_, whole.t_)
    for name in ("loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_"):
        assert getattr(found, name) == getattr(whole, name), name
    np.testing.assert_array_equal(found.coefs_[0], whole.coefs_[0])


@pytest.mark.parametrize("call", [5, 35])
def test_batches_that_end_in_an_error_leave_the_updates_so_far(call):
    failing = Failing(call, OSError)
    found = classifier(max_iter=50)
    with pytest.raises(OSError, match="on purpose"):
        found.fit(failing.batches, classes=[0, 1])
    start = classifier(max_iter=1, learning_rate_init=1e-12).fit(X, Y)
    assert np.abs(found.coefs_[0] - start.coefs_[0]).max() > 0.02
    assert found.n_iter_ == len(found.loss_curve_) == (call - 1) // 10
    assert found.score(X, Y) > 0.6


@pytest.mark.parametrize("device", [None, "array_api_strict:device1"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_l_bfgs_keeps_its_last_iteration(device, error, monkeypatch):
    plain = lbfgs.Iterates.reached

    def reached(self, n_iterations, cost, parameters):
        plain(self, n_iterations, cost, parameters)
        if n_iterations == 4:
            raise error

    options = {"solver": "lbfgs", "device": device, "tol": 0.0}
    whole = classifier(max_iter=4, **options).fit(X, Y)
    monkeypatch.setattr(lbfgs.Iterates, "reached", reached)
    found = classifier(max_iter=100, **options)
    if error is OSError:
        with pytest.raises(OSError, match=""):
            found.fit(X, Y)
    else:
        found.fit(X, Y)
    assert (found.n_iter_, found.loss_) == (4, pytest.approx(whole.loss_))
    np.testing.assert_allclose(to_host(found.coefs_[0]), to_host(whole.coefs_[0]))


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"restore_best": True}], ids=str)
def test_ctrl_c_between_the_figures_of_an_epoch_takes_them_back(options, monkeypatch):
    found, calls, plain = classifier(max_iter=20, **options), [], Descent._note

    def interrupt(self, bests):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        plain(self, bests)

    monkeypatch.setattr(Descent, "_note", interrupt)
    found.fit(X, Y)
    calls += [1]  # the fits to compare with are whole
    three, four = (classifier(max_iter=n, **options).fit(X, Y) for n in (3, 4))
    for name in ("n_iter_", "t_", "loss_", "loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_"):
        assert getattr(found, name) == getattr(three, name), name
    np.testing.assert_array_equal(found.coefs_[0], (three if options else four).coefs_[0])


def test_ctrl_c_after_the_last_epoch_keeps_the_weights(monkeypatch):
    whole = classifier(max_iter=5).fit(X, Y)

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(MLPClassifier, "_settle", interrupt)
    found = classifier(max_iter=5)
    with pytest.raises(KeyboardInterrupt):
        found.fit(X, Y)
    np.testing.assert_array_equal(found.coefs_[0], whole.coefs_[0])
    assert found.loss_curve_ == whole.loss_curve_


def test_a_fit_that_cannot_begin_leaves_the_estimator_as_it_was():
    found = classifier(max_iter=5)
    with pytest.raises(OSError, match="on purpose"):
        found.fit(Failing(1, OSError).batches, classes=[0, 1])
    assert not hasattr(found, "coefs_")
    assert not hasattr(found, "classes_")
    with pytest.raises(ValueError, match="partial_fit does not support restore_best"):
        found.set_params(restore_best=True).partial_fit(X, Y, classes=[0, 1])
    assert not hasattr(found, "classes_")
    found.set_params(restore_best=False).fit(X, Y)
    before = pickle.dumps(found)
    for fail in (
        lambda: found.fit(X, Y, X_val=X[:, :2], y_val=Y),
        lambda: found.fit(X[:, :2], Y + 5, X_val=X, y_val=Y[:3]),
        lambda: found.set_params(scoring=Failing(1, ValueError)).fit(X, Y, X_val=X, y_val=Y),
    ):
        with pytest.raises(ValueError, match=r".+"):
            fail()
        found.set_params(scoring=None)
        assert pickle.dumps(found) == before


# State of an earlier fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"early_stopping": True}, {"restore_best": True, "n_iter_no_change": 1000}, {"n_iter_no_change": 3}],
    ids=str,
)
def test_a_warm_start_on_other_data_is_measured_by_those(options):
    harder = (X[:, 1] + 0.8 * RNG.randn(200) > 0).astype(int)
    found = classifier(warm_start=True, max_iter=40, **options).fit(X, Y)
    old, n_before = found.coefs_[0].copy(), len(found.loss_curve_)
    found.fit(X, harder)
    assert (old != found.coefs_[0]).any()
    assert found.n_iter_ > 4
    if options.get("early_stopping"):
        assert found.best_validation_score_ == max(found.validation_scores_[-found.n_iter_ :])
    elif options.get("restore_best"):
        assert found.best_loss_ == min(found.loss_curve_[n_before:])


@pytest.mark.parametrize("solver", ["lbfgs", "adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_each_fit_goes_on_from_each(solver, early_stopping):
    """Ours or scikit-learn's, by any solver: `partial_fit` and a warm start follow."""
    theirs = neural_network.MLPClassifier(
        (8,), solver=solver, max_iter=5, early_stopping=early_stopping, random_state=0
    )
    made = (
        classifier(solver=solver, max_iter=5, early_stopping=early_stopping).fit(X, Y),
        MLPClassifier.from_sklearn(theirs.fit(X, Y)),
    )
    for found in made:
        for go_on in (
            lambda e: e.set_params(solver="adam", early_stopping=False).partial_fit(X, Y),
            lambda e: e.set_params(solver="sgd", warm_start=True).fit(X, Y),
            lambda e: e.set_params(solver="lbfgs").fit(X, Y),
            lambda e: e.set_params(solver="adam").fit(X, Y, X_val=X, y_val=Y),
            lambda e: e.set_params(scoring=None, early_stopping=True).fit(X, Y),
        ):
            before = found.coefs_[0].copy()
            found = go_on(copy.copy(found))
            assert np.isfinite(found.loss_)
            assert (found.coefs_[0] != before).any()


def test_partial_fit_follows_what_was_set_since():
    found = classifier(solver="adam").partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    moments = found._optimizer
    found.set_params(learning_rate_init=1e-12).partial_fit(X, Y)
    before = found.coefs_[0].copy()
    found.partial_fit(X, Y)
    np.testing.assert_allclose(found.coefs_[0], before, atol=1e-9)
    assert (found._optimizer.n_updates, found._optimizer.learning_rate) == (4, 1e-12)
    assert moments.n_updates == 2
    found.set_params(solver="sgd", learning_rate_init=0.5).partial_fit(X, Y)
    assert (type(found._optimizer.rule), found._optimizer.n_updates) == (rp.optimizers.SGD, 1)
    assert np.abs(found.coefs_[0] - before).max() > 1e-3


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
@pytest.mark.parametrize("rate", ["constant", rp.schedules.ReduceOnPlateau(0.05, patience=1)], ids=str)
def test_a_copy_shares_nothing_and_goes_on_alike(duplicate, rate):
    options = {"learning_rate": rate} | ({} if rate == "constant" else {"learning_rate_init": 0.001})
    found = classifier(**options).partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    other = duplicate(found)
    weights, curve = [coef.copy() for coef in other.coefs_], list(other.loss_curve_)
    for _ in range(4):
        found.partial_fit(X, Y)
    assert all(map(np.array_equal, weights, other.coefs_))
    assert other.loss_curve_ == curve
    for _ in range(4):
        other.partial_fit(X, Y)
    assert all(map(np.array_equal, found.coefs_, other.coefs_))
    assert found.loss_curve_ == other.loss_curve_


# Shapes, classes, weights -------------------------------------------------------------------------------------------


TWO = X[:, :2]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.fit(lambda: iter([(X[:20], TWO[:20]), (X[20:], TWO[20:, 0])])),
        lambda m: m.fit(lambda: iter([(X[:20], TWO[:20, 0]), (X[20:], TWO[20:])])),
        lambda m: m.set_params(scoring="loss").fit(X, TWO, X_val=X, y_val=TWO[:, 0]),
        lambda m: m.fit(X, TWO[:, 0], X_val=X, y_val=TWO),
        lambda m: m.fit(X, TWO).input_gradient(X, TWO[:, 0]),
        lambda m: m.fit(X, TWO[:, 0]).input_gradient(X, TWO),
        lambda m: m.fit(X, TWO).partial_fit(X, TWO[:, 0]),
        lambda m: m.fit(X, TWO).score(X, TWO[:, 0]),
    ],
)
def test_targets_of_other_outputs_are_refused(call):
    with pytest.raises(ValueError, match=r"output|columns|layers"):
        call(MLPRegressor(**OPTIONS, max_iter=2))


def test_class_weights_of_some_classes_where_a_batch_lacks_them():
    y = np.repeat([0, 1, 2, 1], 50)
    found = classifier(class_weight={0: 5.0}, max_iter=3, shuffle=False, batch_size=50).fit(X, y)
    weighted = classifier(max_iter=3, shuffle=False, batch_size=50).fit(X, y, np.where(y == 0, 5.0, 1.0))
    np.testing.assert_array_equal(found.coefs_[0], weighted.coefs_[0])
    found.partial_fit(X[50:], y[50:])
    stream = classifier(class_weight={0: 5.0}, max_iter=3)
    stream.fit(lambda: ((X[k : k + 50], y[k : k + 50]) for k in range(0, 200, 50)), classes=[0, 1, 2])
    expected = classifier(class_weight={0: 5.0}, max_iter=3, shuffle=False, batch_size=50).fit(X, y)
    np.testing.assert_allclose(stream.coefs_[0], expected.coefs_[0])
    with pytest.raises(ValueError, match=r"class_weight has \[7\], not among the classes \[0, 1, 2\]"):
        classifier(class_weight={7: 1.0}).fit(X, y)
    with pytest.raises(ValueError, match="class_weight must be a dict"):
        classifier(class_weight=[{0: 1.0}, {1: 1.0}]).fit(X, y)


def test_a_multilabel_stream_takes_classes():
    labels = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
    found = classifier(max_iter=30).fit(
        lambda: ((X[k : k + 50], labels[k : k + 50]) for k in range(0, 200, 50)), classes=[0, 1]
    )
    expected = classifier(max_iter=30, shuffle=False, batch_size=50).fit(X, labels)
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))


def test_a_batch_without_weight_changes_nothing_but_the_count():
    weight = np.repeat([1.0, 0.0, 2.0, 1.0], 50)
    parts = [slice(k, k + 50) for k in range(0, 200, 50)]
    found = classifier(max_iter=3).fit(lambda: ((X[p], Y[p], weight[p]) for p in parts), classes=[0, 1])
    expected = classifier(max_iter=3, shuffle=False, batch_size=50).fit(X, Y, weight)
    np.testing.assert_allclose(found.coefs_[0], expected.coefs_[0])
    with pytest.raises(ValueError, match="all rows of all batches have weight 0"):
        classifier(max_iter=3).fit(lambda: ((X[p], Y[p], 0.0 * weight[p]) for p in parts), classes=[0, 1])


@pytest.mark.parametrize("scoring", [None, "loss", "accuracy"])
def test_validation_rows_without_weight_are_refused(scoring):
    weight, options = np.zeros(40), {"early_stopping": True, "scoring": scoring, "stratify": False}
    weight[:2] = 1
    with pytest.raises(ValueError, match="splits off for validation have weight 0"):
        classifier(**options).fit(X[:40], Y[:40], weight)


@pytest.mark.parametrize("weight", [1e38, 1e300, 1e-60])
def test_weights_that_the_dtype_cannot_hold_are_refused(weight):
    with pytest.raises(ValueError, match=r"the sum of the weights, .* is no float32: divide sample_weight by its mean"):
        classifier(max_iter=2).fit(X.astype("float32"), Y, np.full(200, weight))


def test_the_score_of_one_class_is_that_of_predict():
    found = classifier(max_iter=3).fit(X, np.full(200, "a"), X_val=X, y_val=np.full(200, "a"))
    assert found.validation_scores_ == [1.0] * 3
    assert found.score(X, np.full(200, "a")) == 1.0
    columns = np.stack([np.full(200, 3), Y * 2, Y], axis=1)
    found = classifier(max_iter=3).fit(X, columns, X_val=X, y_val=columns)
    assert found.validation_scores_[-1] == found.score(X, columns)


def test_l_bfgs_keeps_alpha_where_the_first_chunk_has_no_weight(monkeypatch):
    monkeypatch.setattr(lbfgs, "chunk_rows", lambda sizes: 50)
    weight = np.repeat([0.0, 1.0], 100)
    options = {"solver": "lbfgs", "alpha": 1.0, "max_iter": 30}
    chunked = classifier(**options).fit(sparse.csr_array(X), Y, weight)
    np.testing.assert_allclose(chunked.loss_, classifier(**options).fit(X, Y, weight).loss_, rtol=1e-6)


@pytest.mark.parametrize("library", ["jax:cpu", "torch:cpu", "array_api_strict:device1"])
@pytest.mark.parametrize(
    "labels",
    [
        [20231231123, 20231231124],
        [16777216.0, 16777217.0],
        np.array([1, 2], "uint32"),
        np.array([2**63, 2**63 + 1], "uint64"),
        np.array(["2023-01-01", "2024-01-01"], "datetime64[D]"),
        ["a", "b"],
    ],
    ids=str,
)
def test_labels_come_back_exact_where_arrays_live_elsewhere(library, labels):
    from harness import open_backend

    backend = open_backend(library)
    labels = np.asarray(labels)
    y, x = labels[Y], backend.asarray(X.astype("float32"))
    found = classifier(max_iter=20).fit(x, y)
    assert set(to_host(found.predict(x)).tolist()) == set(labels.tolist())
    assert found.score(x, y) > 0.85
    two = classifier().partial_fit(x, y, classes=labels)
    assert set(np.asarray(two.classes_).tolist()) == set(labels.tolist())
    assert np.isin(to_host(two.predict(x)), labels).all()


def test_validation_data_of_another_scale_are_named(recwarn):
    raw = 100.0 * X + 50.0
    scaled = make_pipeline(StandardScaler(), classifier(max_iter=3))
    with pytest.warns(UserWarning, match=r"X_val lies far outside the range of X.*transform_input"):
        scaled.fit(raw, Y, mlpclassifier__X_val=raw, mlpclassifier__y_val=Y)
    recwarn.clear()
    with config_context(enable_metadata_routing=True):
        mlp = classifier(max_iter=20).set_fit_request(X_val=True, y_val=True)
        routed = Pipeline([("scale", StandardScaler()), ("mlp", mlp)], transform_input=["X_val"])
        routed.fit(raw, Y, X_val=raw, y_val=Y)
    assert routed["mlp"].validation_scores_[-1] == routed.score(raw, Y)
    classifier(max_iter=3).fit(X[:100], Y[:100], X_val=X[100:], y_val=Y[100:])
    assert not [one for one in recwarn if "far outside" in str(one.message)]


# Read, or refused; all pairs of parameters in test_pairs.py -----------------------------------------------------------


def test_a_default_that_a_search_passes_is_no_choice():
    options = {"learning_rate_init": np.float64(0.001), "nesterovs_momentum": np.bool_(True)}
    MLPClassifier((4,), max_iter=1, solver=rp.optimizers.SGD(0.01), **options).fit(X, Y)


def test_what_is_of_arrays_only_is_refused_for_batches():
    with pytest.raises(ValueError, match="batch_size=7 would not be read"):
        MLPClassifier(batch_size=7).fit(lambda: iter([(X, Y)]), classes=[0, 1])
