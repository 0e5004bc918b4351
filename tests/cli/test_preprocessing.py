"""Preprocessing, splits and targets: from a table to inputs and targets, and back."""

import json

import numpy as np
import pytest

from retroprop.cli.errors import CommandError
from retroprop.cli.preprocessing import Preprocessing
from retroprop.cli.splitting import set_aside
from retroprop.cli.table import DataTable
from retroprop.cli.targets import TargetColumn, choose_task


def table_of(x, y=None, names=None, **rest):
    x = np.asarray(x, dtype=np.float64)
    names = names or tuple("abcdefgh"[: x.shape[1]])
    return DataTable(
        source="data", x=x, feature_names=names, named=True, y=None if y is None else np.asarray(y), **rest
    )


def test_inputs_have_mean_0_and_deviation_1_over_the_training_rows_alone():
    x = np.random.default_rng(0).normal(5.0, 3.0, (50, 3))
    training = np.arange(40)
    inputs = Preprocessing.fit(table_of(x), training)(table_of(x))
    np.testing.assert_allclose(inputs[training].mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(inputs[training].std(axis=0), 1.0, rtol=1e-12)
    assert abs(inputs.mean()) > 1e-3


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9, 1e300])
def test_a_constant_column_becomes_0(constant):
    x = np.column_stack([np.full(7, constant), np.arange(7.0)])
    inputs = Preprocessing.fit(table_of(x), np.arange(7))(table_of(x))
    np.testing.assert_allclose(inputs[:, 0] / max(abs(constant), 1.0), 0.0, atol=1e-15)


def test_text_becomes_a_column_per_category():
    table = table_of([[1, 0], [2, 1], [3, 2]], categories={"b": ("p", "q", "r")})
    fitted = Preprocessing.fit(table, np.arange(3))
    assert fitted(table).shape == (3, 4)
    # Another file may list its texts and its columns in another order.
    other = table_of([[0, 3], [1, 1]], names=("b", "a"), categories={"b": ("r", "p")})
    np.testing.assert_allclose(fitted(other), fitted(table)[[2, 0]])


def test_json_keeps_every_digit():
    x = np.random.default_rng(1).normal(size=(9, 2))
    fitted = Preprocessing.fit(table_of(x), np.arange(9))
    again = Preprocessing.from_plain(json.loads(json.dumps(fitted.to_plain())))
    assert again == fitted
    target = TargetColumn.of_numbers(table_of(x, x[:, 0]), np.arange(9), standardised=True)
    assert TargetColumn.from_plain(json.loads(json.dumps(target.to_plain()))) == target


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (["u", "v"] * 10, "classification"),
        ([0.0, 1.0] * 10, "classification"),
        ([0.5, 1.0] * 10, "regression"),
        (np.arange(20.0), "regression"),
        (np.arange(100.0) % 30, "regression"),
        (np.arange(100.0) % 20, "classification"),
    ],
)
def test_task(y, task):
    assert choose_task(table_of(np.ones((len(y), 1)), y), None) == task


def test_task_as_asked_for():
    y = np.asarray([0.0, 1.0] * 10)
    assert choose_task(table_of(np.ones((20, 1)), y), "regression") == "regression"


@pytest.mark.parametrize(
    ("y", "classes"),
    [([2.0, 0.0, 2.0], (0, 2)), (["b", "a", "b"], ("a", "b")), ([0.5, 1.0, 0.5], (0.5, 1.0))],
)
def test_classes_are_numbered_in_order(y, classes):
    table = table_of(np.ones((3, 1)), y)
    target = TargetColumn.of_classes(table)
    assert target.classes == classes
    assert all(type(c) is type(d) for c, d in zip(target.classes, classes, strict=True))
    assert [target.classes[i] for i in target.encode(table)] == list(y)


def test_classes_of_another_file_may_be_written_otherwise():
    target = TargetColumn.of_classes(table_of(np.ones((3, 1)), [2.0, 0.0, 2.0]))
    assert target.encode(table_of(np.ones((2, 1)), ["2", "0"])).tolist() == [1, 0]


def test_a_number_comes_back_in_its_own_units():
    y = np.asarray([10.0, 20.0, 60.0])
    table = table_of(np.ones((3, 1)), y)
    target = TargetColumn.of_numbers(table, np.arange(3), standardised=True)
    encoded = target.encode(table)
    assert abs(encoded.mean()) < 1e-12
    np.testing.assert_allclose(target.decode(encoded[:, None]), y)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("a", "x")}, "missing: b. not known to the model: x"),
        ({"categories": {"a": ("7", "u")}}, '"7" is not a number; in training this column held numbers'),
    ],
)
def test_columns_that_do_not_fit(change, message):
    fitted = Preprocessing.fit(table_of([[1, 2], [3, 4]]), np.arange(2))
    with pytest.raises(CommandError, match=message.replace("(", r"\(")):
        fitted(table_of([[0, 2], [1, 4]], **change))


def test_a_text_that_did_not_occur_in_training():
    fitted = Preprocessing.fit(table_of([[0], [1], [0]], categories={"a": ("north", "south")}), np.arange(3))
    with pytest.raises(CommandError, match=r'row 1, column "a": "nort" did not occur.*Did you mean "north"'):
        fitted(table_of([[1], [0]], categories={"a": ("nort", "south")}))
    with pytest.raises(CommandError, match="is a number; in training this column held text"):
        fitted(table_of([[1], [0]]))
