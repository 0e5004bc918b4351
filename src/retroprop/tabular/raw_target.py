"""The target of a table, with its labels as they stood."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.columns import Column
from retroprop.tabular.markers import MISSING_AMONG_NUMBERS
from retroprop.tabular.raw import RawTable
from retroprop.tabular.values import category_codes, numbers_of


@dataclass(frozen=True, kw_only=True)
class RawTarget:
    """The target of a table.

    Attributes
    ----------
    name : str
        Its column.
    kind : str
        "number", "category" or "boolean"; a date is a number, the seconds since 1970.
    values : float64 array (m,), or None
        The numbers, NaN where missing; None unless the kind is "number".
    labels : list
        The value of every row as it stood: an int of any size, a float where Python writes it back as it stood, a text,
        or a bool; None where it is missing. Labels of one column are of one type, apart from int and float.
    missing : bool array (m,)
        The rows without a value.
    """

    name: str
    kind: str
    values: NDArray[np.float64] | None
    labels: list[Any]
    missing: NDArray[np.bool_]


def target_of(raw: RawTable, column: Column, name: str) -> RawTarget:
    """Return the target in the column `name` of `raw`, read as `column` of the schema was.

    Raises
    ------
    DataError
        If a number is expected and a text stands there.
    """
    if column.kind == "boolean":
        codes, unknown = category_codes(raw, name, column)
        labels = _boolean_labels(raw, name, column, codes, unknown)
        return RawTarget(name=column.name, kind="boolean", values=None, labels=labels, missing=codes == -1)
    labels = _labels(raw, name, column)
    missing = np.fromiter((label is None for label in labels), dtype=bool, count=len(labels))
    if column.kind in ("number", "date"):
        values = numbers_of(raw, name, column)
        return RawTarget(name=column.name, kind="number", values=values, labels=labels, missing=missing)
    return RawTarget(name=column.name, kind="category", values=None, labels=labels, missing=missing)


def _boolean_labels(
    raw: RawTable, name: str, column: Column, codes: NDArray[np.int64], unknown: dict[str, int]
) -> list[Any]:
    spelled: tuple[Any, ...] = (False, True) if column.labels == "boolean" else column.categories
    labels: list[Any] = [None if code < 0 else spelled[code] for code in codes.tolist()]
    if unknown:
        texts, rows = raw.columns[name].factorised if raw.columns[name].is_text else ([], np.empty(0, dtype=np.int64))
        for row in np.flatnonzero(codes == -2).tolist():
            labels[row] = texts[rows[row]] if texts else str(raw.columns[name].values[row])
    return labels


def _labels(raw: RawTable, name: str, column: Column) -> list[Any]:
    cells = raw.columns[name]
    if cells.is_text:
        texts, codes = cells.factorised
        markers = set(column.missing) | (MISSING_AMONG_NUMBERS if column.kind != "category" else set())
        known = set(column.categories)
        table = [None if text in markers and text not in known else label_of(text, column.labels) for text in texts]
        table.append(None)
        return [table[code] for code in codes.tolist()]
    missing = np.zeros(raw.n_rows, dtype=bool) if cells.missing is None else cells.missing
    known = set(column.categories)
    return [
        None if gone else _typed_label(value, column.labels, known)
        for value, gone in zip(cells.values.tolist(), missing.tolist(), strict=True)
    ]


def _typed_label(value: Any, labels: str, known: set[str]) -> Any:
    if labels == "number" and not isinstance(value, bool):
        return value
    text = str(value)
    if text not in known and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text


def label_of(text: str, labels: str) -> Any:
    """Return the label of a text: the int or float, for labels that are numbers, where that is written back alike."""
    if labels == "number":
        for kind in (int, float):
            try:
                value = kind(text)
            except ValueError:
                continue
            if str(value) == text:
                return value
    return text


def label_type(texts: list[str]) -> str:
    """Return "number" where every text is an int or float that Python writes back as it stood, else "text"."""
    return "number" if all(not isinstance(label_of(text, "number"), str) for text in texts) else "text"
