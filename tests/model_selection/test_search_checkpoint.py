"""A search with a checkpoint, ended at any point, goes on to the results of one that was never ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import retroprop as rp
from retroprop import model_selection
from retroprop.estimators import MLPClassifier
from retroprop.estimators.epoch_group import EpochGroup
from retroprop.persistence.checkpoint_file import CheckpointError

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Training interrupted by user"
)

X, Y = load_iris(return_X_y=True)
X, Y = X[::2], Y[::2]
# Folds of unequal sizes and small batches: the epochs of the fits end after different steps.
MLP = MLPClassifier((4,), max_iter=5, random_state=0, learning_rate_init=0.02, batch_size=13, n_iter_no_change=2)
GRID = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (5,)], "early_stopping": [False, True], "dropout": [0.3]}
OPTIONS = {"cv": 2, "return_train_score": True}


def search(kind="GridSearchCV", grid=GRID, estimator=MLP, **options):
    return getattr(model_selection, kind)(estimator, grid, **OPTIONS | options)


def assert_same(found, wanted):
    for name, column in wanted.cv_results_.items():
        if "time" not in name:
            np.testing.assert_array_equal(np.asarray(found.cv_results_[name]), np.asarray(column), err_msg=name)
    assert found.best_params_ == wanted.best_params_
    for one, other in zip(found.best_estimator_.coefs_, wanted.best_estimator_.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


class EndedError(BaseException):
    """Ends a search as nothing within it catches."""


def ending(monkeypatch, after):
    """Have the steps of all groups end the search when so many portions of them have run; return their count."""
    advance, counts = EpochGroup._advance, []

    def counted(group):
        counts.append(1)
        if len(counts) > after:
            raise EndedError
        advance(group)

    monkeypatch.setattr(EpochGroup, "_advance", counted)
    return counts


def fit_in_parts(monkeypatch, one, folder, after, rule):
    """Fit a search that ends whenever so many portions have run, and one more each time; return how often, too."""
    for again in range(100):
        with monkeypatch.context() as patch:
            counts = ending(patch, after + again)
            try:
                return one().fit(X, Y, checkpoint=rp.Checkpoint(folder, resume=again > 0, **rule)), again
            except EndedError:
                assert counts
    raise AssertionError("the search does not get on")


@pytest.mark.parametrize(
    ("rule", "after"),
    [
        ({}, 2),
        pytest.param({}, 1, marks=pytest.mark.long),
        pytest.param({}, 3, marks=pytest.mark.long),
        ({"every": None, "every_seconds": 1e-9}, 4),
        pytest.param({"every": 3}, 5, marks=pytest.mark.long),
    ],
)
@pytest.mark.filterwarnings("ignore:there is no checkpoint")  # ended before the first
def test_a_search_that_is_ended_again_and_again(monkeypatch, tmp_path, rule, after):
    found, times = fit_in_parts(monkeypatch, search, tmp_path, after, rule)
    assert times > 1
    assert_same(found, search().fit(X, Y))


def test_finished_fits_are_not_trained_again(monkeypatch, tmp_path):
    whole = search().fit(X, Y, checkpoint=rp.Checkpoint(tmp_path))
    counts = ending(monkeypatch, 0)
    again = search().fit(X, Y, checkpoint=rp.Checkpoint(tmp_path, resume=True))
    assert not counts
    assert (again.report_.resumed, again.report_.n_fits) == (16, 0)
    assert "16 more are those of the checkpoint" in str(again.report_)
    assert_same(again, whole)


def test_rounds_of_halving_go_on_where_they_were(monkeypatch, tmp_path):
    def one():
        return search("HalvingGridSearchCV", {"alpha": [1e-4, 1e-2, 1.0, 3.0]}, random_state=0, min_resources=30)

    found, times = fit_in_parts(monkeypatch, one, tmp_path, 2, {})
    assert times
    assert_same(found, one().fit(X, Y))


def counting(after, error):
    """Return a scorer of which a call raises an error when it was called so often."""
    calls = []

    def score(y, predicted):
        calls.append(1)
        if len(calls) == after:
            if error is KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGINT)
            else:
                raise error
        return accuracy_score(y, predicted)

    return make_scorer(score), calls


def test_fits_that_scikit_learn_does_are_kept_one_by_one(tmp_path):
    grid = [
        {"mlp": [LogisticRegression(C=c, max_iter=500) for c in (0.1, 1.0)]},
        {"mlp": [MLP], "mlp__solver": ["lbfgs"]},
    ]
    pipeline = Pipeline([("scale", StandardScaler()), ("mlp", MLP)])
    scoring, _ = counting(8, EndedError())
    with pytest.raises(EndedError):
        search(grid=grid, estimator=pipeline, scoring=scoring).fit(X, Y, checkpoint=rp.Checkpoint(tmp_path))
    scoring, calls = counting(0, None)
    found = search(grid=grid, estimator=pipeline, scoring=scoring).fit(
        X, Y, checkpoint=rp.Checkpoint(tmp_path, resume=True)
    )
    assert found.report_.resumed == 3  # each was scored twice
    assert len(calls) == 6
    wanted = search(grid=grid, estimator=pipeline, scoring=scoring).fit(X, Y)
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], wanted.cv_results_["mean_test_score"])


@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_ctrl_c_and_then_on_with_failed_fits_and_several_metrics(tmp_path):
    class Small(model_selection.GridSearchCV):
        memory_budget = 1

    grid = {"activation": ["relu", "nope"], "alpha": [1e-4, 1.0]}

    def one(scoring):
        return Small(MLP, grid, scoring={"own": scoring, "loss": "neg_log_loss"}, refit="own", **OPTIONS)

    first = one(counting(2, KeyboardInterrupt)[0]).fit(X, Y, checkpoint=rp.Checkpoint(tmp_path))
    assert first.report_.interrupted
    found = one(counting(0, None)[0]).fit(X, Y, checkpoint=rp.Checkpoint(tmp_path, resume=True))
    assert found.report_.resumed == 1
    assert not found.report_.interrupted
    wanted = one(counting(0, None)[0]).fit(X, Y)
    assert np.isnan(wanted.cv_results_["mean_test_own"]).any()
    assert_same(found, wanted)


def test_the_checkpoint_of_another_search_is_refused_by_what_differs(tmp_path):
    search().fit(X, Y, checkpoint=rp.Checkpoint(tmp_path))
    resume = rp.Checkpoint(tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="holds the checkpoints of a training: pass resume=True"):
        search().fit(X, Y, checkpoint=rp.Checkpoint(tmp_path))
    with pytest.raises(CheckpointError, match="x holds other data now"):
        search().fit(X + 1.0, Y, checkpoint=resume)
    with pytest.raises(CheckpointError, match=r"of its fit 0.0, tol was 0.0001, and is 0.01 now"):
        search(estimator=MLPClassifier(**MLP.get_params() | {"tol": 0.01})).fit(X, Y, checkpoint=resume)
    with pytest.raises(CheckpointError, match=r"the scoring was 'MLPClassifier.score', and is .make_scorer"):
        search(scoring="f1_macro").fit(X, Y, checkpoint=resume)
    with pytest.raises(CheckpointError, match=r"of its fit 0.0, rows of train"):
        search(cv=3).fit(X, Y, checkpoint=resume)
    with pytest.raises(CheckpointError, match=r"of its fit 0.0, the candidate\.alpha was"):
        search(grid=GRID | {"alpha": [2.0, 1.0]}).fit(X, Y, checkpoint=resume)
    with pytest.raises(CheckpointError, match="is a checkpoint of another training"):
        MLPClassifier(checkpoint=resume).fit(X, Y)
    with pytest.raises(TypeError, match="checkpoint must be a Checkpoint or None"):
        search().fit(X, Y, checkpoint="folder")
    with pytest.warns(UserWarning, match="the training starts anew"):
        search(grid={"alpha": [0.0]}).fit(X, Y, checkpoint=rp.Checkpoint(tmp_path / "new", resume=True))


def test_a_folder_of_a_single_fit_is_refused(tmp_path):
    MLPClassifier(max_iter=1, checkpoint=rp.Checkpoint(tmp_path)).fit(X, Y)
    with pytest.raises(CheckpointError, match="of another training: search was None, and is 'GridSearchCV' now"):
        search().fit(X, Y, checkpoint=rp.Checkpoint(tmp_path, resume=True))


def test_a_damaged_file_is_left_for_the_one_before(tmp_path):
    wanted = search().fit(X, Y, checkpoint=rp.Checkpoint(tmp_path))
    newest = max(tmp_path.glob("epoch-*"))
    newest.write_bytes(newest.read_bytes()[:-7])
    with pytest.warns(UserWarning, match="torn or altered.*goes on from the one before"):
        assert_same(search().fit(X, Y, checkpoint=rp.Checkpoint(tmp_path, resume=True)), wanted)


KILLED = """
import sys, warnings
warnings.simplefilter("ignore")
import retroprop as rp
sys.path.insert(0, {tests!r})
from test_search_checkpoint import X, Y, search
print("begins", flush=True)
found = search().fit(X, Y, checkpoint=rp.Checkpoint({folder!r}, resume=True))
print(*found.cv_results_["mean_test_score"])
"""


@pytest.mark.long
def test_a_search_whose_process_is_killed(tmp_path):
    program = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "run"))
    wanted = search().fit(X, Y).cv_results_["mean_test_score"]
    rng, kills = np.random.default_rng(0), 0
    for _ in range(100):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "begins\n"
            time.sleep(rng.uniform(0.05, 0.2))
            child.send_signal(signal.SIGKILL)
            text = child.stdout.read()
        if text:
            break
        kills += 1
    assert [float(one) for one in text.split()] == wanted.tolist()
    assert kills
