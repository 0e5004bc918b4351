"""Reading NumPy's .npy (one array) and .npz (several arrays) files. Pickled objects in them are never loaded."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.errors import CommandError, listed, near_match
from retroprop.cli.table import DataTable, Selection, choose_columns

# The usual names of the two arrays of a data set, features first.
_PAIRS = (("X", "y"), ("x", "y"), ("data", "target"), ("X_train", "y_train"), ("x_train", "y_train"))


def read_npy(path: Path, source: str, selection: Selection) -> DataTable:
    """Read an .npy file (a 2-D array, one of whose columns is the target) or an .npz file (arrays X and y).

    Raises
    ------
    CommandError
        If the file is damaged or holds pickled objects, or its arrays do not fit together.
    """
    if selection.header is not None:
        raise CommandError(f"--header and --no-header are for .csv files; {source} is not one.")
    arrays = _load(path, source)
    if isinstance(arrays, dict):
        return _from_pair(arrays, source, selection)
    return _from_matrix(arrays, source, selection)


def _load(path: Path, source: str) -> Any:
    with path.open("rb") as file:
        if not file.read(6).startswith((b"\x93NUMPY", b"PK")):
            raise CommandError(f'"{source}": not a file that NumPy wrote.')
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        if "allow_pickle" in str(error):
            fault = "it holds pickled objects, which are never loaded"
        else:
            fault = f"not a readable NumPy file ({error})"
        raise CommandError(f'"{source}": {fault}.') from error


def _from_matrix(matrix: NDArray[Any], source: str, selection: Selection) -> DataTable:
    if selection.features is not None:
        raise CommandError(f"--features names an array of an .npz file; {source} holds one array only.")
    if matrix.ndim != 2:
        raise CommandError(f"{source}: a 2-D array (rows, columns) is needed; its shape is {matrix.shape}.")
    matrix = _numbers(matrix, source, "the array")
    names = [str(i) for i in range(matrix.shape[1])]
    if selection.target is None and selection.target_needed:
        selection = replace(selection, target="-1")
    features, target = choose_columns(names, selection, source, named=False)
    return DataTable(
        source=source,
        x=np.ascontiguousarray(matrix[:, features]),
        feature_names=tuple(names[i] for i in features),
        named=False,
        y=None if target is None else matrix[:, target].copy(),
        target_name=None if target is None else names[target],
        dropped=tuple(name for i, name in enumerate(names) if i not in features and i != target),
    )


def _from_pair(arrays: dict[str, NDArray[Any]], source: str, selection: Selection) -> DataTable:
    if selection.drop:
        raise CommandError(f"--drop is for files with columns; {source} holds whole arrays: {listed(arrays)}.")
    x_name, y_name = _names_of_pair(arrays, source, selection)
    x = _numbers(arrays[x_name], source, f'array "{x_name}"')
    if x.ndim < 2:
        raise CommandError(
            f'{source}: array "{x_name}" must be (rows, columns) or (rows, ...); its shape is {x.shape}.'
        )
    x = x.reshape(x.shape[0], -1)  # images and other arrays of more axes: one row per observation
    y = None if y_name is None else _target(arrays[y_name], x.shape[0], source, x_name, y_name)
    return DataTable(
        source=source,
        x=x,
        feature_names=tuple(str(i) for i in range(x.shape[1])),
        named=False,
        y=y,
        target_name=y_name,
    )


def _names_of_pair(arrays: dict[str, NDArray[Any]], source: str, selection: Selection) -> tuple[str, str | None]:
    default_x, default_y = next(
        (pair for pair in _PAIRS if pair[0] in arrays and (pair[1] in arrays or not selection.target_needed)),
        (None, None),
    )
    x_name, y_name = selection.features or default_x, selection.target or default_y
    for option, given, needed in (
        ("--features", x_name, True),
        ("--target", y_name, selection.target_needed),
    ):
        if needed and given is None:
            raise CommandError(
                f"{source} has no arrays X and y: name them with --features NAME --target NAME. "
                f"Arrays: {listed(arrays)}."
            )
        if needed and given not in arrays:
            raise CommandError(
                f'{option} "{given}": {source} has no such array.{near_match(str(given), arrays)} '
                f"Arrays: {listed(arrays)}."
            )
    if x_name == y_name:
        raise CommandError(f'array "{x_name}" of {source} cannot be both --features and --target.')
    return str(x_name), y_name if y_name in arrays else None


def _target(y: NDArray[Any], m: int, source: str, x_name: str, y_name: str) -> NDArray[Any]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise CommandError(
            f'{source}: the target, array "{y_name}", must have one value per row; its shape is {y.shape}.'
        )
    if y.shape[0] != m:
        raise CommandError(f'{source}: array "{x_name}" has {m} rows and array "{y_name}" {y.shape[0]}.')
    if y.dtype.kind == "b":
        return np.where(y, "true", "false")
    return y if y.dtype.kind == "U" else _numbers(y, source, f'array "{y_name}"')


def _numbers(array: NDArray[Any], source: str, called: str) -> NDArray[np.float64]:
    """Return `array` as float64; `called` is its name in the error message."""
    if array.dtype.kind not in "biuf":
        raise CommandError(f"{source}: {called} must hold real numbers; its dtype is {array.dtype}.")
    return array.astype(np.float64, copy=False)
