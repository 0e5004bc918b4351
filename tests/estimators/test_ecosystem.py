"""The estimators where scikit-learn's tools meet them: pipelines, searches, ensembles, frames, callbacks, joblib."""

import warnings

import numpy as np
import pytest
import sklearn
from harness import open_backend
from joblib import parallel_config
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
OPTIONS = {"random_state": 0, "max_iter": 40, "hidden_layer_sizes": (8,), "learning_rate_init": 0.02}


def test_pipeline_search_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**OPTIONS))
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.9
    grid = [
        {"mlpclassifier__dropout": [0.0, 0.2], "mlpclassifier__activation": ["relu", "gelu"], **solver}
        for solver in (
            {"mlpclassifier__solver": ["adam"]},
            {"mlpclassifier__solver": [rp.optimizers.SGD(0.1)], "mlpclassifier__learning_rate_init": [0.001]},
        )
    ]
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    assert search.best_score_ > 0.9
    assert len(search.cv_results_["params"]) == 8


@pytest.mark.parametrize("parallel", ["loky", "threading"])
def test_joblib(parallel):
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**OPTIONS))
    with parallel_config(parallel, n_jobs=2):
        scores = cross_val_score(pipeline, X, Y, cv=4)
    np.testing.assert_array_equal(scores, cross_val_score(pipeline, X, Y, cv=4))


def test_ensembles_and_calibration():
    x = StandardScaler().fit_transform(X)
    voting = VotingClassifier([("mlp", MLPClassifier(**OPTIONS)), ("logistic", LogisticRegression())], voting="soft")
    assert voting.fit(x, Y).score(x, Y) > 0.9
    calibrated = CalibratedClassifierCV(MLPClassifier(**OPTIONS), cv=3).fit(x, Y)
    np.testing.assert_allclose(calibrated.predict_proba(x).sum(axis=1), 1.0)
    several = MultiOutputClassifier(MLPClassifier(**OPTIONS)).fit(x, np.stack([Y, Y > 1], axis=1))
    assert several.predict(x).shape == (150, 2)


def test_it_is_shown():
    html = MLPClassifier(dropout=0.5)._repr_html_()
    assert "MLPClassifier" in html
    assert repr(MLPRegressor(loss="huber", dropout=0.1)) == "MLPRegressor(dropout=0.1, loss='huber')"


def test_weights_are_routed():
    weight = np.linspace(0.1, 2.0, 150)
    with config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(**OPTIONS).set_fit_request(sample_weight=True, X_val=True, y_val=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, mlp, transform_input=["X_val"])
        routed.fit(X, Y, sample_weight=weight, X_val=X, y_val=Y)
    x = StandardScaler().fit_transform(X)
    direct = MLPClassifier(**OPTIONS).fit(x, Y, sample_weight=weight)
    np.testing.assert_array_equal(routed[-1].coefs_[0], direct.coefs_[0])
    assert len(routed[-1].validation_scores_) == routed[-1].n_iter_


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_have_names(library):
    frames = pytest.importorskip(library)
    if library == "polars" and not sklearn.__version__.startswith("1.9."):
        pytest.skip("scikit-learn reads the names of polars frames from 1.9 on")
    names = ["a", "b", "c", "d"]
    frame = frames.DataFrame({name: X[:, k] for k, name in enumerate(names)})
    found = MLPClassifier(**OPTIONS, early_stopping=True, scoring="accuracy").fit(frame, frames.Series("y", Y) if
        library == "polars" else frames.Series(Y, name="y"))  # fmt: skip
    np.testing.assert_array_equal(found.feature_names_in_, names)
    reference = MLPClassifier(**OPTIONS, early_stopping=True).fit(X, Y)
    np.testing.assert_array_equal(found.coefs_[0], reference.coefs_[0])
    np.testing.assert_array_equal(found.predict(frame), reference.predict(X))
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        found.predict(frame[["b", "a", "c", "d"]])


def test_output_of_a_pipeline_before_it_is_a_frame():
    pytest.importorskip("pandas")
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(**OPTIONS)).set_output(transform="pandas")
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    pipeline.fit(x, y)
    assert list(pipeline[-1].feature_names_in_) == list(x.columns)


class Recorder:
    def __init__(self, stop_after=None):
        self.stop_after, self.calls, self.scores = stop_after, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.calls.append(f"end {context.task_name}")
        self.scores.append(fitted_estimator.score(X, y))
        return self.stop_after is not None and self.calls.count(f"end epoch {self.stop_after - 1}") == 1


def test_callbacks_by_scikit_learns_protocol():
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    recorder = Recorder()
    found = MLPClassifier(**OPTIONS | {"max_iter": 3}).set_callbacks(recorder).fit(X, Y)
    assert recorder.calls == [
        "setup", "begin fit", "begin epoch 0", "end epoch 0", "begin epoch 1", "end epoch 1", "begin epoch 2",
        "end epoch 2", "end fit", "teardown",
    ]  # fmt: skip
    assert recorder.scores[-1] == recorder.scores[-2] == found.score(X, Y)
    stopping = Recorder(stop_after=2)
    stopped = MLPClassifier(**OPTIONS).set_callbacks(stopping).fit(X, Y)
    assert stopped.n_iter_ == 2
    assert stopping.calls[-1] == "teardown"
    np.testing.assert_array_equal(stopped.coefs_[0], MLPClassifier(**OPTIONS | {"max_iter": 2}).fit(X, Y).coefs_[0])


@pytest.mark.parametrize("place", ["numpy", "array_api_strict"])
def test_callbacks_follow_lbfgs(place):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    x = open_backend(place).asarray(X)
    options = OPTIONS | {"solver": "lbfgs", "max_iter": 4}
    recorder, stopping = Recorder(), Recorder(stop_after=2)
    found = MLPClassifier(**options).set_callbacks(recorder).fit(x, Y)
    assert [call for call in recorder.calls if call.startswith("end")] == [
        *(f"end epoch {k}" for k in range(4)),
        "end fit",
    ]
    assert recorder.scores[-1] == recorder.scores[-2] == found.score(x, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MLPClassifier(**options).set_callbacks(stopping).fit(x, Y).n_iter_ == 2


def test_scikit_learns_own_callbacks():
    callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    found = MLPClassifier(**OPTIONS | {"max_iter": 3}).set_callbacks(monitor, callback.ProgressBar()).fit(X, Y)
    log = monitor.get_logs()
    scores = [entry["accuracy"] for entry in log.data]
    assert len(scores) == 4  # three epochs, and the fit
    assert scores[-1] == pytest.approx(found.score(X, Y))


def test_progress_is_a_bar_on_a_terminal(monkeypatch, capsys):
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    MLPClassifier(**OPTIONS | {"max_iter": 3}, progress=True).fit(X, Y)
    assert "epoch 3/3" in capsys.readouterr().err
    MLPClassifier(**OPTIONS | {"max_iter": 3}).fit(X, Y)
    assert capsys.readouterr().err == ""


def test_without_scikit_learn_one_line_says_what_to_install(monkeypatch):
    import importlib.util
    import sys

    for name in [name for name in sys.modules if name.startswith("retroprop.estimators")]:
        monkeypatch.delitem(sys.modules, name)
    plain = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "sklearn" else plain(name, *rest)
    )
    with pytest.raises(ImportError, match=r"pip install 'retroprop\[sklearn\]'"):
        importlib.import_module("retroprop.estimators")
