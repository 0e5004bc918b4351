"""The check of a model card that was read from a file: the types of its parts, and that they fit each other."""

from dataclasses import fields, is_dataclass
from math import isfinite
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from retroprop.network import Network
from retroprop.tabular.column_inputs import CategoryInputs, DateInputs, NumberInputs
from retroprop.tabular.columns import KINDS, Column
from retroprop.tabular.number_texts import FORMATS
from retroprop.tabular.preprocessing import Preprocessing
from retroprop.tabular.schema import Schema
from retroprop.tabular.standardisation import Standardisation
from retroprop.tabular.targets import TASKS, TargetColumn

if TYPE_CHECKING:
    from retroprop.tabular.card import ModelCard

_MOST = 2**62  # of a number of seconds, or of lines
_LABELS = ("text", "number", "boolean")
_OF_KIND = {"category": CategoryInputs, "boolean": NumberInputs, "number": NumberInputs, "date": DateInputs}


def check(card: "ModelCard", network: Network) -> None:
    """Raise ValueError with the first part of a card that is not of its type, or does not fit another or a network."""
    for part in (card.schema, card.preprocessing, card.target):
        _check_types(part)
    _need(isinstance(card.data, str), "data")
    _need(card.missing in ("fill", "refuse"), "missing")
    _check_schema(card.schema)
    _check_preprocessing(card.preprocessing, card.schema)
    n_inputs, n_outputs = network.layer_sizes[0], network.layer_sizes[-1]
    _need(n_inputs == len(card.preprocessing.input_names), "columns of the preprocessing")
    _check_target(card.target, card.schema, n_outputs)


def _check_types(value: Any) -> None:
    """Raise ValueError unless every field of a dataclass, and of those within it, is of the type that it declares."""
    hints = get_type_hints(type(value))
    for field in fields(value):
        _need(_is(getattr(value, field.name), hints[field.name]), field.name)


def _is(value: Any, hint: Any) -> bool:
    if get_origin(hint) is UnionType:
        return any(_is(value, one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_is(one, get_args(hint)[0]) for one in value)
    if hint is Any:
        return isinstance(value, (str, int, float))
    if is_dataclass(hint):
        if type(value) is hint:
            _check_types(value)
        return type(value) is hint
    if hint is float:
        return type(value) in (int, float) and abs(value) < 2.0**1023 and isfinite(value)
    return type(value) is (type(None) if hint is None else hint)


def _check_schema(schema: Schema) -> None:
    names = [column.name for column in schema.columns]
    _need(names and _distinct(names) and _distinct(schema.names) and set(names) <= set(schema.names), "names")
    _need(set(schema.dropped) <= set(schema.names) - set(names), "dropped")
    _need(schema.target in names, "target")
    _need(0 <= schema.layout.title_lines < _MOST and 0 <= schema.layout.width < _MOST, "layout")
    for column in schema.columns:
        _check_column(column)


def _check_column(column: Column) -> None:
    _need(column.kind in KINDS and column.labels in _LABELS, "columns")
    _need(_distinct(column.categories), "categories")
    _need(len(column.categories) == 2 or column.kind != "boolean", "categories")
    _need(column.date_format in ("ymd", "dmy", "mdy") if column.kind == "date" else True, "date_format")
    _need(column.format is None or (column.format.decimal, column.format.thousands) in FORMATS, "format")


def _check_preprocessing(preprocessing: Preprocessing, schema: Schema) -> None:
    columns = {column.name: column for column in schema.features}
    _need(_distinct([inputs.name for inputs in preprocessing.columns]), "columns of the preprocessing")
    for inputs in preprocessing.columns:
        column = columns.get(inputs.name)
        _need(column is not None and type(inputs) is _OF_KIND[column.kind], "columns of the preprocessing")
        if isinstance(inputs, CategoryInputs):
            _need(column is not None and inputs.texts == column.categories, "categories of the preprocessing")
            _need(_distinct(inputs.kept) and all(0 <= code < len(inputs.texts) for code in inputs.kept), "kept")
        elif isinstance(inputs, DateInputs):
            _need(abs(inputs.fill) < _MOST, "fill")
    _check_standardisation(preprocessing.standardisation, len(preprocessing.input_names))


def _check_standardisation(one: Standardisation, n: int) -> None:
    _need(len(one.unit) == len(one.mean) == len(one.scale) == n, "standardisation")
    _need(all(unit > 0.0 for unit in one.unit) and all(scale >= 0.0 for scale in one.scale), "standardisation")


def _check_target(target: TargetColumn, schema: Schema, n_outputs: int) -> None:
    _need(target.name == schema.target and target.task in TASKS, "target")
    _need(_distinct([(type(label), label) for label in target.classes]), "classes")
    k = len(target.classes)
    if target.task == "regression":
        _need(k == 0 and n_outputs == 1, "classes")
    else:
        _need(k >= 2 and (n_outputs == k or (k == 2 and n_outputs == 1)), "classes")
    _check_standardisation(target.unit, 1)


def _distinct(values: Any) -> bool:
    return len(set(values)) == len(values)


def _need(condition: Any, name: str) -> None:
    if not condition:
        raise ValueError(f"its {name} cannot be used")
