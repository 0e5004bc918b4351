"""Preprocessing and targets: from typed columns to inputs, and from outputs back to labels."""

import json

import numpy as np
import pytest

from retroprop import tabular
from retroprop.functions import losses
from retroprop.tabular.column_inputs import CategoryInputs, DateInputs, NumberInputs
from retroprop.tabular.labels import exact, ordered
from retroprop.tabular.preprocessing import Preprocessing
from retroprop.tabular.raw_target import RawTarget
from retroprop.tabular.reading import read
from retroprop.tabular.schema import find_schema
from retroprop.tabular.splitting import set_aside
from retroprop.tabular.standardisation import Standardisation
from retroprop.tabular.targets import TargetColumn, choose_task


def typed_of(columns):
    """Return the typed columns of a dict of lists, and their schema; a target is added."""
    m = len(next(iter(columns.values())))
    raw = read({**columns, "y": np.arange(m)})
    schema = find_schema(raw, target="y")
    return schema.typed(raw, want_target=True), schema


def fitted(columns, rows=None):
    typed, schema = typed_of(columns)
    rows = np.arange(typed.n_rows) if rows is None else rows
    found = Preprocessing.of_schema(schema, typed, rows, "fill")
    assert Preprocessing.from_plain(json.loads(json.dumps(found.to_plain()))) == found
    return found, found(typed)


def test_inputs_have_mean_0_and_deviation_1_over_the_training_rows_alone():
    x = np.random.default_rng(0).normal(5.0, 3.0, (50, 3))
    _, inputs = fitted({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}, np.arange(40))
    np.testing.assert_allclose(inputs[:40].mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(inputs[:40].std(axis=0), 1.0, rtol=1e-12)
    assert abs(inputs.mean()) > 1e-3


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9, 1e300])
def test_a_column_that_is_constant_in_training_becomes_0(constant):
    found, inputs = fitted({"a": [constant] * 7 + [constant / 2.0 + 1.0], "b": np.arange(8.0)}, np.arange(7))
    assert (inputs[:, 0] == 0.0).all()
    assert len(found.input_names) == 2


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-160, 1.0, 1e160, 1e300, 1.7e308])
def test_numbers_of_any_magnitude_are_standardised(scale):
    x = np.asarray([0.1, 0.5, 0.7, 1.0])
    unit = Standardisation.fit((x * scale)[:, None])
    expected = (x - x.mean()) / x.std()
    found = unit((x * scale)[:, None])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-3 if scale < 1e-310 else 1e-12)
    np.testing.assert_allclose(unit.back(found)[:, 0], x * scale, rtol=1e-12)


def test_a_missing_number_is_the_median_with_an_indicator():
    found, inputs = fitted({"a": [1.0, np.nan, 3.0, 10.0, np.nan], "b": np.arange(5.0) % 3})
    assert found.input_names == ["a", "a is missing", "b"]
    assert found.columns[0] == NumberInputs(name="a", fill=3.0, indicator=True)
    raw = found.standardisation.back(inputs)
    np.testing.assert_allclose(raw[:, 0], [1.0, 3.0, 3.0, 10.0, 3.0])
    np.testing.assert_allclose(raw[:, 1], [0.0, 1.0, 0.0, 0.0, 1.0], atol=1e-12)


def test_the_median_of_an_even_number_of_rows_neither_overflows_nor_is_a_row():
    assert NumberInputs.fit("a", np.asarray([1.0, 2.0])).fill == 1.5
    assert NumberInputs.fit("a", np.asarray([1.6e308, 1.7e308])).fill == pytest.approx(1.65e308)


def test_categories_have_an_input_each_and_a_missing_one_its_own():
    found, inputs = fitted({"a": ["p", "q", None, "p", "r", "p"]})
    assert found.input_names == ["a = p", "a = q", "a = r", "a is missing"]
    raw = found.standardisation.back(inputs)
    np.testing.assert_allclose(raw, np.eye(4)[[0, 1, 3, 0, 2, 0]], atol=1e-12)


def test_an_unknown_category_is_the_missing_one_or_none():
    with_missing = CategoryInputs.fit("a", ("p", "q"), np.asarray([0, 1, -1]))
    np.testing.assert_array_equal(np.stack(with_missing.raw(np.asarray([-2, -1, 0])), 1), np.eye(3)[[2, 2, 0]])
    without = CategoryInputs.fit("a", ("p", "q"), np.asarray([0, 1, 1]))
    np.testing.assert_array_equal(np.stack(without.raw(np.asarray([-2, 1])), 1), [[0.0, 0.0], [0.0, 1.0]])


def test_rare_ones_of_many_categories_share_an_input():
    codes = np.concatenate([np.repeat(np.arange(100), 3), np.arange(100, 130)])
    column = CategoryInputs.fit("city", tuple(f"c{i:03d}" for i in range(130)), codes)
    assert (len(column.kept), column.other) == (100, True)
    inputs = np.stack(column.raw(np.asarray([5, 100, 129, -2])), 1)
    assert inputs[:, 5].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert inputs[:, 100].tolist() == [0.0, 1.0, 1.0, 0.0]


def test_a_rare_category_is_no_huge_input():
    codes = np.zeros(10_000, dtype=int)
    codes[7] = 1
    _, inputs = fitted({"a": np.asarray(["p", "q"], dtype=object)[codes]})
    assert inputs.max() < 10.0


def test_dates_become_parts():
    days = np.datetime64("2023-01-01") + np.arange(400)
    found, inputs = fitted({"d": days})
    assert len(found.input_names) == 5  # days, and sine and cosine of the year and of the week
    raw = found.standardisation.back(inputs)
    assert raw[0, 0] == pytest.approx(19358)
    np.testing.assert_allclose(raw[:7, 3:], raw[7:14, 3:], atol=1e-9)  # a week later it is the same weekday
    np.testing.assert_allclose(raw[0, 1:3], raw[365, 1:3], atol=1e-9)
    clock = DateInputs.fit("d", np.asarray(["2023-01-01T06:00", "NaT", "2023-01-02T18:00"], dtype="datetime64[s]"))
    assert clock.names[-3:] == ["d, sine of the day", "d, cosine of the day", "d is missing"]
    assert clock.raw(np.asarray(["2023-05-05T06:00"], dtype="datetime64[s]"))[5][0] == pytest.approx(1.0)


def test_booleans_are_one_input():
    found, inputs = fitted({"a": [True, False, True, True]})
    assert found.input_names == ["a"]
    np.testing.assert_allclose(found.standardisation.back(inputs)[:, 0], [1.0, 0.0, 1.0, 1.0], atol=1e-12)


def test_parts_are_stratified_seeded_and_disjoint():
    classes = np.repeat([0, 1, 2, 3], [50, 30, 19, 1])
    rows = np.arange(100)
    stay, aside = set_aside(rows, classes, 0.2, np.random.default_rng(0))
    assert sorted([*stay, *aside]) == list(rows)
    assert np.bincount(classes[aside], minlength=4).tolist() == [10, 6, 4, 0]
    again = set_aside(rows, classes, 0.2, np.random.default_rng(0))
    np.testing.assert_array_equal(again[1], aside)
    other = set_aside(rows, classes, 0.2, np.random.default_rng(1))
    assert not np.array_equal(other[1], aside)
    assert set_aside(rows, None, 0.25, np.random.default_rng(0))[1].size == 25
    assert set_aside(rows, classes, 0.0, np.random.default_rng(0))[1].size == 0


def target_of(labels):
    missing = np.asarray([label is None for label in labels])
    numeric = all(
        isinstance(label, (int, float)) and not isinstance(label, bool) for label in labels if label is not None
    )
    values = np.asarray([np.nan if label is None else label for label in labels], dtype=float) if numeric else None
    kind = "number" if numeric else "boolean" if isinstance(labels[0], bool) else "category"
    return RawTarget(name="y", kind=kind, values=values, labels=list(labels), missing=missing)


@pytest.mark.parametrize(
    ("labels", "task", "remark"),
    [
        (["u", "v"] * 10, "classification", None),
        ([True, False] * 10, "classification", None),
        ([0, 1] * 10, "classification", None),
        ([0.5, 1.0] * 10, "regression", None),
        (list(range(20)), "regression", None),
        ([i % 30 for i in range(100)], "regression", "task=classification"),
        ([i % 20 for i in range(100)], "classification", "task=regression"),
        ([3, 4, 5, None] * 10, "classification", "task=regression"),
        ([f"t{i % 120}" for i in range(600)], "classification", "120 of them"),
    ],
)
def test_task(labels, task, remark):
    found, said = choose_task(target_of(labels), None, "data")
    assert found == task
    assert said is None if remark is None else remark in said


@pytest.mark.parametrize(
    ("labels", "task", "words"),
    [
        ([1, 1, 1], None, "in every row"),
        ([None, None, 1.5], None, "in every row"),
        (["a", "b"] * 5, "regression", "a regression needs numbers"),
        (list(range(30)), "classification", "too many to be classes"),
        ([f"t{i}" for i in range(30)], None, "choose another target|Choose another target"),
    ],
)
def test_targets_that_cannot_be_learned(labels, task, words):
    with pytest.raises(tabular.DataError, match=words):
        choose_task(target_of(labels), task, "data")


@pytest.mark.parametrize(
    ("labels", "classes", "dtype"),
    [
        ([2, 0, 2], (0, 2), "int64"),
        (["b", "a", "b"], ("a", "b"), "<U1"),
        ([0.5, 1.0, 0.5], (0.5, 1.0), "float64"),
        ([True, False], (False, True), "bool"),
        ([2**63, 2**63 - 1], (2**63 - 1, 2**63), "uint64"),
        ([2**70, 2**70 + 1], (2**70, 2**70 + 1), "object"),
        ([-(2**63), 2**63 - 1], (-(2**63), 2**63 - 1), "int64"),
        (["a\0", "a"], ("a", "a\0"), "object"),
    ],
)
def test_classes_are_exact_and_in_order(labels, classes, dtype):
    target = TargetColumn.of_classes(target_of(labels))
    again = TargetColumn.from_plain(json.loads(json.dumps(target.to_plain())))
    assert again == target
    assert again.classes == classes
    assert [type(a) for a in again.classes] == [type(b) for b in classes]
    encoded = again.encode(target_of(labels))
    outputs = np.eye(len(classes), dtype=np.float32)[encoded]
    decoded = again.decode(outputs)
    assert decoded.dtype == dtype
    assert decoded.tolist() == labels


def test_texts_of_numbers_are_in_the_order_of_the_numbers():
    target = RawTarget(
        name="y",
        kind="number",
        values=np.asarray([10.5, 9.5]),
        labels=["10.50", "9.50"],
        missing=np.zeros(2, dtype=bool),
    )
    assert TargetColumn.of_classes(target).classes == ("9.50", "10.50")


def test_labels_of_several_types_have_an_order():
    assert ordered(["b", 1, "a", 1]) == (1, "a", "b")
    assert exact([1, "a"]).tolist() == [1, "a"]
    assert exact([]).tolist() == []


def test_numbers_come_back_in_their_unit():
    y = target_of([1.7e9 + 3.0, 1.7e9 + 1.0, 1.7e9 + 2.0])
    loss, where = losses.get("squared_error"), lambda row, column: f"row {row}"
    target = TargetColumn.of_numbers(y, np.arange(3), loss, where)
    np.testing.assert_allclose(target.numbers(target.encode(y)[:, None]), y.values, rtol=1e-16)
    with pytest.raises(tabular.DataError, match="row 1: -1 is below 0: loss poisson"):
        TargetColumn.of_numbers(target_of([1.0, -1.0]), np.arange(2), losses.get("poisson"), where)
    counts = TargetColumn.of_numbers(target_of([10.0, 30.0]), np.arange(2), losses.get("poisson"), where)
    assert counts.encode(target_of([10.0, 30.0])).tolist() == [0.5, 1.5]
