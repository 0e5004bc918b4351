"""Metrics against scikit-learn's."""

import numpy as np
import pytest

from retroprop.functions import losses, metrics

SQUARED, BINARY, CROSS = losses.SquaredError(), losses.BinaryCrossEntropy(), losses.CrossEntropy()
M = 40


def measure(backend, dtype, metric, a, y, weight=None, *, integer=False):
    """Return the metric as a float, after a look at where it lives."""
    a = backend.asarray(a, dtype)
    y = backend.asarray(y, "int32" if integer else dtype)
    weight = None if weight is None else backend.asarray(weight, dtype)
    with backend.active():
        found = metric(a, y, weight, backend.xp)
    assert backend.owns(found)
    assert found.shape == ()
    assert backend.dtype_name(found) == dtype
    return float(backend.to_numpy(found))


def close(dtype):
    """A mean of M numbers: M units in the last place."""
    return {"rel": 2 * M * float(np.finfo(dtype).eps), "abs": 2 * M * float(np.finfo(dtype).eps)}


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def weight(request):
    return np.random.default_rng(9).integers(0, 5, M).astype("float64") if request.param else None


def witness():
    return pytest.importorskip("sklearn.metrics", reason="scikit-learn is the witness")


def test_the_table_has_every_metric():
    assert set(metrics.METRICS) == {"accuracy", "error", "r2", "mean_absolute_error", "root_mean_squared_error"}
    up = {name for name, metric in metrics.METRICS.items() if metric.greater_is_better}
    assert up == {"accuracy", "r2"}


def test_accuracy_of_classes_from_rows_and_from_indices(backend, dtype, weight):
    rng = np.random.default_rng(0)
    a, labels = rng.dirichlet(np.ones(4), M).astype("float32"), rng.integers(0, 4, M)
    expected = witness().accuracy_score(labels, a.argmax(axis=1), sample_weight=weight)
    assert 0.0 < expected < 1.0
    for y, integer in ((labels, True), (np.eye(4)[labels], False)):
        accuracy, error = metrics.get("accuracy", CROSS), metrics.get("error", CROSS)
        found = measure(backend, dtype, accuracy, a, y, weight, integer=integer)
        assert found == pytest.approx(expected, **close(dtype))
        found = measure(backend, dtype, error, a, y, weight, integer=integer)
        assert found == pytest.approx(1.0 - expected, **close(dtype))


def test_accuracy_of_soft_targets_is_that_of_their_largest(backend, dtype):
    a, y = [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], [[0.3, 0.4, 0.3], [0.1, 0.8, 0.1]]
    assert measure(backend, dtype, metrics.get("accuracy", CROSS), a, y) == 0.5


def test_accuracy_of_one_output_is_by_the_half(backend, dtype, weight):
    rng = np.random.default_rng(1)
    a, y = rng.uniform(0, 1, (M, 1)).astype("float32"), rng.integers(0, 2, (M, 1)).astype("float64")
    expected = witness().accuracy_score(y[:, 0], a[:, 0] >= 0.5, sample_weight=weight)
    for loss in (BINARY, SQUARED):
        found = measure(backend, dtype, metrics.get("accuracy", loss), a, y, weight)
        assert found == pytest.approx(expected, **close(dtype))


@pytest.mark.parametrize(("y", "right"), [([1, -1, -1, 1], 0.75), ([1, 0, 0, 1], 0.5), ([-1] * 4, 0.25)])
def test_the_boundary_of_one_output_is_that_of_its_targets(backend, dtype, y, right):
    # By hand: 0.3 is above 0 and below ½.
    a, y = [[0.3], [-0.1], [0.2], [0.1]], [[one] for one in y]
    assert measure(backend, dtype, metrics.get("accuracy", SQUARED), a, y) == right
    assert measure(backend, dtype, metrics.get("error", SQUARED), a, y) == 1.0 - right
    # Validation data of one class: the boundary is that of the training data.
    for boundary in (0.0, 0.5):
        of_ones = measure(backend, dtype, metrics.Accuracy(boundary=boundary), a, [[1.0]] * 4)
        assert of_ones == (0.75 if boundary == 0.0 else 0.0)


def test_accuracy_of_several_labels_wants_all_of_them_right(backend, dtype, weight):
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, (M, 3)).astype("float64")
    a = np.abs(y - rng.uniform(0, 0.7, (M, 3))).astype("float32")
    expected = witness().accuracy_score(y, a >= 0.5, sample_weight=weight)  # the subset accuracy
    assert 0.1 < expected < 0.9
    found = measure(backend, dtype, metrics.get("accuracy", BINARY), a, y, weight)
    assert found == pytest.approx(expected, **close(dtype))
    assert measure(backend, dtype, metrics.get("error", BINARY), a, y, weight) == pytest.approx(
        1.0 - expected, **close(dtype)
    )
    # the same numbers as classes, by their largest, are another thing
    assert not metrics.get("accuracy", CROSS).threshold


def test_exactly_a_half_is_a_yes(backend, dtype):
    accuracy = metrics.get("accuracy", BINARY)
    assert measure(backend, dtype, accuracy, [[0.5], [0.5]], [[1.0], [0.0]]) == 0.5


def test_regression_metrics(backend, dtype, weight):
    sklearn_metrics, rng = witness(), np.random.default_rng(3)
    y = rng.integers(-40, 41, (M, 2)) / 8.0
    a = y + rng.integers(-8, 9, (M, 2)) / 8.0
    by_name = {
        "r2": sklearn_metrics.r2_score(y, a, sample_weight=weight),
        "mean_absolute_error": sklearn_metrics.mean_absolute_error(y, a, sample_weight=weight),
        "root_mean_squared_error": sklearn_metrics.mean_squared_error(y, a, sample_weight=weight) ** 0.5,
    }
    for name, expected in by_name.items():
        found = measure(backend, dtype, metrics.get(name, SQUARED), a, y, weight)
        assert found == pytest.approx(expected, **close(dtype)), name


def test_r2_by_hand(backend, dtype):
    r2 = metrics.get("r2", SQUARED)
    y = [[1.0], [2.0], [3.0]]
    assert measure(backend, dtype, r2, y, y) == 1.0
    assert measure(backend, dtype, r2, [[2.0]] * 3, y) == pytest.approx(0.0, abs=1e-6)
    assert measure(backend, dtype, r2, [[3.0], [2.0], [1.0]], y) == pytest.approx(-3.0, rel=1e-6)


def test_r2_of_a_constant_target_is_as_in_scikit_learn(backend, dtype):
    sklearn_metrics = witness()
    y = np.asarray([[2.0, 1.0], [2.0, 3.0], [2.0, 5.0]])
    met, missed = y + np.asarray([0.0, 0.5]), y + np.asarray([0.25, 0.5])
    for a in (met, missed):
        found = measure(backend, dtype, metrics.get("r2", SQUARED), a, y)
        assert found == pytest.approx(sklearn_metrics.r2_score(y, a), **close(dtype))


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_weights_that_sum_to_0_give_a_number(name, backend, dtype):
    y = [[1.0], [0.0], [1.0]]
    found = measure(backend, dtype, metrics.get(name, BINARY), [[0.7], [0.2], [0.1]], y, [0.0, 0.0, 0.0])
    assert np.isfinite(found)


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_a_row_of_weight_0_does_not_count_and_one_of_weight_2_counts_twice(name, backend, dtype):
    metric = metrics.get(name, BINARY)
    a, y = [[0.7], [0.2], [0.1]], [[1.0], [0.0], [1.0]]
    weighted = measure(backend, dtype, metric, a, y, [2.0, 1.0, 0.0])
    written_out = measure(backend, dtype, metric, [a[0], a[0], a[1]], [y[0], y[0], y[1]])
    assert weighted == pytest.approx(written_out, **close(dtype))


def test_a_metric_of_ones_own():
    class Largest:
        name = "largest"
        greater_is_better = True

        def __call__(self, a, y, weight, xp):
            return xp.max(a)

    assert metrics.get(Largest(), SQUARED).name == "largest"


@pytest.mark.parametrize("bad", [3, None, lambda a, y, weight, xp: 0.0])
def test_what_is_no_metric_is_refused(bad):
    with pytest.raises(TypeError, match="metric"):
        metrics.get(bad, SQUARED)


def test_a_metric_that_does_not_say_which_way_is_up_is_refused():
    class Undecided:
        name = "undecided"

        def __call__(self, a, y, weight, xp):
            return xp.max(a)

    # early stopping on it would otherwise fail with an AttributeError in the middle of fit's own checks
    with pytest.raises(TypeError, match="greater_is_better"):
        metrics.get(Undecided(), SQUARED)
