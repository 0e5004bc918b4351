"""Searches whose fits are trained together, against scikit-learn's own classes around the same estimators."""

import gc
import os
import signal
import tracemalloc
import warnings
from contextlib import suppress

import numpy as np
import pytest
from sklearn import model_selection as theirs
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import retroprop as rp
from retroprop import model_selection as ours
from retroprop.estimators import MLPClassifier, MLPRegressor
from retroprop.estimators.epoch_group import EpochGroup

assert enable_halving_search_cv
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)
MLP = MLPClassifier((6,), max_iter=8, random_state=0, learning_rate_init=0.02)
GRID = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(6,), (9,)], "early_stopping": [False, True]}


def of_last(grid):
    return {f"mlp__{name}": values for name, values in grid.items()}


def pipeline(first=None):
    return Pipeline([("scale", first or StandardScaler()), ("mlp", clone(MLP))])


def assert_same(found, wanted):
    assert list(found.cv_results_) == list(wanted.cv_results_)
    for name, column in wanted.cv_results_.items():
        if name.startswith("param"):  # masked where a candidate has no such parameter
            assert list(found.cv_results_[name]) == list(column)
        elif "log_loss" in name and not name.startswith("rank"):  # rounded otherwise where products are batched
            np.testing.assert_allclose(found.cv_results_[name], column, rtol=1e-9, err_msg=name)
        elif "time" not in name:
            np.testing.assert_array_equal(np.asarray(found.cv_results_[name]), np.asarray(column), err_msg=name)
    assert found.best_index_ == wanted.best_index_
    assert found.best_params_ == wanted.best_params_
    assert found.best_score_ == wanted.best_score_


def both(name, *arguments, fit=None, data=(X, Y), **options):
    found, wanted = (
        getattr(module, name)(*arguments, **options).fit(*data, **(fit or {})) for module in (ours, theirs)
    )
    assert_same(found, wanted)
    return found


def test_grid_with_several_metrics_and_training_scores():
    found = both(
        "GridSearchCV", MLP, GRID, cv=2, scoring=["accuracy", "neg_log_loss"], refit="accuracy", return_train_score=True
    )
    assert (found.report_.n_fits, found.report_.fraction, found.report_.groups) == (16, 1.0, [16])
    assert str(found.report_) == "16 of 16 fits trained together, in 1 group"
    assert found.predict(X).shape == (150,)
    assert (found.cv_results_["mean_fit_time"] > 0.0).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RandomizedSearchCV", {"n_iter": 3, "random_state": 0, "cv": 3}),
        pytest.param("HalvingGridSearchCV", {"random_state": 0, "cv": 2, "min_resources": 40}, marks=pytest.mark.long),
        ("HalvingRandomSearchCV", {"random_state": 0, "cv": 2, "n_candidates": 4, "min_resources": 40}),
    ],
)
def test_other_searches(name, options):
    assert both(name, MLP, GRID, **options).report_.fraction == 1.0


def test_regressor_with_groups_weights_and_a_callable_refit():
    x, y = load_diabetes(return_X_y=True)
    grid = {"solver": ["sgd", "adam"], "learning_rate": ["constant", "invscaling"], "dropout": [0.0, 0.2]}
    search = {}
    for module in (ours, theirs):
        search[module] = module.GridSearchCV(
            MLPRegressor(hidden_layer_sizes=(4,), max_iter=4, random_state=1, learning_rate_init=0.01),
            grid,
            cv=theirs.GroupKFold(3),
            refit=lambda results: int(np.argmin(results["std_test_score"])),
        ).fit(x[:120], y[:120] / 100.0, groups=np.arange(120) // 7, sample_weight=np.linspace(0.1, 2.0, 120))
    found, wanted = search.values()
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], wanted.cv_results_["mean_test_score"], rtol=1e-9)
    assert found.best_index_ == wanted.best_index_
    assert found.report_.fraction == 1.0


class Counting(TransformerMixin, BaseEstimator):
    """Counts its fits."""

    fits = 0

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        Counting.fits += 1
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return self.factor * X


def test_steps_before_the_network_are_fitted_once_a_fold_and_setting():
    grid = {"mlp__alpha": [1e-4, 0.1, 1.0], "scale__factor": [0.5, 1.0]}
    Counting.fits = 0
    found = ours.GridSearchCV(pipeline(Counting()), grid, cv=2).fit(X, Y)
    assert Counting.fits == 2 * 2 + 1  # the last is the refit
    assert_same(found, theirs.GridSearchCV(pipeline(Counting()), grid, cv=2).fit(X, Y))
    assert found.report_.fraction == 1.0


class Coded(Counting):
    """Adds the outputs of a network that it trains."""

    def fit(self, X, y=None):
        self.network_ = MLPRegressor(hidden_layer_sizes=(3,), max_iter=30, random_state=0).fit(X, y)
        return self

    def transform(self, X):
        return np.column_stack([X, 10.0 * self.network_.predict(X)])


def test_a_network_within_a_step_before_is_trained_at_once():
    found = both("GridSearchCV", pipeline(Coded()), of_last({"alpha": [1e-4, 1.0]}), cv=2)
    assert found.report_.fraction == 1.0


def test_pipelines_with_parallel_steps_and_arguments_of_fit():
    columns = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", StandardScaler(), [2, 3])])
    weight = np.linspace(0.1, 2.0, 150)
    options = {"cv": 2, "refit": True}
    found, wanted = (
        module.GridSearchCV(pipeline(columns), {"mlp__alpha": [1e-4, 1.0]}, **options).fit(
            X, Y, mlp__sample_weight=weight
        )
        for module in (ours, theirs)
    )
    assert_same(found, wanted)
    assert found.report_.fraction == 1.0


def test_what_cannot_be_trained_together_is_scikit_learns_own_path():
    grid = [
        {"mlp": [LogisticRegression(max_iter=500)]},
        {"mlp": [clone(MLP)], "mlp__solver": ["lbfgs", "adam"]},
        {"scale": ["passthrough"], "mlp__alpha": [1e-4]},
    ]
    found = both("GridSearchCV", pipeline(), grid, cv=3)
    assert dict(found.report_.alone) == {
        "LogisticRegression is no MLPClassifier or MLPRegressor of retroprop, nor a Pipeline that ends with one": 3,
        "solver='lbfgs'": 3,
    }
    assert found.report_.fraction == 0.5
    assert "3 fits alone: solver='lbfgs'" in str(found.report_)


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_a_candidate_that_fails_or_diverges_changes_nothing_for_the_others():
    grid = {"activation": ["relu", "nope"], "solver": ["sgd"], "learning_rate_init": [0.05, 1e12], "momentum": [0.0]}
    found = both("GridSearchCV", MLP, grid, cv=3)
    scores = found.cv_results_["mean_test_score"]
    assert np.isnan(scores[[2, 3]]).all()
    alone = theirs.cross_val_score(clone(MLP).set_params(**found.cv_results_["params"][0]), X, Y, cv=3)
    assert scores[0] == alone.mean()
    with pytest.raises(ValueError, match="The 'activation' parameter of MLPClassifier must be"):
        ours.GridSearchCV(MLP, grid, cv=3, error_score="raise").fit(X, Y)
    with pytest.raises(ValueError, match="Invalid parameter 'alhpa'"):
        ours.GridSearchCV(MLP, {"alhpa": [1.0]}, cv=3, error_score="raise").fit(X, Y)


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_an_error_of_a_step_ends_the_fits_of_its_group_alone(monkeypatch):
    advance = EpochGroup._advance

    def without_memory(group):
        if group.course.architecture.layer_sizes[1] == 9 and group.course.at(0).n_updates > 3:
            raise MemoryError("of a step")
        advance(group)

    monkeypatch.setattr(EpochGroup, "_advance", without_memory)
    grid = {"hidden_layer_sizes": [(6,), (9,)]}
    with pytest.warns(FitFailedWarning, match="MemoryError: of a step"):
        found = ours.GridSearchCV(clone(MLP), grid, cv=2).fit(X, Y)
    wanted = theirs.GridSearchCV(clone(MLP), grid, cv=2).fit(X, Y)
    assert found.cv_results_["mean_test_score"][0] == wanted.cv_results_["mean_test_score"][0]
    assert np.isnan(found.cv_results_["mean_test_score"][1])


def test_groups_are_cut_to_the_budget():
    class Small(ours.GridSearchCV):
        memory_budget = 1

    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(6,), (9,)]}
    found = Small(MLP, grid, cv=2).fit(X, Y)
    assert found.report_.groups == [1] * 8
    assert_same(found, ours.GridSearchCV(MLP, grid, cv=2).fit(X, Y))


def test_many_candidates_stay_within_the_budget():
    """Without the garbage collector: the arrays of a group are gone before those of the next come."""

    class Small(ours.GridSearchCV):
        memory_budget = 2**21

    x, y = RNG.normal(size=(200, 40)), RNG.integers(0, 2, 200)
    mlp = MLPClassifier((40,), max_iter=1, random_state=0)
    Small(mlp, {"alpha": [1.0]}, cv=2, refit=False).fit(x, y)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        found = Small(mlp, {"alpha": list(np.logspace(-5, 0, 24))}, cv=2, refit=False).fit(x, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert len(found.report_.groups) > 3
    assert peak < 2 * Small.memory_budget, peak  # with the data, and 10 kB of scikit-learn's for each fit


def interrupting(after):
    """Return a scorer that presses Ctrl-C when it has been called so often."""
    calls = []

    def score(y, predicted):
        calls.append(1)
        if len(calls) == after:
            os.kill(os.getpid(), signal.SIGINT)
        return accuracy_score(y, predicted)

    return make_scorer(score)


def test_ctrl_c_returns_what_is_finished():
    class Small(ours.GridSearchCV):
        memory_budget = 1

    with pytest.warns((FitFailedWarning, UserWarning)) as caught:
        found = Small(MLP, {"alpha": [1.0, 1e-4, 0.1]}, cv=3, scoring=interrupting(5)).fit(X, Y)
    assert found.report_.interrupted
    assert "interrupted by Ctrl-C" in str(found.report_)
    assert any("Ctrl-C came before the fit was finished" in str(one.message) for one in caught)
    scores = [found.cv_results_[f"split{k}_test_score"] for k in range(3)]
    np.testing.assert_array_equal(np.isnan(scores), [[False, False, True], [False, False, True], [False, True, True]])
    assert found.best_params_ == {"alpha": 1.0}
    assert found.predict(X).shape == (150,)


class Interrupting(Counting):
    """Presses Ctrl-C in its first fit."""

    def fit(self, X, y=None):
        os.kill(os.getpid(), signal.SIGINT)
        return super().fit(X, y)


def test_ctrl_c_before_anything_is_finished():
    with pytest.raises(KeyboardInterrupt):
        ours.GridSearchCV(pipeline(Interrupting()), of_last(GRID), cv=3).fit(X, Y)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_later_round_keeps_the_rounds_before():
    options = {"cv": 2, "random_state": 0, "min_resources": 40}
    grid = {"alpha": [1.0, 1e-4, 0.1, 0.01]}
    whole = ours.HalvingGridSearchCV(MLP, grid, **options).fit(X, Y)
    fits = whole.report_.groups
    assert len(fits) == 2
    # Scores of the training rows too: twice as many calls. The last of the first round.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scoring = interrupting(2 * fits[0])
        found = ours.HalvingGridSearchCV(MLP, grid, scoring=scoring, **options).fit(X, Y)
    assert found.report_.interrupted
    assert set(found.cv_results_["iter"]) == {0}
    assert not np.isnan(found.cv_results_["mean_test_score"]).any()


@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_processes_share_the_fits():
    grid = [of_last(GRID), {"mlp__solver": ["lbfgs", "adam"], "mlp__activation": ["relu", "nope"]}]
    found = both("GridSearchCV", pipeline(), grid, cv=3, n_jobs=2, return_train_score=True)
    report = found.report_
    assert (report.groups, report.n_processes, dict(report.alone)) == ([15, 15], 2, {"solver='lbfgs'": 6})
    assert str(report).startswith("30 of 36 fits trained together, in 2 groups by 2 processes")
    assert (found.cv_results_["mean_fit_time"] > 0.0).all()
    # An error that is to be raised comes from the process that it happened in.
    with pytest.raises(ValueError, match="'nope'"):
        ours.GridSearchCV(MLP, {"activation": ["relu", "nope"]}, cv=2, n_jobs=2, error_score="raise").fit(X, Y)

    class Small(ours.GridSearchCV):
        memory_budget = 2  # the part of each process is one byte: each fit is a group

    assert Small(MLP, GRID, cv=2, n_jobs=2).fit(X, Y).report_.groups == [1] * 16
    # The random states of candidates are theirs, also where they are objects; the rounds of halving are shared too.
    network = clone(MLP).set_params(random_state=np.random.RandomState(0), max_iter=3)
    options = {"random_state": 0, "cv": 2, "min_resources": 40, "n_jobs": 2}
    assert both("HalvingGridSearchCV", network, {"alpha": [1.0, 1e-4, 0.1, 0.01]}, **options).report_.n_processes == 2


def test_what_processes_cannot_share_is_trained_by_one(tmp_path):
    options = {"cv": 2, "n_jobs": 2}
    devices = ours.GridSearchCV(MLP, {"device": ["array_api_strict"], "alpha": [0.1, 1.0]}, **options).fit(X, Y)
    kept = ours.GridSearchCV(MLP, GRID, **options).fit(X, Y, checkpoint=rp.Checkpoint(tmp_path / "search"))
    assert (devices.report_.groups, kept.report_.groups) == ([4], [16])
    # A device that does not exist is the error of its candidate, not of the search.
    with pytest.warns((FitFailedWarning, UserWarning)):
        both("GridSearchCV", MLP, {"device": [None, "nope"]}, **options)
    assert devices.report_.n_processes == kept.report_.n_processes == 1


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.parametrize("finished", [True, False])
def test_ctrl_c_reaches_all_processes(finished, tmp_path):
    caller, network = os.getpid(), clone(MLP).set_params(max_iter=2)

    def press():
        """Press Ctrl-C once, as a terminal does: all processes of the group get it."""
        with suppress(FileExistsError):
            (tmp_path / "pressed").touch(exist_ok=False)
            os.kill(caller, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    def score(y, predicted):
        press()
        return accuracy_score(y, predicted)

    class Pressing(Counting):
        def fit(self, X, y=None):
            press()
            return super().fit(X, y)

    class Small(ours.GridSearchCV):
        memory_budget = 2

    grid = {"alpha": np.geomspace(1e-4, 1.0, 20)}
    search = Small(network, grid, cv=3, n_jobs=2, scoring=make_scorer(score))
    if not finished:
        search.set_params(estimator=pipeline(Pressing()), param_grid=of_last({"alpha": [1e-4, 1.0]}))
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, Y)
    else:
        with pytest.warns((FitFailedWarning, UserWarning)):
            found = search.fit(X, Y)
        scores = np.concatenate([found.cv_results_[f"split{k}_test_score"] for k in range(3)])
        assert found.report_.interrupted
        assert 1 <= np.isfinite(scores).sum() < 30
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_search_is_an_estimator_like_any_other():
    search = ours.GridSearchCV(make_pipeline(StandardScaler(), MLP), {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=2)
    assert theirs.cross_val_score(clone(search), X, Y, cv=2).shape == (2,)
    assert isinstance(search, theirs.GridSearchCV)


@pytest.mark.parametrize("wrapped", [False, True])
def test_checkpoints_of_the_estimator_are_refused_before_any_fit(wrapped, tmp_path):
    network = MLPClassifier(checkpoint=rp.Checkpoint(tmp_path / "run"))
    estimator = make_pipeline(StandardScaler(), network) if wrapped else network
    grid = {"mlpclassifier__alpha" if wrapped else "alpha": [0.1, 1.0]}
    with pytest.raises(ValueError, match=r"checkpoint of the estimator must be None: .* Pass it to the search"):
        ours.GridSearchCV(estimator, grid).fit(X, Y)
    assert not (tmp_path / "run").exists()
