"""The model of a table: fit, predict, report, save and load, on every backend, and files of version 1."""

import csv
import json
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import retroprop as rp
from retroprop import tabular
from retroprop.persistence import TABULAR_KEY, read_metadata
from retroprop.tabular import card
from retroprop.tabular.spreadsheets import formulas, guarded

VERSION_1, VERSION_2 = (Path(__file__).parent / f"version_{n}" for n in (1, 2))
FAST = {"epochs": 60, "hidden": (8,), "backend": "numpy"}


def columns(m=90, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=m)
    colour = rng.choice(["red", "blue"], m)
    return {
        "x": x,
        "colour": colour.astype(object),
        "y": np.where(x + (colour == "red") > 0.5, "up", "down").astype(object),
    }


def test_fit_predict_report_save_load(tmp_path):
    model = tabular.fit(columns(), target="y", **FAST)
    assert model.task == "classification"
    assert model.classes.tolist() == ["down", "up"]
    new = {"colour": ["red", "blue"], "x": [2.0, -2.0]}
    assert model.predict(new).tolist() == ["up", "down"]
    p = model.predict_proba(new)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-15)
    assert model.classes[p.argmax(axis=1)].tolist() == ["up", "down"]
    assert model.report is not None
    assert model.report.scores["held_out"]["accuracy"] > 0.7
    assert model.network.layer_sizes == (3, 8, 2)
    assert model.input_names == ["x", "colour = blue", "colour = red"]
    model.save(tmp_path / "m.safetensors")
    again = tabular.load(tmp_path / "m.safetensors", backend="numpy")
    assert again.predict(new).tolist() == ["up", "down"]
    np.testing.assert_array_equal(again.predict_proba(new), p)
    assert again.report == model.report
    assert again.card == model.card


def test_the_report_is_text_and_numbers():
    model = tabular.fit(columns(), target="y", class_weight="balanced", **FAST)
    text = model.report.text
    assert text == str(model.report)
    for words in ("90 rows, 2 features", "Balanced", "Recall", 'always "', "held-out", "classes weighted (balanced)"):
        assert words in text, text
    numbers = json.loads(json.dumps(model.report.numbers))
    assert numbers["per_class"][0].keys() == {"class", "rows", "precision", "recall"}
    assert numbers["calibration"]["error"] == numbers["scores"]["held_out"]["calibration_error"]


def test_the_score_of_new_data_and_notes():
    model = tabular.fit(columns(), target="y", **FAST)
    new = {**columns(seed=1), "note": np.arange(90)}
    new["y"][:2] = None, "sideways"
    new["colour"][3] = "green"
    found = model.evaluate(new)
    assert found.scores["accuracy"] > 0.8
    assert found.true[:2] == [None, "sideways"]
    assert [any(words in note for note in found.notes) for words in ("note", "green", "no class")] == [True] * 3
    with pytest.warns(UserWarning, match="green"):
        model.predict(new)
    with pytest.raises(tabular.DataError, match='"green" did not occur in training'):
        model.evaluate(new, unknown="refuse")
    with pytest.raises(ValueError, match="unknown must be fill or refuse"):
        model.evaluate(new, unknown="drop")


def test_a_missing_value_where_training_had_none():
    model = tabular.fit(columns(), target="y", **FAST)
    with pytest.warns(UserWarning, match=r'"x": 1 missing value, where training had none'):
        assert len(model.predict({"x": [np.nan, 1.0], "colour": ["red", "blue"]})) == 2
    strict = tabular.fit(columns(), target="y", missing="refuse", **FAST)
    with pytest.raises(tabular.DataError, match="the value is missing"):
        strict.predict({"x": [np.nan, 1.0], "colour": ["red", "blue"]})


def test_values_far_from_those_of_training_are_clipped_and_said():
    model = tabular.fit({"x": np.arange(60.0), "y": np.arange(60.0)}, target="y", **FAST)
    found = model.evaluate({"x": [1e30, 1e300, -1e300, 3.0]})
    assert np.isfinite(found.values).all()
    assert found.values[0] == found.values[1]
    assert found.notes == (
        'column "x": row 0 is more than 10000 standard deviations from the training data, and is clipped there',
    )
    counts = tabular.fit({"x": np.arange(60.0), "y": np.arange(60)}, target="y", loss="poisson", **FAST)
    with pytest.raises(tabular.DataError, match="row 1: the prediction is not finite"):
        counts.predict({"x": [1.0, 1e9]})


CELLS = st.tuples(
    st.sampled_from(["", "?", "0.5", "-1e3", "1e300", "7"]), st.sampled_from(["", "red", "blue", "NA", "1", "green"])
)


def test_every_row_is_predicted_in_its_place(tmp_path):
    pytest.importorskip("polars", reason="tables need polars")
    model, path = tabular.fit(columns(), target="y", **FAST), tmp_path / "t.csv"

    def predicted_rows(rows):
        path.write_text("note,colour,x\n" + "".join(f"n,{colour},{x}\n" for x, colour in rows))
        return model.evaluate(path).probabilities

    alone = {}

    @hypothesis.settings(max_examples=15, deadline=None)
    @hypothesis.given(st.lists(CELLS, min_size=1, max_size=30))
    def check(rows):
        for row in rows:
            if row not in alone:
                alone[row] = predicted_rows([row])[0]
        np.testing.assert_allclose(predicted_rows(rows), [alone[row] for row in rows], atol=1e-5)

    check()


def test_a_table_without_rows():
    model = tabular.fit(columns(), target="y", **FAST)
    with pytest.raises(tabular.DataError, match="no rows"):
        model.predict({"x": np.zeros(0), "colour": np.zeros(0, dtype=object)})


def test_a_target_of_dates_is_said():
    days = (np.datetime64("2020-01-01") + np.arange(60)).astype("datetime64[s]")
    model = tabular.fit({"x": np.arange(60.0), "y": days}, target="y", **FAST)
    assert any("seconds since 1970" in line for line in model.report.lines())


def test_a_model_is_pickled_and_copied():
    import copy
    import pickle

    model = tabular.fit(columns(), target="y", **FAST)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.predict_proba(columns(seed=2)), model.predict_proba(columns(seed=2)))


def test_class_weights_change_the_recall():
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 10 == 0).astype(int)
    data = {"x": rng.normal(size=400) + 1.2 * y, "y": y}
    recall = {}
    for weight in (None, "balanced", {0: 1.0, 1: 9.0}):
        model = tabular.fit(data, target="y", class_weight=weight, test_size=0.0, **FAST)
        recall[str(weight)] = model.report.numbers["per_class"][1]["recall"]
    assert recall["None"] < 0.6 < min(recall["balanced"], recall["{0: 1.0, 1: 9.0}"])
    for wrong in ({2: 1.0}, {0: -1.0}, {0: np.nan}):
        with pytest.raises(ValueError, match="class_weight"):
            tabular.fit(data, target="y", class_weight=wrong, **FAST)


def test_a_regression_has_no_probabilities():
    data = {"x": np.arange(60.0), "y": np.arange(60.0) * 3.5}
    model = tabular.fit(data, target="y", **FAST)
    assert (model.task, model.predict(data).dtype) == ("regression", np.float64)
    with pytest.raises(TypeError, match="no probabilities"):
        model.predict_proba(data)


LABELS = {
    **{kind: np.asarray([np.iinfo(kind).min, np.iinfo(kind).max], dtype=kind) for kind in ("int8", "int16", "int32")},
    **{kind: np.asarray([np.iinfo(kind).max, 1], dtype=kind) for kind in ("uint8", "uint16", "uint32")},
    "int64": np.asarray([2**53, 2**53 + 1], dtype="int64"),
    "uint64": np.asarray([2**64 - 1, 2**64 - 2], dtype="uint64"),
    "bool": np.asarray([True, False]),
    "text": np.asarray(["01", "1"], dtype=object),
    "huge": np.asarray([2**80, 2**80 + 1], dtype=object),
    "float": np.asarray([0.1, 0.30000000000000004]),
}


@pytest.mark.parametrize("backend", ["numpy", "torch:cpu", "jax:cpu", "array_api_strict"])
def test_labels_are_exact_on_every_backend(backend, tmp_path):
    try:
        rp.get_backend(backend)
    except ImportError as error:
        pytest.skip(str(error))
    which = np.arange(40) % 2
    # A library compiles each training anew: the others than NumPy have the kinds that differ.
    kinds = LABELS if backend == "numpy" else {name: LABELS[name] for name in ("uint64", "text")}
    for name, labels in kinds.items():
        data = {"x": which * 10.0 + np.arange(40) / 40.0, "y": labels[which]}
        model = tabular.fit(
            data, target="y", task="classification", epochs=3, hidden=(), learning_rate=1.0, backend=backend
        )
        model.save(tmp_path / "m.safetensors")
        again, x = tabular.load(tmp_path / "m.safetensors", backend=backend), data["x"]
        # The features may live on the backend: they are read on the host.
        found = again.predict({"x": again.network.backend.asarray(x, dtype="float32")})
        assert found.tolist() == labels[which].tolist(), name
        assert [type(label) for label in found.tolist()] == [type(label) for label in labels[which].tolist()], name


def recorded(folder, name):
    with (folder / f"{name}.predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def predicted(name):
    return [row["prediction"] for row in recorded(VERSION_1, name)]


def test_every_version_has_files():
    assert {path.name for path in VERSION_1.parent.glob("version_*")} == {
        f"version_{n}" for n in range(1, card._VERSION + 1)
    }
    of_version_2 = {path.stem for path in VERSION_2.glob("*.safetensors")}
    assert of_version_2 == set(OF_VERSION_2)


OF_VERSION_2 = {
    "kinds": "classification",
    "members": "classification",
    "wilds": "classification",
    "prices": "regression",
}


@pytest.mark.parametrize(("name", "task"), OF_VERSION_2.items())
def test_files_of_version_2_predict_as_they_did(name, task, tmp_path):
    """Missing cells, dates, categories and booleans; early stopping, members, balanced classes, a loss of its own."""
    pytest.importorskip("polars", reason="tables need polars")
    model = tabular.load(VERSION_2 / f"{name}.safetensors", backend="numpy")
    assert json.loads(read_metadata(VERSION_2 / f"{name}.safetensors")[TABULAR_KEY])["version"] == 2
    assert model.task == task
    assert model.report.numbers["epochs"] > 0
    found, rows = model.evaluate(VERSION_2 / "plants.csv"), recorded(VERSION_2, name)
    assert found.notes == ()
    if task == "regression":
        np.testing.assert_allclose(found.values, [float(row["prediction"]) for row in rows], rtol=1e-9)
    else:
        assert [str(label) for label in found.values.tolist()] == [row["prediction"] for row in rows]
        given = [[float(row[str(label)]) for label in model.classes.tolist()] for row in rows]
        np.testing.assert_allclose(found.probabilities, given, atol=2e-6)
    model.save(tmp_path / "again.safetensors")
    again = tabular.load(tmp_path / "again.safetensors", backend="numpy")
    assert again.card.to_metadata() == model.card.to_metadata()


@pytest.mark.parametrize(("name", "data"), [("flowers", "flowers.csv"), ("totals", "totals.csv"), ("pair", "pair.npz")])
def test_files_of_version_1_predict_as_they_did(name, data):
    if data.endswith(".csv"):
        pytest.importorskip("polars", reason="tables need polars")
    model = tabular.load(VERSION_1 / f"{name}.safetensors", backend="numpy")
    assert json.loads(read_metadata(VERSION_1 / f"{name}.safetensors")[TABULAR_KEY])["version"] == 1
    found = model.evaluate(VERSION_1 / data)
    if name == "totals":
        np.testing.assert_allclose(found.values, np.asarray(predicted(name), dtype=float), rtol=1e-6)
    else:
        assert [str(label) for label in found.values.tolist()] == predicted(name)
    assert found.scores is not None
    assert found.notes == ()
    assert model.report is None
    missing = {column.name: [None] for column in model.card.schema.features}
    if name == "flowers":
        with pytest.raises(tabular.DataError, match="missing"):
            model.predict(missing)


def test_guarded_cells_come_back():
    texts = ["=1", "+a", "-", "@", "\tx", "'", "'=1", "''=1", "a", "", "-1", "+1.5e3", "-1-1", "'a", "=", "1=2"]
    assert [tabular.unguarded(guarded(text)) for text in texts] == texts
    assert not any(guarded(text)[:1] in ("=", "@", "\t") for text in texts)
    assert formulas(texts) == [text for text in texts if guarded(text) != text]
    assert guarded("-1") == "-1"


def test_a_model_is_one_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(40)))
    line = repr(tabular.fit(path, target="y", epochs=1))
    assert line.startswith('<TabularModel classification of "y" from ')
    assert "Network 1-" in line
    assert "\n" not in line
