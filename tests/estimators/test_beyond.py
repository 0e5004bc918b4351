"""What scikit-learn's MLP does not take in, one test for each of the asks: each changes the fit as it should."""

import copy

import numpy as np
import pytest
from harness import Cube, Quartic
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import f1_score

import retroprop as rp
from retroprop.backends.masks import MaskStream
from retroprop.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
TARGET = X @ np.asarray([1.0, -2.0, 0.5, 0.0]) + np.sin(X[:, 0])
COMMON = {"random_state": 0, "max_iter": 60, "hidden_layer_sizes": (8,), "learning_rate_init": 0.02}


def classifier(**options):
    return MLPClassifier(**COMMON | options)


def regressor(**options):
    return MLPRegressor(**COMMON | options)


def same(mine, other):
    return all(np.array_equal(a, b) for a, b in zip(mine.coefs_, other.coefs_, strict=True))


# Losses, weights ----------------------------------------------------------------------------------------------------


def test_class_weight_is_a_sample_weight_by_class():
    weights = {0: 1.0, 1: 0.2, 2: 5.0}
    found = classifier(class_weight=weights).fit(X, Y)
    assert same(found, classifier().fit(X, Y, sample_weight=np.asarray([1.0, 0.2, 5.0])[Y]))
    rare = np.concatenate([np.flatnonzero(Y == 0)[:4], np.flatnonzero(Y > 0)])
    balanced = classifier(class_weight="balanced").fit(X[rare], Y[rare])
    counts = np.bincount(Y[rare])
    by_hand = (len(rare) / (3.0 * counts))[Y[rare]]
    assert same(balanced, classifier().fit(X[rare], Y[rare], sample_weight=by_hand))
    with pytest.raises(ValueError, match="class_weight='balanced' is not supported for partial_fit"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "log_cosh", "quantile", rp.losses.Huber(0.5), Quartic()])
def test_regression_losses_by_name_or_object(loss):
    found = regressor(loss=loss, max_iter=200).fit(X, TARGET)
    assert found.score(X, TARGET) > 0.9
    net = found.network_
    expected = net.cost(X, TARGET)
    assert found.loss_ == pytest.approx(float(expected), abs=0.02)
    assert rp.check_gradient(net, X[:20], TARGET[:20]).ok


def test_quantile_takes_the_quantile():
    noisy = TARGET + np.random.default_rng(0).exponential(1.0, len(X))
    for quantile in (0.1, 0.9):
        found = regressor(loss="quantile", quantile=quantile, max_iter=400).fit(X, noisy)
        assert np.mean(noisy <= found.predict(X)) == pytest.approx(quantile, abs=0.07)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "log_cosh"])
def test_classification_losses_keep_probabilities(loss):
    found = classifier(loss=loss, max_iter=200).fit(X, Y)
    assert found.score(X, Y) > 0.9
    np.testing.assert_allclose(found.predict_proba(X).sum(axis=1), 1.0)
    assert not same(found, classifier(max_iter=200).fit(X, Y))


# Layers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["gelu", "silu", "elu", "leaky_relu", rp.activations.ELU(0.5), Cube()])
def test_every_activation_is_to_be_had(activation):
    found = classifier(activation=activation, clip_norm=1.0).fit(X, Y)
    assert found.score(X, Y) > 0.9


def test_one_activation_a_layer():
    found = classifier(activation=["tanh", "logistic"], hidden_layer_sizes=(6, 5)).fit(X, Y)
    assert [f.name for f in found.network_.architecture.hidden] == ["tanh", "sigmoid"]
    with pytest.raises(ValueError, match="activation must be one, or one for each of 1 hidden layers, not 2"):
        classifier(activation=["tanh", "relu"]).fit(X, Y)


def test_dropout_is_for_training_only():
    found = classifier(dropout=0.5, max_iter=200).fit(X, Y)
    assert not same(found, classifier(max_iter=200).fit(X, Y))
    np.testing.assert_array_equal(found.predict_proba(X), found.predict_proba(X))
    assert found.score(X, Y) > 0.9
    assert same(found, classifier(dropout=[0.5], max_iter=200).fit(X, Y))


def keys_and_steps(monkeypatch):
    """Take down the key and the number of updates of each mask that is drawn."""
    seen = []

    whole = MaskStream.drawn

    def drawn(stream, one, step, *rows):
        seen.append((stream.key, step))
        return whole(stream, one, step, *rows)

    monkeypatch.setattr(MaskStream, "drawn", drawn)
    return seen


@pytest.mark.parametrize(("make", "keys"), [(int, 2), (np.random.RandomState, 3)])
def test_no_partial_fit_has_the_masks_of_another(make, keys, monkeypatch):
    """The updates are counted on; a key is drawn each time, which a seed gives again once there are weights."""
    seen, mlp = keys_and_steps(monkeypatch), classifier(dropout=0.5, random_state=make(0), batch_size=150)
    for _ in range(3):
        mlp.partial_fit(X, Y, classes=np.unique(Y))
    assert [step for _, step in seen] == [0, 1, 2]
    assert len({key for key, _ in seen}) == keys


def test_a_warm_start_begins_a_stream_of_its_own(monkeypatch):
    options = {"dropout": 0.5, "warm_start": True, "batch_size": 150, "max_iter": 2}
    seen, mlp = keys_and_steps(monkeypatch), classifier(random_state=np.random.RandomState(0), **options)
    for _ in range(2):
        mlp.fit(X, Y)
    (first, _), *_, (last, _) = seen
    assert [step for _, step in seen] == [0, 1, 0, 1]
    assert first != last


def test_without_dropout_nothing_is_drawn_for_it():
    state, twin = np.random.RandomState(4), np.random.RandomState(4)
    for dropout, rng in ((0.0, state), (0.5, twin)):
        classifier(dropout=dropout, random_state=rng, max_iter=1, shuffle=False).fit(X, Y)
    state.bytes(16)  # of the key
    np.testing.assert_array_equal(state.random_sample(3), twin.random_sample(3))


def test_l1_and_an_alpha_for_each_layer():
    sparse_one, plain = (classifier(l1=l1, max_iter=300).fit(X, Y) for l1 in (2.0, 0.0))
    small = [np.mean(np.abs(found.coefs_[0]) < 0.01) for found in (sparse_one, plain)]
    assert small[0] > small[1] + 0.2
    assert same(classifier(alpha=[1.0, 1.0]).fit(X, Y), classifier(alpha=1.0).fit(X, Y))
    heavy = classifier(alpha=[100.0, 0.0]).fit(X, Y)
    assert np.abs(heavy.coefs_[0]).mean() < 0.3 * np.abs(heavy.coefs_[1]).mean()


@pytest.mark.parametrize("initializer", ["he_normal", rp.initializers.Uniform(0.05)])
def test_initializer(initializer):
    found = classifier(initializer=initializer, max_iter=1, learning_rate_init=1e-9, batch_size=150).fit(X, Y)
    expected = rp.initializers.HeNormal() if initializer == "he_normal" else initializer
    drawn = expected.theta(np.random.RandomState(0), 8, 4, np)
    np.testing.assert_allclose(found.coefs_[0], drawn.T, atol=1e-6)


# Solvers ------------------------------------------------------------------------------------------------------------


RATE = 0.001  # the default of `learning_rate_init`, beside an object that has a rate of its own


@pytest.mark.parametrize(
    ("solver", "rate"),
    [("adamw", 0.005), ("rmsprop", 0.005), ("lion", 0.005), (rp.optimizers.SGD(0.3, momentum=0.9), RATE)],
)
def test_more_solvers(solver, rate):
    found = classifier(solver=solver, learning_rate_init=rate, max_iter=150).fit(X, Y)
    assert found.score(X, Y) > 0.9
    np.testing.assert_array_equal(found.partial_fit(X, Y).classes_, [0, 1, 2])


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop", "lion"])
def test_a_schedule_for_every_solver(solver):
    falling = rp.schedules.Step(0.01, 1, factor=1e-9)  # after the first update there is no other to speak of
    options = {"solver": solver, "batch_size": 150, "learning_rate_init": RATE}
    options |= {"momentum": 0.0} if solver == "sgd" else {}
    once = classifier(learning_rate=falling, max_iter=1, **options).fit(X, Y)
    often = classifier(learning_rate=falling, max_iter=5, **options).fit(X, Y)
    np.testing.assert_allclose(once.coefs_[0], often.coefs_[0], atol=1e-9)
    start = rp.schedules.Constant(0.01)
    assert same(classifier(learning_rate=start, **options).fit(X, Y),
                classifier(**options | {"learning_rate_init": 0.01}).fit(X, Y))  # fmt: skip


def test_clip_norm_bounds_a_step():
    options = {"solver": "sgd", "learning_rate_init": 1.0, "momentum": 0.0, "max_iter": 1, "batch_size": 150}
    start = classifier(**options | {"learning_rate_init": 1e-12}).fit(X, Y)
    stepped = classifier(clip_norm=0.01, **options).fit(X, Y)
    pairs = zip(start.coefs_ + start.intercepts_, stepped.coefs_ + stepped.intercepts_, strict=True)
    assert np.sqrt(sum(np.sum((a - b) ** 2) for a, b in pairs)) == pytest.approx(0.01, rel=1e-6)


# Validation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to_val", [np.asarray, sparse.csr_array])
def test_validation_data_of_ones_own(to_val):
    train, val = np.arange(0, 150, 2), np.arange(1, 150, 2)
    weight = np.linspace(0.5, 1.5, len(val))
    found = classifier().fit(X[train], Y[train], X_val=to_val(X[val]), y_val=Y[val], sample_weight_val=weight)
    assert len(found.validation_loss_curve_) == len(found.validation_scores_) == found.n_iter_ == 60
    assert found.best_validation_score_ == max(found.validation_scores_)
    p = found.predict_proba(X[val])[np.arange(len(val)), Y[val]]
    eps = np.finfo(float).eps
    by_hand = -np.average(np.log(np.clip(p, eps, 1 - eps)), weights=weight)
    assert found.validation_loss_curve_[-1] == pytest.approx(by_hand)
    assert found.validation_scores_[-1] == pytest.approx(found.score(X[val], Y[val], weight))
    assert same(found, classifier().fit(X[train], Y[train]))  # to look is not to touch
    stopped = classifier(early_stopping=True, max_iter=400, n_iter_no_change=3).fit(X[train], Y[train], X_val=X[val],
                                                                                  y_val=Y[val])  # fmt: skip
    assert stopped.n_iter_ < 400
    assert stopped.score(X[val], Y[val]) == stopped.best_validation_score_


def test_validation_data_are_checked():
    with pytest.raises(ValueError, match="X_val needs y_val"):
        classifier().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        classifier().fit(X, Y, X_val=X[:, :3], y_val=Y)
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        classifier().fit(X[:100], Y[:100], X_val=X, y_val=Y)


@pytest.mark.parametrize("scoring", ["loss", "f1_macro", lambda estimator, x, y: -estimator.predict(x).mean()])
def test_scoring_decides_when_to_stop(scoring):
    found = classifier(early_stopping=True, scoring=scoring).fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2])
    best = found.best_validation_score_
    assert best == max(found.validation_scores_)
    if scoring == "loss":
        np.testing.assert_allclose(found.validation_scores_, np.negative(found.validation_loss_curve_))
    elif scoring == "f1_macro":
        assert best == pytest.approx(f1_score(Y[1::2], found.predict(X[1::2]), average="macro"))
    else:
        assert best == -found.predict(X[1::2]).mean()


def test_stratify_keeps_the_parts_of_the_classes():
    y = np.repeat([0, 1, 2], [100, 30, 20])
    found = classifier(early_stopping=True, validation_fraction=0.2, stratify=True, max_iter=2)
    seen = []
    found._validation_score = lambda outputs, scored, weight: float(seen.append(scored) or 0.0)
    found.fit(X, y)
    np.testing.assert_array_equal(np.bincount(seen[0]), [20, 6, 4])


@pytest.mark.parametrize("validates", [False, True])
def test_the_best_weights_are_restored(validates):
    given = {"X_val": X[1::2], "y_val": Y[1::2]} if validates else {}
    options = {
        "solver": "sgd",
        "learning_rate_init": 3.0,
        "momentum": 0.0,
        "batch_size": 75,
        "n_iter_no_change": np.inf,
    }
    found = classifier(restore_best=True, **options).fit(X[::2], Y[::2], **given)
    last = classifier(**options).fit(X[::2], Y[::2], **given)
    assert found.loss_curve_ == last.loss_curve_
    assert not same(found, last)
    if validates:
        assert found.score(X[1::2], Y[1::2]) == max(found.validation_scores_)
    else:
        # With one batch an epoch a loss is that of the weights the epoch began with.
        again = classifier(**options, max_iter=int(np.argmin(found.loss_curve_))).fit(X[::2], Y[::2])
        assert same(found, again)


# Targets ------------------------------------------------------------------------------------------------------------

COLUMNS = np.stack([np.asarray(["a", "b", "c"])[Y], np.where(X[:, 0] > 0, "x", "y")], axis=1)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_several_columns_of_classes_have_a_softmax_each(early_stopping):
    found = classifier(max_iter=300, early_stopping=early_stopping, n_iter_no_change=100).fit(X, COLUMNS)
    assert [list(classes) for classes in found.classes_] == [["a", "b", "c"], ["x", "y"]]
    first, second = found.predict_proba(X)
    assert (first.shape, second.shape) == ((150, 3), (150, 2))
    np.testing.assert_allclose(first.sum(axis=1), 1.0)
    np.testing.assert_allclose(second.sum(axis=1), 1.0)
    predicted = found.predict(X)
    assert predicted.shape == (150, 2)
    assert found.score(X, COLUMNS) == np.mean((predicted == COLUMNS).all(axis=1)) > 0.9
    np.testing.assert_allclose(np.exp(found.predict_log_proba(X)[1]), second)
    loss = -np.mean(np.log(first[np.arange(150), Y]) + np.log(second[np.arange(150), (COLUMNS[:, 1] == "y") * 1]))
    assert found.network_.cost(X, found._coding.targets(COLUMNS).y) == pytest.approx(loss)


def test_several_columns_of_numbers_stay_where_x_lives(backend):
    columns = np.stack([Y, (X[:, 0] > 0) * 2], axis=1)
    x = backend.asarray(X)
    found = classifier().fit(x, backend.asarray(columns))
    predicted = found.predict(x)
    assert backend.owns(predicted)
    np.testing.assert_array_equal(backend.to_numpy(predicted), classifier().fit(X, columns).predict(X))


def test_several_columns_of_classes_part_by_part():
    classes = [["a", "b", "c"], ["x", "y"]]
    found, whole = classifier(max_iter=1), classifier(max_iter=1, shuffle=False, batch_size=50).fit(X, COLUMNS)
    found.set_params(shuffle=False, batch_size=50).partial_fit(X, COLUMNS, classes=classes)
    assert same(found, whole)
    found.set_params(batch_size="auto").partial_fit(X[:3], COLUMNS[:3])
    stream = ((X[at : at + 50], COLUMNS[at : at + 50]) for at in (0, 50, 100))
    assert same(classifier().fit(stream, classes=classes), whole)
    with pytest.raises(ValueError, match="`y` has classes not in"):
        found.partial_fit(X[:3], np.full((3, 2), "z"))
    with pytest.raises(ValueError, match="y has 3 columns, and there are classes for 2"):
        found.partial_fit(X, COLUMNS[:, [0, 1, 1]])
    with pytest.raises(ValueError, match=r"classes are for X that is an iterator of batches.*leave classes out"):
        classifier().fit(X, COLUMNS, classes=classes)


def test_multilabel_with_everything():
    labels = np.stack([Y > 0, X[:, 1] > 0, Y == 2], axis=1).astype(int)
    found = classifier(dropout=0.1, class_weight=[{0: 1.0, 1: 2.0}] * 3, activation="gelu", max_iter=300).fit(
        X[::2], labels[::2], X_val=X[1::2], y_val=labels[1::2]
    )
    assert found.predict(X).shape == (150, 3)
    assert found.score(X, labels) > 0.9
    weight = 2.0 ** labels[1::2].sum(axis=1)
    assert found.validation_scores_[-1] == pytest.approx(found.score(X[1::2], labels[1::2], weight))


def test_partial_fit_where_it_makes_sense():
    for options in (
        {"solver": "lion"},
        {"solver": rp.optimizers.RMSprop(0.01), "learning_rate_init": RATE},
        {"loss": "huber"},
    ):
        found = classifier(**options)
        for part in np.array_split(np.random.default_rng(0).permutation(150), 3):
            found.partial_fit(X[part], Y[part], classes=[0, 1, 2])
        assert len(found.loss_curve_) == 3
    assert not hasattr(classifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(regressor(solver="lbfgs"), "partial_fit")


# Streams, memory ----------------------------------------------------------------------------------------------------


def batches():
    return ((X[part], Y[part]) for part in np.array_split(np.arange(150), 5))


def test_fit_from_batches_is_fit_in_that_order():
    found = classifier(max_iter=7).fit(batches, classes=[0, 1, 2])
    assert same(found, classifier(max_iter=7, batch_size=30, shuffle=False).fit(X, Y))
    assert found.loss_curve_ == classifier(max_iter=7, batch_size=30, shuffle=False).fit(X, Y).loss_curve_
    once = classifier(max_iter=7).fit(batches(), classes=[0, 1, 2])
    assert once.n_iter_ == 1
    weighted = regressor(max_iter=3).fit(lambda: iter([(X, TARGET, np.ones(150))]))
    assert same(weighted, regressor(max_iter=3, batch_size=150, shuffle=False).fit(X, TARGET))


def test_bad_batches():
    for given, options, message in (
        (iter([]), {}, "X gives no batch: each epoch needs one at least"),
        (lambda used=[(X, Y)]: iter([used.pop()] if used else []), {}, "X gives no batch"),
        (iter([X]), {}, r"a batch must be \(X, y\) or \(X, y, sample_weight\), not ndarray"),
        (batches, {"solver": "lbfgs"}, "needs all the data at once"),
        (batches, {"early_stopping": True}, "cannot split an iterator of batches for validation"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier(**options).fit(given, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="fit needs classes= where X is an iterator of batches"):
        classifier().fit(batches)
    with pytest.raises(ValueError, match="expecting 4 features"):
        classifier().fit(iter([(X, Y), (X[:, :2], Y)]), classes=[0, 1, 2])


@pytest.mark.parametrize("to_x", [np.asarray, sparse.csr_array, sparse.csc_matrix])
def test_predict_in_chunks(to_x):
    found = classifier().fit(X, Y)
    expected = found.predict_proba(X)
    for size in (1, 7, 150, 1000):
        found.set_params(predict_batch_size=size)
        np.testing.assert_allclose(found.predict_proba(to_x(X)), expected, rtol=1e-12)


def test_rows_of_columns_are_found_once(monkeypatch):
    """CSC has no rows to slice: all of it is looked through for each chunk."""
    turned, plain = [], sparse.csc_array.tocsr
    monkeypatch.setattr(sparse.csc_array, "tocsr", lambda x, copy=False: turned.append(x.shape) or plain(x, copy))
    found = classifier(predict_batch_size=10).fit(X, Y)
    found.predict(sparse.csc_array(X))
    assert turned == [X.shape]


def test_a_chunk_holds_no_more_than_the_budget(monkeypatch):
    from retroprop.estimators import base

    seen, plain = [], base.output_of
    monkeypatch.setattr("retroprop.estimators.samples.CHUNK", 600)
    monkeypatch.setattr(base, "output_of", lambda b, a, p, x: seen.append(len(x)) or plain(b, a, p, x))
    classifier().fit(X, Y).predict(X)
    assert seen == [40, 40, 40, 30]  # of 4 + 8 + 3 neurons


def test_sparse_lbfgs_in_chunks_is_the_same_function(monkeypatch):
    whole = classifier(solver="lbfgs").fit(X, Y, sample_weight=np.linspace(1, 2, 150))
    monkeypatch.setattr("retroprop.estimators.samples.CHUNK", 600)
    chunked = classifier(solver="lbfgs").fit(sparse.csr_array(X), Y, sample_weight=np.linspace(1, 2, 150))
    np.testing.assert_allclose(chunked.loss_, whole.loss_, rtol=1e-4)


# Looking inside -----------------------------------------------------------------------------------------------------


def test_activations_and_input_gradient(backend):
    x = backend.asarray(X)
    found = classifier(activation="tanh").fit(x, backend.asarray(Y))
    layers = found.activations(x)
    assert [tuple(a.shape) for a in layers] == [(150, 4), (150, 8), (150, 3)]
    np.testing.assert_allclose(backend.to_numpy(layers[-1]), backend.to_numpy(found.predict_proba(x)))
    h = 1e-6
    for options, value in (
        ({"output": 2}, lambda at: found.predict_proba(at)[:, 2]),
        ({"y": Y}, lambda at: -np.log(found.predict_proba(at)[np.arange(150), Y])),
    ):
        gradient = found.input_gradient(x, **options)
        assert backend.owns(gradient)
        for feature in range(4):
            nudge = h * np.eye(4)[feature]
            difference = (value(X + nudge) - value(X - nudge)) / (2 * h)
            np.testing.assert_allclose(backend.to_numpy(gradient)[:, feature], difference, rtol=1e-5, atol=1e-7)


def test_input_gradient_of_a_regressor_needs_no_output():
    found = regressor().fit(X, TARGET)
    assert found.input_gradient(X).shape == X.shape
    for options, message in (({}, "needs either y or output"), ({"output": 5}, r"output must be in \[0, 3\)")):
        with pytest.raises(ValueError, match=message):
            classifier().fit(X, Y).input_gradient(X, **options)


def test_network_is_retroprops_own(tmp_path):
    for found, x, outputs in (
        (classifier().fit(X, Y), X, "predict_proba"),
        (classifier(max_iter=3).fit(X, COLUMNS), X, None),
        (regressor(loss="poisson").fit(X, np.abs(TARGET)), X, "predict"),
    ):
        net = found.network_
        if outputs:
            expected = getattr(found, outputs)(x)
            np.testing.assert_allclose(net.predict(x).reshape(expected.shape), expected)
        rp.save(net, tmp_path / "model.safetensors")
        again = rp.load(tmp_path / "model.safetensors", backend="numpy")
        np.testing.assert_array_equal(again.predict(x), net.predict(x))


@pytest.mark.parametrize("task", ["classes", "two", "labels", "numbers", "poisson"])
def test_to_and_from_scikit_learn(task):
    if task == "poisson" and "loss" not in theirs.MLPRegressor().get_params():
        pytest.skip("scikit-learn has it from 1.7 on")
    kind = "MLPClassifier" if task in ("classes", "two", "labels") else "MLPRegressor"
    y = {"classes": Y, "two": Y > 0, "labels": np.stack([Y > 0, Y == 1], axis=1) * 1, "numbers": TARGET,
         "poisson": np.abs(TARGET)}[task]  # fmt: skip
    options = COMMON | ({"loss": "poisson"} if task == "poisson" else {})
    mine = globals()[kind](**options).fit(X, y)
    reference = getattr(theirs, kind)(**options).fit(X, y)
    there = mine.to_sklearn()
    assert type(there) is type(reference)
    assert there.get_params() == reference.get_params()
    back = globals()[kind].from_sklearn(there)
    for found in (there, back):
        np.testing.assert_array_equal(found.predict(X), mine.predict(X))
    for found in (there, back, globals()[kind].from_sklearn(reference), reference):
        found.partial_fit(X, y)
        assert found.n_iter_ == 1
    back, again = globals()[kind].from_sklearn(clone(reference)), globals()[kind](**options)
    assert back.get_params() == again.get_params()


def test_what_scikit_learn_does_not_have_is_not_converted():
    for options, message in (
        ({"activation": "gelu"}, "scikit-learn has no activation='gelu'"),
        ({"loss": "huber"}, "scikit-learn has no loss='huber': it has log_loss"),
        ({"solver": "lion"}, "scikit-learn has no solver='lion'"),
        ({"alpha": [0.1, 0.2]}, "one alpha for all layers"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier(**options).to_sklearn()
    with pytest.raises(ValueError, match="several columns"):
        classifier(max_iter=2).fit(X, COLUMNS).to_sklearn()
    fitted = classifier(solver="lion", learning_rate=rp.schedules.Constant(0.01), learning_rate_init=RATE).fit(X, Y)
    there = fitted.to_sklearn()
    np.testing.assert_array_equal(there.predict_proba(X), fitted.predict_proba(X))
    assert (there.solver, there.learning_rate) == ("adam", "constant")
    there.partial_fit(X, Y)
    # What was set since the fit is not of the network that was fitted.
    fitted = classifier(max_iter=2).fit(X, Y)
    there = fitted.set_params(activation="logistic").to_sklearn()
    np.testing.assert_allclose(there.predict_proba(X), fitted.predict_proba(X))
    fitted = classifier(hidden_layer_sizes=(), activation="gelu", max_iter=2).fit(X, Y)
    np.testing.assert_allclose(fitted.to_sklearn().predict_proba(X), fitted.predict_proba(X))
    numbers = regressor(max_iter=2).fit(X, TARGET).set_params(loss="poisson")
    np.testing.assert_allclose(MLPRegressor.from_sklearn(numbers.to_sklearn()).predict(X), numbers.predict(X))
    with pytest.raises(ValueError, match=r"scikit-learn has no activation=\['gelu', 'tanh'\]"):
        classifier(hidden_layer_sizes=(3, 3), activation=["gelu", "tanh"], max_iter=1).fit(X, Y).to_sklearn()
    with pytest.raises(TypeError, match="takes scikit-learn's MLPClassifier"):
        MLPClassifier.from_sklearn(theirs.MLPRegressor())


# The exact loss, bad ends -------------------------------------------------------------------------------------------


def test_exact_loss_is_the_loss_that_is_differentiated():
    two = np.stack([TARGET, X[:, 2]], axis=1)
    for solver in ("adam", "lbfgs"):
        found = regressor(exact_loss=True, solver=solver, alpha=0.0, batch_size=150).fit(X, two)
        usual = regressor(solver=solver, alpha=0.0, batch_size=150).fit(X, two)
        if solver == "adam":
            assert same(found, usual)
            np.testing.assert_allclose(found.loss_curve_, 2.0 * np.asarray(usual.loss_curve_))
        else:
            assert found.loss_ == pytest.approx(float(found.network_.cost(X, two)), rel=1e-6)
            assert found.loss_ < 2.0 * usual.loss_  # the line search looks at the function it descends


def test_what_diverges_leaves_the_last_good_model_and_says_so():
    found = regressor(solver="sgd", learning_rate_init=1e3, activation="identity", momentum=0.0)
    with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights\. .* keeps the last weights"):
        found.fit(X * 1e3, TARGET)
    assert all(np.isfinite(part).all() for part in (*found.coefs_, *found.intercepts_))
    assert np.isfinite(found.predict(X)).all()


def test_ctrl_c_leaves_the_model_so_far(monkeypatch):
    found = classifier(max_iter=50)
    whole = found._validation_score

    def interrupt(outputs, scored, weight):
        if found.n_iter_ == 5:
            raise KeyboardInterrupt
        return whole(outputs, scored, weight)

    monkeypatch.setattr(found, "_validation_score", interrupt, raising=False)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        found.fit(X, Y, X_val=X, y_val=Y)
    assert found.n_iter_ == 5
    assert same(found, classifier(max_iter=5).fit(X, Y))


@pytest.mark.parametrize(
    ("make", "fit", "message"),
    [
        (lambda: regressor(loss="poisson"), (X, TARGET), "needs y >= 0"),
        (classifier, (X, Y, -np.ones(150)), "Negative values in data passed to `sample_weight`"),
        (classifier, (X, Y, np.zeros(150)), "Sample weights must contain at least one non-zero number"),
        (lambda: classifier(activation="relux"), (X, Y), "The 'activation' parameter of MLPClassifier must be"),
        (
            lambda: classifier(solver=rp.optimizers.SGD(0.1), learning_rate="adaptive"),
            (X, Y),
            "the solver by name, as in solver='sgd'",
        ),
        (lambda: classifier(l1=-1.0), (X, Y), "The 'l1' parameter of MLPClassifier must be"),
        (lambda: classifier(dropout=[1.5]), (X, Y), r"dropout must be in \[0, 1\)"),
        (lambda: classifier(alpha=[1.0, 2.0, 3.0]), (X, Y), "alpha must be one number, or one for each of 2 matrices"),
        (lambda: classifier(device="tpu9"), (X, Y), "unknown backend 'tpu9'"),
        (lambda: classifier(device="cuda:1"), (X, Y), "names no library: write 'cupy', 'torch:cuda:1' or"),
        (lambda: classifier(hidden_layer_sizes=(5, 0)), (X, Y), r"hidden_layer_sizes must be > 0, got \[5, 0\]"),
    ],
)
def test_bad_input(make, fit, message):
    with pytest.raises(ValueError, match=message):
        make().fit(*fit)


def test_a_further_fit_needs_the_same_layers():
    found = classifier(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="a further fit needs the layers of the one before"):
        found.set_params(hidden_layer_sizes=(9,)).fit(X, Y)


def test_copies_are_independent():
    found = classifier().fit(X, Y)
    kept = copy.deepcopy(found)
    found.partial_fit(X, Y)
    assert same(kept, classifier().fit(X, Y))
