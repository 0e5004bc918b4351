"""Ensembles: members that are the fits they would be alone, the statistics of their outputs, the contract."""

import os
import pickle
import signal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.estimator_checks import estimator_checks_generator

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPEnsembleClassifier, MLPEnsembleRegressor, MLPRegressor, ensembles
from retroprop.estimators.epoch_group import EpochGroup

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The least populated class"),
]
X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
MLP = MLPClassifier((5,), max_iter=8, learning_rate_init=0.02)


def test_members_are_the_fits_of_their_seeds():
    found = MLPEnsembleClassifier(clone(MLP).set_params(early_stopping=True, dropout=0.2), 3, random_state=1).fit(
        X, NAMES
    )
    for member in found.estimators_:
        alone = clone(member).fit(X, NAMES)
        assert alone.n_iter_ == member.n_iter_
        np.testing.assert_allclose(member.coefs_[0], alone.coefs_[0], rtol=1e-12)
        np.testing.assert_allclose(member.validation_scores_, alone.validation_scores_, rtol=1e-12)
    assert len({member.random_state for member in found.estimators_}) == 3
    assert found.networks_[0].layer_sizes == (4, 5, 3)


def test_bootstrap_members_weigh_rows_by_their_counts():
    weight = np.linspace(0.5, 1.5, 150)
    found = MLPEnsembleClassifier(MLP, 2, bootstrap=True, random_state=2).fit(X, Y, weight)
    rng = np.random.RandomState(2)
    seeds = [rng.randint(2**31 - 1) for _ in range(2)]
    counts = [np.bincount(rng.randint(150, size=150), minlength=150) for _ in range(2)]
    for member, seed, count in zip(found.estimators_, seeds, counts, strict=True):
        alone = clone(MLP).set_params(random_state=seed).fit(X, Y, count * weight)
        np.testing.assert_allclose(member.coefs_[0], alone.coefs_[0], rtol=1e-12)
    unseen = np.stack(counts) == 0
    each = found.member_probabilities(X)
    seen_by_all = ~unseen.any(axis=0)
    assert np.isnan(found.out_of_fold_[seen_by_all]).all()
    one = unseen[0] & ~unseen[1]
    np.testing.assert_allclose(found.out_of_fold_[one], each[0][one])


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_fold_members_have_not_seen_their_fold(options):
    mlp = clone(MLP).set_params(**options)
    found = MLPEnsembleClassifier(mlp, 3, folds=True, random_state=3).fit(X, Y)
    rng = np.random.RandomState(3)
    seeds = [rng.randint(2**31 - 1) for _ in range(3)]
    folds = StratifiedKFold(3, shuffle=True, random_state=rng).split(X, Y)
    for member, seed, (rows, others) in zip(found.estimators_, seeds, folds, strict=True):
        alone = clone(mlp).set_params(random_state=seed).fit(X[rows], Y[rows])
        np.testing.assert_allclose(member.predict_proba(X), alone.predict_proba(X), rtol=1e-9)
        np.testing.assert_allclose(found.out_of_fold_[others], member.predict_proba(X[others]), rtol=1e-12)


def test_members_of_folds_know_a_class_that_they_have_not_seen():
    rare = Y.copy()
    rare[0] = 7
    found = MLPEnsembleClassifier(MLP, 3, folds=True, random_state=0).fit(X, rare)
    assert found.classes_.tolist() == [0, 1, 2, 7]
    assert found.predict_proba(X).shape == (150, 4)


def test_a_further_fit_leaves_nothing_of_the_one_before():
    e = MLPEnsembleClassifier(MLP, 2, folds=True, random_state=0).fit(X, Y)
    assert not hasattr(e.set_params(folds=False).fit(X[:140], Y[:140]), "out_of_fold_")


def test_statistics_of_a_classifier():
    found = MLPEnsembleClassifier(MLP, 4, random_state=0).fit(X, NAMES)
    each = np.stack([member.predict_proba(X) for member in found.estimators_])
    np.testing.assert_array_equal(found.member_probabilities(X), each)
    np.testing.assert_allclose(found.predict_proba(X), each.mean(axis=0))
    np.testing.assert_allclose(found.predict_std(X), each.std(axis=0))
    np.testing.assert_allclose(found.predict_log_proba(X), np.log(each.mean(axis=0)))
    labels = found.classes_[each.argmax(axis=2)]
    np.testing.assert_array_equal(found.member_predictions(X), labels)
    np.testing.assert_array_equal(found.predict(X), found.classes_[each.mean(axis=0).argmax(axis=1)])
    np.testing.assert_array_equal(found.disagreement(X), (labels != found.predict(X)).mean(axis=0))
    assert found.score(X, NAMES) == (found.predict(X) == NAMES).mean()
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(X), found.predict_proba(X))


def test_binary_labels_and_columns():
    binary = MLPEnsembleClassifier(MLP, 2, random_state=0).fit(X, Y > 0)
    each = binary.member_probabilities(X)
    np.testing.assert_allclose(binary.predict_std(X), each.std(axis=0), atol=1e-15)
    x, labels = make_multilabel_classification(60, 4, random_state=0)
    several = MLPEnsembleClassifier(MLP, 2, folds=True, random_state=0).fit(x, labels)
    assert several.predict(x).shape == several.disagreement(x).shape + (labels.shape[1],)
    assert several.out_of_fold_.shape == labels.shape
    columns = MLPEnsembleClassifier(MLP, 2, folds=True, random_state=0).fit(X, np.stack([Y, Y > 1], axis=1))
    assert [one.shape for one in columns.member_probabilities(X)] == [(2, 150, 3), (2, 150, 2)]
    assert [one.shape for one in columns.out_of_fold_] == [(150, 3), (150, 2)]
    assert columns.disagreement(X).shape == (150,)
    assert 0.0 <= columns.score(X, np.stack([Y, Y > 1], axis=1)) <= 1.0


class Interrupting:
    """A scorer that presses Ctrl-C when it has been called so often."""

    def __init__(self, after):
        self.left = after

    def __call__(self, estimator, X, y):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.5

    def __deepcopy__(self, memo):
        return self


def test_ctrl_c_leaves_the_members_with_their_present_weights():
    mlp = clone(MLP).set_params(early_stopping=True, scoring=Interrupting(5), n_iter_no_change=100)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        found = MLPEnsembleClassifier(mlp, 2, random_state=0).fit(X, Y)
    assert [member.n_iter_ for member in found.estimators_] == [3, 3]
    assert found.predict(X).shape == (150,)


@pytest.mark.parametrize("y", [X[:, 0], X[:, :2]])
def test_statistics_of_a_regressor(y):
    found = MLPEnsembleRegressor(MLPRegressor(hidden_layer_sizes=(5,), max_iter=8), 3, folds=True, random_state=0).fit(
        X, y
    )
    each = np.stack([member.predict(X) for member in found.estimators_])
    np.testing.assert_array_equal(found.member_predictions(X), each)
    mean, std = found.predict(X, return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0))
    np.testing.assert_allclose(std, each.std(axis=0))
    np.testing.assert_array_equal(found.predict_std(X), std)
    assert found.out_of_fold_.shape == y.shape


def test_on_another_device():
    strict = rp.get_backend("array_api_strict")
    found = MLPEnsembleClassifier(MLP, 2, folds=True, random_state=0).fit(strict.asarray(X), Y)
    assert found.predict_proba(strict.asarray(X)).__array_namespace__() is strict.xp
    host = MLPEnsembleClassifier(MLP, 2, folds=True, random_state=0).fit(X, Y)
    np.testing.assert_allclose(found.to("numpy").predict_proba(X), host.predict_proba(X), rtol=1e-9)
    assert isinstance(pickle.loads(pickle.dumps(found)).out_of_fold_, np.ndarray)


def test_members_that_end_leave_the_others_on_jax_which_frees_the_arrays_of_a_step():
    pytest.importorskip("jax")
    jax = rp.get_backend("jax")
    options = {"max_iter": 60, "early_stopping": True, "n_iter_no_change": 2, "learning_rate_init": 0.05}
    e = MLPEnsembleClassifier(clone(MLP).set_params(**options), 4, random_state=0)
    found, host = e.fit(jax.asarray(X, "float32"), Y), clone(e).fit(X.astype("float32"), Y)
    epochs = [member.n_iter_ for member in found.estimators_]
    assert min(epochs) < max(epochs)
    assert epochs == [member.n_iter_ for member in host.estimators_]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bootstrap": True, "folds": True}, "two ways to choose the rows"),
        ({"folds": True, "n_members": 1}, "needs n_members of 2 or above"),
        ({"n_members": 0}, "The 'n_members' parameter of MLPEnsembleClassifier must be an int"),
        ({"estimator": MLPRegressor()}, "The 'estimator' parameter of MLPEnsembleClassifier must be an instance"),
        ({"estimator": MLPClassifier(checkpoint=rp.Checkpoint("run"))}, "needs a random_state of the ensemble"),
        (
            {"estimator": MLPClassifier(solver="lbfgs", checkpoint=rp.Checkpoint("run")), "random_state": 0},
            "needs a stochastic solver of its estimator",
        ),
        ({"estimator": MLPClassifier(activation="nope")}, "The 'activation' parameter of MLPClassifier must be"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        MLPEnsembleClassifier(**options).fit(X, Y)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (rp.DivergenceError("the cost is inf", epoch=2, batch=1, history=None), "member 2 of 3: the cost is inf"),
        (OSError(28, "no space"), "It is the error of member 2 of 3 of the ensemble."),
    ],
)
def test_an_error_names_its_member(monkeypatch, error, text):
    monkeypatch.setattr(ensembles, "train_together", lambda fits, **options: [None, error, ValueError("later")])
    with pytest.raises(type(error)) as caught:
        MLPEnsembleClassifier(MLP, 3, random_state=4).fit(X, Y)
    assert caught.value is error
    assert text in (str(error), *getattr(error, "__notes__", ()))


@pytest.mark.filterwarnings("ignore:there is no checkpoint")
@pytest.mark.parametrize("options", [{"folds": True}, pytest.param({"bootstrap": True}, marks=pytest.mark.long)])
def test_an_ensemble_that_is_ended_goes_on_from_its_checkpoint(monkeypatch, tmp_path, options):
    mlp = clone(MLP).set_params(early_stopping=True, dropout=0.2, batch_size=30, n_iter_no_change=3)
    whole = MLPEnsembleClassifier(mlp, 3, random_state=4, **options).fit(X, Y)
    advance, ended = EpochGroup._advance, 0
    for again in range(100):
        left = iter(range(again + 2))

        def some(group, left=left):
            if next(left, None) is None:
                raise SystemExit
            advance(group)

        monkeypatch.setattr(EpochGroup, "_advance", some)
        own = clone(mlp).set_params(checkpoint=rp.Checkpoint(tmp_path, resume=again > 0))
        try:
            found = MLPEnsembleClassifier(own, 3, random_state=4, **options).fit(X, Y)
            break
        except SystemExit:
            ended += 1
    assert ended > 1
    assert [one.n_iter_ for one in found.estimators_] == [one.n_iter_ for one in whole.estimators_]
    np.testing.assert_array_equal(found.member_probabilities(X), whole.member_probabilities(X))
    np.testing.assert_array_equal(found.out_of_fold_, whole.out_of_fold_)
    own = clone(mlp).set_params(checkpoint=rp.Checkpoint(tmp_path, resume=True))
    with pytest.raises(ValueError, match="another training: n_members was 3, and is 4 now"):
        MLPEnsembleClassifier(own, 4, random_state=4, **options).fit(X, Y)
    with pytest.raises(ValueError, match="another fit: random_state was"):
        MLPEnsembleClassifier(own, 3, random_state=5, **options).fit(X, Y)


CHEAP = [
    "check_no_attributes_set_in_init",
    "check_estimator_cloneable",
    "check_get_params_invariance",
    "check_set_params",
    "check_dont_overwrite_attributes",
    "check_dict_unchanged",
    "check_n_features_in_after_fitting",
    "check_fit2d_predict1d",
    "check_estimators_pickle",
    "check_estimators_unfitted",
    "check_classifiers_classes",
    "check_estimators_nan_inf",
    "check_sample_weights_not_an_array",
    "check_parameters_default_constructible",
    "check_dataframe_column_names_consistency",
    "check_supervised_y_2d",
]
ENSEMBLES = {
    "classifier": MLPEnsembleClassifier(MLPClassifier(max_iter=20), 3),
    "regressor": MLPEnsembleRegressor(MLPRegressor(max_iter=60, learning_rate_init=0.01), 3),
}


def checks_of(name, *, cheap):
    for estimator, check in estimator_checks_generator(ENSEMBLES[name]):
        called = getattr(check, "func", check).__name__
        if (called in CHEAP) is cheap:
            yield estimator, check


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "cheap"),
    [
        ("classifier", True),
        pytest.param("classifier", False, marks=pytest.mark.long),
        pytest.param("regressor", True, marks=pytest.mark.long),
        pytest.param("regressor", False, marks=pytest.mark.long),
    ],
)
def test_scikit_learns_checks(name, cheap):
    done = 0
    for estimator, check in checks_of(name, cheap=cheap):
        try:
            check(estimator)
            done += 1
        except pytest.skip.Exception:
            continue
        except Exception as error:
            if type(error).__name__ != "SkipTest":
                raise
    assert done >= (12 if cheap else 35)
