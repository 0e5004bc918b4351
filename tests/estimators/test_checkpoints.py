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
    {"solver": "lion", "batch_size": 60},
    {"solver": "adamw", "fit": {"sample_weight": W}, "dropout": 0.2},
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


@pytest.mark.parametrize("library", ["torch", "array_api_strict", "jax"])
def test_where_the_data_live(library, tmp_path):
    backend = rp.get_backend(pytest.importorskip(library).__name__)
    case = {"kind": MLPRegressor, "data": backend.asarray(X, "float32"), "dropout": 0.2, "early_stopping": True}
    whole = fitted(**case)
    fitted(**case, epochs=3, checkpoint=rp.Checkpoint(tmp_path))
    more = fitted(**case, checkpoint=rp.Checkpoint(tmp_path, resume=True))
    for one, other in zip(whole.coefs_, more.coefs_, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    assert (more.loss_curve_, more.validation_scores_) == (whole.loss_curve_, whole.validation_scores_)


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
    [({"warm_start": True}, "fit", "warm_start"),
     ({}, "partial_fit", "partial_fit does not support checkpoint")],
)  # fmt: skip
def test_what_has_no_checkpoints_says_so(options, call, message, tmp_path):
    model = MLPRegressor(checkpoint=rp.Checkpoint(tmp_path), **options)
    with pytest.raises(ValueError, match=message):
        getattr(model, call)(X, T)


# L-BFGS ----------------------------------------------------------------------------------------------------------

LBFGS = {"solver": "lbfgs", "batch_size": "auto", "alpha": 1e-3}
MINIMISATIONS = [
    LBFGS,
    LBFGS | {"kind": MLPRegressor, "fit": {"sample_weight": W}},
    LBFGS | {"kind": MLPRegressor, "data": X.astype("float32"), "tol": 1e-9},
    LBFGS | {"data": sparse.csr_matrix(X), "class_weight": {"a": 2.0}},
]


def minimised(folder, *, epochs=25, resume=False, **case):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        return fitted(**case, epochs=epochs, checkpoint=rp.Checkpoint(folder, resume=resume))


@pytest.mark.parametrize("case", MINIMISATIONS)
def test_lbfgs_goes_on_with_its_pairs(case, tmp_path):
    whole = minimised(tmp_path / "whole", **case)
    assert whole.n_iter_ > 15, "more than pairs are kept"
    minimised(tmp_path / "run", epochs=12, **case)
    for _ in range(2):  # the second time, nothing is left to do
        same(minimised(tmp_path / "run", resume=True, **case), whole)


@pytest.mark.parametrize("xp", ["torch", "array_api_strict"])
def test_lbfgs_goes_on_where_the_data_live(xp, tmp_path):
    backend = rp.get_backend(pytest.importorskip(xp).__name__)
    case = LBFGS | {"kind": MLPRegressor, "data": backend.asarray(X, "float64")}
    whole = minimised(tmp_path / "whole", **case)
    minimised(tmp_path / "run", epochs=12, **case)
    more = minimised(tmp_path / "run", resume=True, **case)
    for one, other in zip(whole.coefs_, more.coefs_, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    assert (more.n_iter_, more.loss_) == (whole.n_iter_, whole.loss_)


def test_lbfgs_with_checkpoints_finds_the_minimum_that_scipy_finds(tmp_path):
    # One layer: the cost is convex, with one minimum.
    options = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 1.0, "tol": 1e-8, "max_iter": 500}
    theirs = MLPRegressor(**options).fit(X, T[:, 0])
    ours = MLPRegressor(**options, checkpoint=rp.Checkpoint(tmp_path, every=100)).fit(X, T[:, 0])
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], atol=1e-4)  # both stop where the cost falls no more
    assert abs(ours.loss_ - theirs.loss_) < 1e-8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_lbfgs_with_a_checkpoint(number, tmp_path, monkeypatch):
    whole, is_due, came = minimised(tmp_path / "whole", **LBFGS), Saver.is_due, []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))

    def interrupted(saver, n_iterations):
        if n_iterations == 7:
            os.kill(os.getpid(), number)
        return is_due(saver, n_iterations)

    try:
        monkeypatch.setattr(Saver, "is_due", interrupted)
        early = minimised(tmp_path / "run", **LBFGS)
    finally:
        signal.signal(signal.SIGTERM, before)
    monkeypatch.undo()
    assert early.n_iter_ == 7
    assert came == [number] * (number == signal.SIGTERM), "sent again once the estimator is fitted"
    same(minimised(tmp_path / "run", resume=True, **LBFGS), whole)


def test_lbfgs_is_refused_by_what_differs(tmp_path):
    minimised(tmp_path, epochs=12, **LBFGS)
    with pytest.raises(rp.CheckpointError, match="solver was 'lbfgs', and is 'adam' now"):
        fitted(alpha=1e-3, batch_size="auto", checkpoint=rp.Checkpoint(tmp_path, resume=True))
    with pytest.raises(rp.CheckpointError, match=r"alpha was 0\.001, and is 0\.1 now"):
        minimised(tmp_path, resume=True, **LBFGS | {"alpha": 0.1})


# Numbers that run away -------------------------------------------------------------------------------------------


def test_a_late_divergence_names_the_checkpoint_before_it(tmp_path):
    # A step of more than 2 over the curvature overshoots a little more each time.
    steps = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 2.1, "alpha": 0.0, "hidden_layer_sizes": ()}
    model = MLPRegressor(**steps, batch_size=60, max_iter=5000, n_iter_no_change=np.inf, random_state=3,
                         checkpoint=rp.Checkpoint(tmp_path, every=10))  # fmt: skip
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite parameter weights") as raised:
        model.fit((X / X.std(axis=0)).astype("float32"), T[:, 0])
    assert model.n_iter_ > 100
    assert all(np.isfinite(part).all() for part in model.coefs_)
    (note,) = raised.value.__notes__
    newest = max(path.name for path in tmp_path.glob("*.safetensors"))
    assert note == f"The checkpoint before is {str(tmp_path / newest)!r}."


@pytest.mark.parametrize("checkpoints", [False, True])
def test_lbfgs_does_not_begin_at_a_loss_that_is_not_finite(checkpoints, tmp_path):
    model = MLPRegressor(**LBFGS, checkpoint=rp.Checkpoint(tmp_path) if checkpoints else None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        with pytest.raises(ValueError, match=r"the loss is (nan|inf) at the initial weights.*: scale X and y"):
            model.fit(X * 1e200, T)
    assert not hasattr(model, "coefs_")
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_divergence_under_early_stopping_is_said():
    options = OPTIONS | {"solver": "sgd", "learning_rate_init": 1e6, "early_stopping": True}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = MLPRegressor(**options).fit(X, T)
    first = 1 + int(np.argmin(np.isfinite(model.loss_curve_)))
    assert any(f"the training diverged: at epoch {first} the loss is nan" in str(one.message) for one in said)
    assert not any(issubclass(one.category, RuntimeWarning) for one in said)
    assert all(np.isfinite(part).all() for part in model.coefs_)
