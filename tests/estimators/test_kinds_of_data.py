"""Data that are no numbers: refused by name at every door of the estimators, before a fit has begun."""

import numpy as np
import pytest
from scipy import sparse

from retroprop.estimators import MLPClassifier, MLPRegressor

pytestmark = [pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
              pytest.mark.filterwarnings("ignore:Sparse:UserWarning")]  # fmt: skip

X = np.asarray([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
Y = np.asarray([0, 1, 0, 1])
WEIGHT = np.ones(4)


def regressor():
    return MLPRegressor(hidden_layer_sizes=(2,), max_iter=2, random_state=0)


def classifier():
    return MLPClassifier((2,), max_iter=2, random_state=0)


def with_rows(make, rows):
    """Yield every method that takes X, as a function of none."""
    fitted = make().fit(X, Y)
    yield lambda: make().fit(rows, Y)
    yield lambda: make().fit(lambda: iter([(rows, Y)]), **({"classes": [0, 1]} if make is classifier else {}))
    yield lambda: make().fit(X, Y, X_val=rows, y_val=Y)
    yield lambda: fitted.predict(rows)
    yield lambda: fitted.score(rows, Y)
    yield lambda: fitted.partial_fit(rows, Y)
    yield lambda: fitted.input_gradient(rows, output=0)


def with_targets(make, y, weight=None):
    """Yield every method that takes y and weights, as a function of none."""
    fitted = make().fit(X, Y)
    yield lambda: make().fit(X, y, weight)
    yield lambda: make().fit(X, Y, X_val=X, y_val=y, sample_weight_val=weight)
    yield lambda: fitted.score(X, y, weight)
    yield lambda: fitted.partial_fit(X, y, weight)


MASKED = np.ma.masked_equal(X, 3.0)
OTHERS = {
    "datetime64": (X.astype("datetime64[D]"), r"must hold real numbers; this is datetime64\[D\]"),
    "timedelta64": (X.astype("timedelta64[s]"), r"must hold real numbers; this is timedelta64\[s\]"),
    "dates in a list": ([[np.datetime64("2020"), np.datetime64("2021")]] * 4, "must hold real numbers; this is date"),
    "masked": (MASKED, "is a masked array"),
    "masked in a list": (list(MASKED), "is a masked array"),
}


@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize("kind", OTHERS)
def test_inputs_that_are_no_numbers_are_refused_by_name(make, kind):
    rows, message = OTHERS[kind]
    for call in with_rows(make, rows):
        with pytest.raises(TypeError, match=f"X {message}"):
            call()


def of_a_column(rows):
    return [row[0] for row in rows] if isinstance(rows, list) else rows[:, 0]


@pytest.mark.parametrize("kind", ["datetime64", "timedelta64", "dates in a list", "masked"])
def test_targets_and_weights_that_are_no_numbers_are_refused_by_name(kind):
    rows, message = OTHERS[kind]
    for call in with_targets(regressor, of_a_column(rows)):
        with pytest.raises(TypeError, match=f"y {message}"):
            call()
    for make in (regressor, classifier):
        for call in with_targets(make, Y, of_a_column(rows)):
            with pytest.raises(TypeError, match=f"sample_weight {message}"):
                call()


def test_labels_may_be_dates_and_not_masked():
    days = Y.astype("datetime64[D]")
    np.testing.assert_array_equal(classifier().fit(X, days).classes_, [days[0], days[1]])
    for call in with_targets(classifier, np.ma.masked_array(Y, Y == 1)):
        with pytest.raises(TypeError, match="y is a masked array"):
            call()


def test_masked_arrays_without_masked_entries_are_data():
    expected = regressor().fit(X, Y, WEIGHT).predict(X)
    found = regressor().fit(*map(np.ma.masked_array, (X, Y, WEIGHT))).predict(np.ma.masked_array(X))
    np.testing.assert_array_equal(found, expected)


def test_columns_of_frames_that_are_no_numbers_are_refused_by_name():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    days = pandas.Series(pandas.date_range("2020", periods=4))
    for column in (days, days.dt.tz_localize("UTC"), days - days[0], days.dt.to_period("D")):
        with pytest.raises(TypeError, match="X must hold real numbers; its column 'b' is "):
            regressor().fit(pandas.DataFrame({"a": Y, "b": column}), Y)
        for call in with_targets(regressor, column):
            with pytest.raises(TypeError, match="y must hold real numbers; its column "):
                call()


@pytest.mark.parametrize("layout", ["sparse", "sparse_csr", "sparse_csc"])
def test_sparse_tensors_are_refused_by_name(layout):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rows = getattr(torch.tensor(X), f"to_{layout}")()
    for call in with_rows(regressor, rows):
        with pytest.raises(TypeError, match=rf"X is a sparse tensor, torch.{layout}.*: pass X.to_dense\(\)"):
            call()
    for call in with_targets(regressor, torch.tensor(Y).to_sparse()):
        with pytest.raises(TypeError, match="y is a sparse tensor"):
            call()
    for call in with_targets(regressor, Y, torch.tensor(WEIGHT).to_sparse()):
        with pytest.raises(TypeError, match="sample_weight is a sparse tensor"):
            call()


def test_sparse_targets_of_a_regressor_are_refused_by_name():
    for y in (sparse.csr_array(X), sparse.csr_matrix(X)):
        with pytest.raises(TypeError, match=r"y is a sparse matrix: pass y.toarray\(\)"):
            regressor().fit(X, y)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_values_among_objects_are_refused_before_and_after_the_fit(missing):
    rows = X.astype(object)
    rows[1, 0] = missing
    fitted = regressor().fit(X, Y)
    for given in (rows, rows.tolist()):
        for call in (lambda given=given: regressor().fit(given, Y), lambda given=given: fitted.predict(given)):
            with pytest.raises(ValueError, match="Input X contains NaN"):
                call()
        with pytest.raises(ValueError, match=r"Input (y )?contains NaN"):
            regressor().fit(X, given)
    np.testing.assert_array_equal(fitted.predict(X.astype(object)), fitted.predict(X))


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_targets_and_weights_of_16_bits_are_numbers(library):
    xp = pytest.importorskip(library, reason=f"{library} is not installed")
    expected = regressor().fit(X, Y, WEIGHT)
    for dtype in (xp.float16, xp.bfloat16):
        y, weight = (xp.asarray(part, dtype=dtype) for part in (Y, WEIGHT))
        found = regressor().fit(X, y, weight)
        np.testing.assert_array_equal(found.predict(X), expected.predict(X))
        assert found.score(X, y, weight) == expected.score(X, Y, WEIGHT)


def batches():
    return [(X[:2], Y[:2]), (X[2:], Y[2:])]


@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize("given", [batches(), tuple(batches()), [(X.tolist(), Y.tolist(), None)]])
def test_a_list_of_batches_is_refused_with_the_way_to_pass_it(make, given):
    with pytest.raises(TypeError, match="pass a function that returns the batches"):
        make().fit(given)


def test_a_data_loader_is_refused_with_the_way_to_pass_it():
    data = pytest.importorskip("torch.utils.data", reason="torch is not installed")
    loader = data.DataLoader(list(zip(X, Y.astype(float), strict=True)), batch_size=2)
    with pytest.raises(TypeError, match=r"X is a DataLoader of batches: pass a function .* fit\(lambda: iter\("):
        regressor().fit(loader)
    found, expected = regressor().fit(lambda: iter(loader)), regressor().fit(lambda: iter(batches()))
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))


@pytest.mark.parametrize("given", [{}, set(), "rows", X, X.tolist()])
def test_data_without_targets_are_no_batches(given):
    with pytest.raises(ValueError, match="requires y to be passed"):
        regressor().fit(given)
