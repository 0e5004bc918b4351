"""A fit of an estimator that goes on from its checkpoints is the fit that was never interrupted, bit for bit."""

import os
import signal
import warnings

import numpy as np
import pytest
from scipy import sparse

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPRegressor
from retroprop.training.saver import Saver

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 4))
Y = np.array(["a", "b", "c"])[RNG.integers(0, 3, 60)]
T = RNG.normal(size=(60, 2))
W = RNG.random(60)
OPTIONS = {"hidden_layer_sizes": (6,), "batch_size": 16, "random_state": 3}
CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_", "n_iter_", "t_", "best_loss_",
          "best_validation_score_", "loss_")  # fmt: skip


def fitted(kind=MLPClassifier, *, data=X, epochs=6, fit=None, **options):
    y = Y if kind is MLPClassifier else T
    model = kind(**OPTIONS | {"max_iter": epochs} | options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer|Training interrupted|there is no checkpoint")
        return model.fit(data, **({"y": y} if not callable(data) else {}), **(fit or {}))


def same(one, other):
    for left, right in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_array_equal(left, right)
    assert {n: getattr(one, n, None) for n in CURVES} == {n: getattr(other, n, None) for n in CURVES}


CASES = [
    {},
    {"early_stopping": True, "validation_fraction": 0.3},
    {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 10.0},
    {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.5, "dropout": 0.2},
    {"kind": MLPRegressor, "restore_best": True, "fit": {"X_val": X[:20], "y_val": T[:20]}},
    {"kind": MLPRegressor, "learning_rate": rp.schedules.ReduceOnPlateau(0.01, patience=1, tol=10.0)},
    {"fit": {"sample_weight": W}, "shuffle": False, "clip_norm": 0.5},
    {"data": sparse.csr_matrix(X), "class_weight": {"a": 2.0}},
    {"solver": "rmsprop", "batch_size": 60},
]


@pytest.mark.parametrize("case", CASES)
def test_at_the_end_of_an_epoch(case, tmp_path):
    whole = fitted(**case)
    fitted(**case, epochs=3, checkpoint=rp.Checkpoint(tmp_path))
    same(fitted(**case, checkpoint=rp.Checkpoint(tmp_path, resume=True)), whole)
    # And once more, where nothing is left to do.
    same(fitted(**case, checkpoint=rp.Checkpoint(tmp_path, resume=True)), whole)


@pytest.mark.parametrize("case", CASES)
def test_in_the_middle_of_an_epoch(case, tmp_path, monkeypatch):
    whole, after_step, steps = fitted(**case), Saver.after_step, []

    def interrupted(saver):
        steps.append(1)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        after_step(saver)

    monkeypatch.setattr(Saver, "after_step", interrupted)
    early = fitted(**case, checkpoint=rp.Checkpoint(tmp_path, every=99))
    assert len(early.loss_curve_) < 6
    same(fitted(**case, checkpoint=rp.Checkpoint(tmp_path, resume=True)), whole)


def test_batches_of_a_function(tmp_path, monkeypatch):
    def batches():
        return iter([(X[:20], Y[:20]), (X[20:50], Y[20:50]), (X[50:], Y[50:])])

    case = {"data": batches, "fit": {"classes": ["a", "b", "c"]}, "batch_size": "auto"}
    whole = fitted(**case, checkpoint=rp.Checkpoint(tmp_path / "whole"))
    after_step, steps = Saver.after_step, []

    def interrupted(saver):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        after_step(saver)

    monkeypatch.setattr(Saver, "after_step", interrupted)
    fitted(**case, checkpoint=rp.Checkpoint(tmp_path / "run"))
    same(fitted(**case, checkpoint=rp.Checkpoint(tmp_path / "run", resume=True)), whole)


def test_an_iterator_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"pass a function that returns one, as in fit\(lambda: iter\(batches\)\)"):
        MLPClassifier(checkpoint=rp.Checkpoint(tmp_path)).fit(iter([(X, Y)]), classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("other", "message"),
    [({"hidden_layer_sizes": (7,)}, "hidden_layer_sizes was"), ({"alpha": 0.1}, "alpha was"),
     ({"random_state": 4}, "random_state was 3, and is 4 now"), ({"data": X + 1}, "x holds other data now"),
     ({"fit": {"sample_weight": W}}, "sample_weight holds other data now")],
)  # fmt: skip
def test_another_fit_is_refused_by_what_differs(other, message, tmp_path):
    fitted(checkpoint=rp.Checkpoint(tmp_path), epochs=2)
    with pytest.raises(rp.CheckpointError, match=message):
        fitted(**other, checkpoint=rp.Checkpoint(tmp_path, resume=True))


@pytest.mark.parametrize(
    ("options", "call", "message"),
    [({"solver": "lbfgs"}, "fit", "solver='lbfgs' does not go with checkpoint"),
     ({"warm_start": True}, "fit", "warm_start"),
     ({}, "partial_fit", "partial_fit does not support checkpoint")],
)  # fmt: skip
def test_what_has_no_checkpoints_says_so(options, call, message, tmp_path):
    model = MLPRegressor(checkpoint=rp.Checkpoint(tmp_path), **options)
    with pytest.raises(ValueError, match=message):
        getattr(model, call)(X, T)
