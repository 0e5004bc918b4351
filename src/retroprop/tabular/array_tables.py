"""Arrays as a table: one array whose columns are features and target, or one array for each."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.cells import Cells
from retroprop.tabular.errors import DataError, listed, near_match, quoted
from retroprop.tabular.object_cells import cells_of_objects
from retroprop.tabular.raw import Layout, RawTable

# The usual names of the two arrays of a data set; a suffix such as _train stands behind both.
_PAIRS = (("X", "y"), ("x", "y"), ("X", "Y"), ("data", "target"), ("images", "labels"), ("features", "target"))
_SUFFIXES = ("", "_train", "_test", "_val", "_valid", "_validation")


def table_of_matrix(source: str, matrix: NDArray[Any]) -> RawTable:
    """Return the table of a 2-D array of numbers, or of a 1-D array with named fields."""
    if matrix.dtype.names:
        names = matrix.dtype.names
        cells = {name: cells_of_objects(matrix[name].reshape(len(matrix), -1)[:, 0]) for name in names}
        return RawTable(
            source=source,
            columns=cells,
            n_rows=len(matrix),
            named=True,
            layout=Layout(format="npy", names=tuple(names), width=len(names)),
        )
    if matrix.ndim != 2:
        raise DataError(f"{source}: a 2-D array (rows, columns) is needed; its shape is {matrix.shape}.")
    columns = _columns(source, matrix, "the array")
    n = matrix.shape[1]
    return RawTable(
        source=source,
        columns=columns,
        n_rows=len(matrix),
        named=False,
        layout=Layout(format="npy", header=False, width=n),
    )


def table_of_arrays(
    source: str, arrays: Mapping[str, NDArray[Any]], *, layout: Layout | None, features: str | None, target: str | None
) -> RawTable:
    """Return the table of two arrays, features and target, found by `names_of_pair`."""
    x_name, y_name = names_of_pair(source, arrays.keys(), layout=layout, features=features, target=target)
    x = arrays[x_name]
    if x.ndim < 2:
        raise DataError(
            f"{source}: array {quoted(x_name)} must be (rows, columns) or (rows, ...); its shape is {x.shape}."
        )
    # Images and other arrays of more axes: one row per observation.
    columns = _columns(source, x.reshape(len(x), -1) if x.size else x.reshape(len(x), 0), f"array {quoted(x_name)}")
    own = None
    if y_name is not None:
        own = y_name if y_name not in columns else f"array {y_name}"
        columns[own] = _target(source, arrays[y_name], len(x), x_name, y_name)
    return RawTable(
        source=source,
        columns=columns,
        n_rows=len(x),
        named=False,
        layout=Layout(format="npz", header=False, width=len(columns), features=x_name, target=y_name),
        target=own,
    )


def names_of_pair(
    source: str, arrays: Collection[str], *, layout: Layout | None, features: str | None, target: str | None
) -> tuple[str, str | None]:
    """Return the names of the arrays of the features and of the target; the target's is None where there is none.

    Features are the array named, else that of the training, else X, x, data, images or features, alone or with a suffix
    such as _train, else the only array. The target is the array named, else the partner of the features: y, Y,
    target or labels with the same suffix. So x_test never goes with the labels of a training set.

    Raises
    ------
    DataError
        If there is no such array.
    """
    known = layout if layout is not None and layout.format == "npz" else None
    x_name = features
    if x_name is None and known is not None and known.features in arrays:
        x_name = known.features
    if x_name is None:
        wanted = [(x + suffix, y + suffix) for suffix in _SUFFIXES for x, y in _PAIRS]
        pairs = [x for x, y in wanted if x in arrays and (y in arrays or target in arrays)]
        alone = [x for x, _ in wanted if x in arrays]
        others = [name for name in arrays if name != target]
        x_name = next(iter(pairs + alone), others[0] if len(others) == 1 else None)
    for option, given in (("features", x_name), ("target", target)):
        if given is not None and given not in arrays:
            raise DataError(
                f"{option}={quoted(given)}: {source} has no such array.{near_match(given, arrays)} "
                f"Arrays: {listed(arrays)}."
            )
    if x_name is None:
        raise DataError(
            f"{source} has no arrays X and y: name them with features=... and target=... Arrays: {listed(arrays)}."
        )
    if target is None:
        target = _partner(x_name, arrays)
        if target is None and known is not None and known.features == x_name and known.target in arrays:
            target = known.target
    if x_name == target:
        raise DataError(f"array {quoted(x_name)} of {source} cannot be both features and target.")
    return x_name, target


def _partner(x_name: str, arrays: Collection[str]) -> str | None:
    for x, y in _PAIRS:
        found = re.fullmatch(rf"(.*?){x}(_.*)?", x_name)
        if found:
            partner = f"{found[1]}{y}{found[2] or ''}"
            if partner in arrays:
                return partner
    return None


def _columns(source: str, matrix: NDArray[Any], called: str) -> dict[str, Cells]:
    if matrix.dtype.kind not in "biuf":
        raise DataError(f"{source}: {called} must hold real numbers; its dtype is {matrix.dtype}.")
    # Columns are read one by one later: column-major, each is contiguous.
    matrix = np.asfortranarray(matrix)
    n_missing = np.isnan(matrix).sum(axis=0) if matrix.dtype.kind == "f" else np.zeros(matrix.shape[1], dtype=int)
    return {
        str(i): Cells(matrix[:, i], np.isnan(matrix[:, i]) if n_missing[i] else None) for i in range(matrix.shape[1])
    }


def _target(source: str, y: NDArray[Any], m: int, x_name: str, y_name: str) -> Cells:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"{source}: the target, array {quoted(y_name)}, must have one value per row; its shape is {y.shape}."
        )
    if len(y) != m:
        raise DataError(f"{source}: array {quoted(x_name)} has {m} rows and array {quoted(y_name)} {len(y)}.")
    if y.dtype.kind == "S":
        y = np.char.decode(y, "latin-1")
    cells = cells_of_objects(y)
    if cells.other:
        raise DataError(f"{source}: array {quoted(y_name)} must hold numbers, texts or dates; its dtype is {y.dtype}.")
    return cells
