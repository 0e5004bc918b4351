"""ONNX files of estimators and of models of tables: labels and probabilities from raw rows."""

import warnings

import numpy as np
import pytest
from runtime import outputs, relative

import retroprop as rp
from retroprop import tabular
from retroprop.interop.onnx_export import onnx_bytes

pytestmark = [pytest.mark.needs("onnx"), pytest.mark.needs("onnxruntime")]


def fitted(kind, y, dtype="float64", **options):
    import retroprop.estimators

    x = np.random.default_rng(0).normal(size=(len(y), 4)).astype(dtype)
    estimator = getattr(retroprop.estimators, kind)(hidden_layer_sizes=(6,), max_iter=3, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three epochs do not converge
        return estimator.fit(x, y), x


RNG = np.random.default_rng(1)
LABELS = {
    "texts": np.array(["a", "b", "c"])[RNG.integers(0, 3, 60)],
    "two numbers": RNG.integers(0, 2, 60) * 5,
    "truths": RNG.random(60) > 0.5,
    "objects": np.array(["no", "yes"], object)[RNG.integers(0, 2, 60)],
    "one class": np.full(60, 7),
    "floats": np.array([0.5, 1.5, 2.5])[RNG.integers(0, 3, 60)] * 2,
}


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize("name", LABELS)
def test_classifiers(name):
    classifier, x = fitted("MLPClassifier", LABELS[name])
    found = outputs(onnx_bytes(classifier), X=x)
    assert found["label"].tolist() == classifier.predict(x).tolist()
    assert relative(found["probabilities"], classifier.predict_proba(x)) < 1e-13


@pytest.mark.needs("sklearn")
def test_several_columns_and_indicators():
    columns = np.stack([RNG.integers(0, 3, 60), RNG.integers(0, 2, 60)], axis=1)
    classifier, x = fitted("MLPClassifier", columns)
    found = outputs(onnx_bytes(classifier), X=x)
    for k, probabilities in enumerate(classifier.predict_proba(x)):
        np.testing.assert_array_equal(found[f"label_{k}"], classifier.predict(x)[:, k])
        assert relative(found[f"probabilities_{k}"], probabilities) < 1e-13
    indicator, x = fitted("MLPClassifier", (RNG.random((60, 3)) > 0.5).astype(int))
    found = outputs(onnx_bytes(indicator), X=x)
    np.testing.assert_array_equal(found["label"], indicator.predict(x))


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressors(n_outputs):
    y = RNG.normal(size=(60, n_outputs))
    regressor, x = fitted("MLPRegressor", y[:, 0] if n_outputs == 1 else y, "float32", activation="gelu")
    assert relative(outputs(onnx_bytes(regressor), X=x)["prediction"], regressor.predict(x)) < 1e-5


ENSEMBLES = {
    "texts": ("Classifier", LABELS["texts"], {}),
    "two numbers, bootstrap": ("Classifier", LABELS["two numbers"], {"bootstrap": True}),
    "one class": ("Classifier", LABELS["one class"], {}),
    "columns": ("Classifier", np.stack([RNG.integers(0, 3, 60), RNG.integers(0, 2, 60)], axis=1), {}),
    "indicators": ("Classifier", (RNG.random((60, 3)) > 0.5).astype(int), {"folds": True}),
    "numbers": ("Regressor", RNG.normal(size=60), {}),
    "columns of numbers": ("Regressor", RNG.normal(size=(60, 2)), {"bootstrap": True}),
}


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles(name, dtype):
    from retroprop import estimators

    kind, y, options = ENSEMBLES[name]
    one = getattr(estimators, f"MLP{kind}")(hidden_layer_sizes=(6,), max_iter=3)
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three epochs do not converge
        model = getattr(estimators, f"MLPEnsemble{kind}")(one, 4, random_state=0, **options).fit(x, y)
    found = outputs(onnx_bytes(model), X=x)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    if kind == "Regressor":
        assert relative(found["prediction"], model.predict(x)) < tolerance
        return
    probabilities = model.predict_proba(x)
    if not isinstance(probabilities, list):
        assert found["label"].tolist() == model.predict(x).tolist()
        assert relative(found["probabilities"], probabilities) < tolerance
        return
    for k, own in enumerate(probabilities):
        assert found[f"label_{k}"].tolist() == model.predict(x)[:, k].tolist()
        assert relative(found[f"probabilities_{k}"], own) < tolerance


def table(m=160, seed=0):
    rng = np.random.default_rng(seed)
    age, income = rng.integers(18, 80, m).astype(float), rng.lognormal(8.0, 1.0, m)
    city = np.array(["Rome", "Oslo", "Lima"], object)[rng.integers(0, 3, m)]
    member = rng.random(m) > 0.4
    day = np.datetime64("1899-12-01") + rng.integers(0, 60000, m).astype("timedelta64[D]")
    day = day.astype("datetime64[s]") + rng.integers(0, 86400, m).astype("timedelta64[s]")
    yes = np.where((age > 45.0) ^ (city == "Oslo"), "yes", "no").astype(object)
    age[rng.random(m) < 0.1] = np.nan
    city[rng.random(m) < 0.1] = None
    day[rng.random(m) < 0.1] = "NaT"
    return {
        "age": age,
        "income": income,
        "city": city,
        "member": member,
        "day": day,
        "label": yes,
        "cost": 3.0 * income,
    }


def feeds_of(model, columns):
    """Return the raw columns in the form that the ONNX file takes them."""
    feeds = {}
    for name in [column.name for column in model.card.preprocessing.columns]:
        values = columns[name]
        if values.dtype.kind == "M":
            values = np.where(np.isnat(values), np.nan, values.astype("datetime64[s]").astype(np.float64))
        elif values.dtype.kind in "Ob":
            values = np.array(["" if value is None else str(value) for value in values], object)
        feeds[name] = values[:, None]
    return feeds


@pytest.mark.needs("pandas")
@pytest.mark.parametrize(("target", "ensemble"), [("label", None), ("cost", None), ("label", 3), ("cost", 3)])
def test_tables_on_raw_rows(target, ensemble, tmp_path):
    import pandas

    columns = table()
    drop = "cost" if target == "label" else "label"
    del columns[drop]
    model = tabular.fit(pandas.DataFrame(columns), target=target, epochs=3, seed=0, ensemble=ensemble, backend="numpy")
    new = table(seed=1)
    new["city"][:5] = "Paris"  # unknown to training
    new["income"][:3] = np.nan  # missing where training had none
    new["age"][7] = 1e9  # clipped
    new["label_"] = np.full(160, "x", object)  # an input that training did not have is not read
    rp.interop.save_onnx(model, tmp_path / "m.onnx")
    feeds = feeds_of(model, new)
    if target == "cost":
        assert {"age", "income", "city", "member", "day"} == feeds.keys()
    found = outputs(tmp_path / "m.onnx", **feeds)
    frame = pandas.DataFrame({name: new[name] for name in feeds})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was filled and unknown
        if target == "label":
            assert found["label"].tolist() == model.predict(frame).tolist()
            assert relative(found["probabilities"], model.predict_proba(frame)) < 1e-5
        else:
            assert relative(found["prediction"], model.predict(frame)) < 1e-5


def test_dates_of_every_year():
    """The parts of a date as a formula over any namespace are those of the preprocessing."""
    from retroprop.interop.raw_columns import _date
    from retroprop.tabular.column_inputs import DateInputs

    seconds = np.random.default_rng(0).integers(-(2**35), 2**36, 3000)  # 880 to 4147
    days = seconds.astype("datetime64[s]").astype("datetime64[D]")
    moments = np.concatenate([seconds.astype("datetime64[s]"), days.astype("datetime64[Y]").astype("datetime64[s]")])
    column = DateInputs(name="day", fill=0, indicator=True, clock=True)
    given = moments.astype(np.int64).astype(np.float64)[:, None]
    ours = np.concatenate(_date(column, given, np, 0.0), axis=1)
    np.testing.assert_allclose(ours, np.stack(column.raw(moments), axis=1), rtol=0, atol=1e-9)


def test_many_categories_share_an_input():
    from retroprop.interop.raw_columns import _category
    from retroprop.tabular.column_inputs import CategoryInputs

    column = CategoryInputs(name="c", texts=tuple("abcde"), kept=(1, 3), other=True, missing=True)
    codes = np.array([0, 1, 2, 3, 4, -1, -2])
    known = np.stack(column.raw(codes), axis=1)
    np.testing.assert_array_equal(np.concatenate(_category(column, codes[:, None], np), axis=1), known)


def test_a_column_may_have_the_name_of_an_output():
    columns = {"label": RNG.normal(size=60), "/Add_1": RNG.normal(size=60), "y": RNG.integers(0, 2, 60)}
    model = tabular.fit(columns, target="y", epochs=2, seed=0, backend="numpy")
    feeds = {name: columns[name][:, None] for name in ("label", "/Add_1")}
    assert outputs(onnx_bytes(model), **feeds)["label_"].tolist() == model.predict(columns).tolist()
