"""The ONNX graph of the model of a table: raw columns in, labels or numbers out."""

from typing import Any

import numpy

from retroprop.core.forward import forward
from retroprop.functions.types import Array, Namespace
from retroprop.interop.onnx_estimators import labelled, largest
from retroprop.interop.onnx_graph import ML_DOMAIN, OnnxGraph
from retroprop.interop.onnx_lowering import lowered
from retroprop.interop.onnx_network import parameters_of
from retroprop.interop.raw_columns import inputs_of
from retroprop.interop.row_graph import recorded
from retroprop.tabular.column_inputs import CategoryInputs
from retroprop.tabular.labels import exact
from retroprop.tabular.markers import TRUE_FALSE
from retroprop.tabular.model import TabularModel
from retroprop.tabular.targets import TargetColumn


def table_graph(model: TabularModel) -> OnnxGraph:
    """Return the graph of a model of a table; see `save_onnx`."""
    net, card = model.network, model.card
    columns = card.preprocessing.columns
    graph = OnnxGraph("retroprop", [column.name for column in columns])
    known = [_texts_of(model, column) for column in columns]
    values, forms = [], []
    for column, texts in zip(columns, known, strict=True):
        if texts is None:
            values.append(graph.input(column.name, "float64", ["m", 1]))
        else:
            values.append(_codes(graph, graph.input(column.name, str, ["m", 1]), texts))
        forms.append(((None, 1), "float64" if texts is None else "int64"))
    leaves = parameters_of(net)
    coded = [
        texts is not None and not isinstance(column, CategoryInputs)
        for column, texts in zip(columns, known, strict=True)
    ]

    def step(operations: Any, *given: Any) -> Any:
        xp = operations.xp
        raw = tuple(_truths(part, xp) if truths else part for part, truths in zip(given, coded, strict=False))
        x = xp.astype(inputs_of(card.preprocessing, raw, xp, fills=card.missing != "refuse"), net.dtype)
        a = forward(operations, net.architecture, net.parameters.like(given[len(columns) :]), x).a[-1]
        if a.ndim == 3:  # of several members
            a = xp.sum(a, axis=0) * (1.0 / a.shape[0])
        return _decoded(card.target, xp.astype(a, "float64"), xp)

    forms += [(leaf.shape, net.dtype) for leaf in leaves.values()]
    of = recorded(step, net.backend.operations(), forms, "the model")
    (found,) = lowered(graph, of, [*values, *leaves.values()], "the model", [*[""] * len(columns), *leaves])
    if card.target.classes:
        labelled(graph, largest(graph, found), exact(card.target.classes), "label")
        graph.output("probabilities", "float64", ["m", len(card.target.classes)], found)
    else:
        one = graph.apply("Reshape", found, graph.constant(numpy.asarray([-1], numpy.int64)))
        graph.output("prediction", "float64", ["m"], one)
    return graph


def _texts_of(model: TabularModel, column: Any) -> dict[str, int] | None:
    """Return the code of every text of a column of texts, None for numbers and dates."""
    if isinstance(column, CategoryInputs):
        return {text: code for code, text in enumerate(column.texts)}
    (own,) = [one for one in model.card.schema.columns if one.name == column.name]
    if own.kind != "boolean":
        return None
    forms = (str.lower, str.capitalize, str.upper)
    spellings = {form(text): int(truth) for text, truth in TRUE_FALSE.items() for form in forms}
    return spellings | {"0": 0, "1": 1} | {text: code for code, text in enumerate(own.categories)}


def _truths(codes: Array, xp: Namespace) -> Array:
    """Return a boolean column as the preprocessing has it: 0, 1 and NaN."""
    return xp.where(codes < 0, numpy.nan, xp.astype(codes, "float64"))


def _codes(graph: OnnxGraph, texts: str, codes: dict[str, int]) -> str:
    """Return the codes (m, 1) of texts, -1 for any other."""
    keys, values = list(codes), list(codes.values())
    return graph.apply(
        "LabelEncoder", texts, domain=ML_DOMAIN, keys_strings=keys, values_int64s=values, default_int64=-1
    )


def _decoded(target: TargetColumn, a: Array, xp: Namespace) -> Array:
    """Return probabilities (m, k), or numbers (m, 1) in their unit, as `TargetColumn` does."""
    if not target.classes:
        own = target.unit
        return (a * own.scale[0] + own.mean[0]) * own.unit[0]
    if a.shape[1] == 1:
        return xp.concat([1.0 - a, a], axis=1)
    total = xp.sum(a, axis=-1, keepdims=True)
    there = total > 0.0
    return xp.where(there, a, 1.0) / xp.where(there, total, float(a.shape[1]))
