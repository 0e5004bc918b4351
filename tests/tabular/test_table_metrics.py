"""The figures of the evaluation against scikit-learn's."""

import numpy as np
import pytest

from retroprop.tabular.classification_metrics import (
    calibration,
    classification_figures,
    confusion,
    log_loss,
    per_class,
    roc_auc,
    roc_curve,
)
from retroprop.tabular.evaluation import EvaluatedPart, usual, verdict
from retroprop.tabular.regression_metrics import regression_figures
from retroprop.tabular.standardisation import Standardisation
from retroprop.tabular.targets import TargetColumn


def probabilities(rng, m, k, *, ties):
    p = rng.dirichlet(np.ones(k), m)
    return np.round(p, 1) / np.round(p, 1).sum(axis=1, keepdims=True) if ties else p


@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("ties", [False, True])
def test_classification_is_scikit_learns(k, ties):
    metrics = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    rng = np.random.default_rng(k)
    p, true = probabilities(rng, 200, k, ties=ties), rng.permutation(np.arange(200) % k)
    said = np.argmax(p, axis=1)
    found = classification_figures(p, true)
    score = p[:, 1] if k == 2 else p
    expected = {
        "accuracy": metrics.accuracy_score(true, said),
        "error": 1.0 - metrics.accuracy_score(true, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(true, said),
        "roc_auc": metrics.roc_auc_score(true, score, multi_class="ovr"),
        "log_loss": metrics.log_loss(true, p),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    counts = confusion(said, true, k)
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(true, said, labels=range(k)))
    precision, recall, _, rows = metrics.precision_recall_fscore_support(
        true, said, labels=range(k), zero_division=np.nan
    )
    for at, row in enumerate(per_class(counts)):
        assert row["rows"] == rows[at]
        assert row["recall"] == pytest.approx(recall[at])
        assert row["precision"] == (None if np.isnan(precision[at]) else pytest.approx(precision[at]))
    fpr, tpr, _ = metrics.roc_curve(true == 1, p[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(p[:, 1], true == 1), (fpr, tpr))


def test_a_certain_and_wrong_prediction_has_scikit_learns_loss():
    metrics = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    p = np.asarray([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert log_loss(p, np.asarray([1, 1, 0])) == pytest.approx(metrics.log_loss([1, 1, 0], p))


def test_a_class_that_is_absent_leaves_figures_undefined():
    p = np.asarray([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]])
    found = classification_figures(p, np.asarray([0, 1]))
    assert found["roc_auc"] is None
    assert found["accuracy"] == found["balanced_accuracy"] == 1.0
    assert roc_auc(np.ones(3), np.ones(3, dtype=bool)) is None


def test_calibration():
    p = np.repeat([[0.85, 0.15]], 100, axis=0)
    true = (np.arange(100) >= 60).astype(int)  # 60 of 100 are right, 85 were said to be
    found = calibration(p, true)
    assert found["error"] == pytest.approx(0.25)
    assert (found["rows"], found["accuracy"]) == ([100], [pytest.approx(0.6)])
    assert calibration(np.eye(2)[[0, 1]], np.asarray([0, 1]))["error"] == 0.0


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e150, 1e300])
def test_regression_is_scikit_learns(scale):
    metrics = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    rng = np.random.default_rng(0)
    true = rng.normal(size=50)
    said = true + 0.1 * rng.normal(size=50)
    found = regression_figures(said * scale, true * scale)
    assert found["r2"] == pytest.approx(metrics.r2_score(true, said))
    assert found["mean_absolute_error"] / scale == pytest.approx(metrics.mean_absolute_error(true, said))
    assert found["root_mean_squared_error"] / scale == pytest.approx(metrics.root_mean_squared_error(true, said))
    assert regression_figures(np.ones(3), np.ones(3))["r2"] is None


def part_of(p, true, classes=("no", "yes")):
    return EvaluatedPart(
        target=TargetColumn(name="y", task="classification", classes=classes),
        outputs=np.asarray(p, dtype=np.float32),
        encoded=np.asarray(true),
    )


def test_the_verdict_on_a_classification():
    true = np.asarray([0] * 90 + [1] * 10)
    always = usual(part_of([], true).target, true)
    assert always == 0
    said = verdict(part_of([[0.9, 0.1]] * 100, true), always)
    assert said == (
        'No better than always saying "no", the majority class: balanced accuracy is 50.0 % with a standard error of '
        "0.0 %, chance is 50.0 %, and accuracy 90.0 % against 90.0 %."
    )
    assert verdict(part_of(np.eye(2)[true], true), always) is None
    # All of the rare class are found, at the price of 30 false alarms: useful, though less accurate.
    cautious = part_of(np.eye(2)[np.asarray([0] * 60 + [1] * 40)], true)
    assert (verdict(cautious, always) or "").endswith("It does tell the classes apart.")


def test_the_verdict_on_a_regression():
    unit = Standardisation(unit=(1.0,), mean=(10.0,), scale=(2.0,))
    encoded = np.linspace(-1.0, 1.0, 11)
    target = TargetColumn(name="y", task="regression", unit=unit)
    always = usual(target, encoded)
    assert always == pytest.approx(10.0)
    exact = EvaluatedPart(target=target, outputs=encoded[:, None], encoded=encoded)
    assert verdict(exact, always) is None
    useless = EvaluatedPart(target=target, outputs=-encoded[:, None], encoded=encoded)
    assert (verdict(useless, always) or "").startswith("No better than always saying the mean, 10: R² is -3.000")
