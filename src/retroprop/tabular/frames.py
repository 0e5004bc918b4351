"""Tables in memory: frames of pandas and polars, NumPy arrays and dicts of arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from retroprop.tabular.array_tables import table_of_arrays, table_of_matrix
from retroprop.tabular.cells import Cells
from retroprop.tabular.errors import DataError, listed
from retroprop.tabular.headers import unique_names
from retroprop.tabular.object_cells import cells_of_objects, cells_of_series
from retroprop.tabular.raw import Layout, RawTable


def read_frame(
    data: Any, *, layout: Layout | None = None, features: str | None = None, target: str | None = None
) -> RawTable:
    """Read a pandas or polars frame, a 2-D NumPy array, or a dict of arrays.

    A dict of 1-D arrays or lists is a table with their names; one with an array of more axes is read as an .npz file.

    Raises
    ------
    DataError
        If `data` is none of these.
    """
    if isinstance(data, Mapping):
        arrays = {str(name): value if isinstance(value, np.ndarray) else _listed(value) for name, value in data.items()}
        if any(array.ndim > 1 for array in arrays.values()):
            return table_of_arrays("the arrays", arrays, layout=layout, features=features, target=target)
        return _named("the data", list(arrays), [cells_of_objects(array) for array in arrays.values()], named=True)
    if features is not None:
        raise DataError("features=... names an array of an .npz file or of a dict of arrays.")
    if isinstance(data, np.ndarray):
        return table_of_matrix("the array", data)
    kind = type(data).__module__.partition(".")[0]
    if kind == "polars" and hasattr(data, "get_columns"):
        return polars_table("the frame", data, "frame")
    if kind == "pandas" and hasattr(data, "columns"):
        positions = type(data.columns).__name__ == "RangeIndex"
        names = [str(name) for name in data.columns]
        columns = [cells_of_objects(data.iloc[:, i]) for i in range(len(names))]
        return _named("the frame", names, columns, named=not positions)
    raise DataError(
        f"a table is a path, a pandas or polars frame, a 2-D NumPy array or a dict of arrays, not "
        f"{type(data).__module__}.{type(data).__qualname__}."
    )


def _listed(values: Any) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def polars_table(source: str, frame: Any, format: str) -> RawTable:
    """Return the table of a polars frame; pandas' own index columns are left out."""
    columns = [series for series in frame.get_columns() if not series.name.startswith("__index_level_")]
    index = [name for name in frame.columns if name.startswith("__index_level_")]
    notes = (f"pandas' index was left out: {listed(index)}.",) if index else ()
    cells = [cells_of_series(series) for series in columns]
    return _named(source, [series.name for series in columns], cells, named=True, format=format, notes=notes)


def _named(
    source: str,
    given: list[str],
    columns: list[Cells],
    *,
    named: bool,
    format: str = "frame",
    notes: tuple[str, ...] = (),
) -> RawTable:
    names, duplicates = unique_names([name.strip() for name in given])
    lengths = {len(cells) for cells in columns}
    if len(lengths) > 1:
        raise DataError(f"{source}: its columns have different numbers of rows: {listed(map(str, sorted(lengths)))}.")
    if duplicates:
        notes = (*notes, f"names that stood more than once were numbered: {listed(duplicates)}.")
    return RawTable(
        source=source,
        columns=dict(zip(names, columns, strict=True)),
        n_rows=lengths.pop() if lengths else 0,
        named=named,
        layout=Layout(format=format, header=named, names=tuple(names) if named else (), width=len(names)),
        duplicates=tuple(duplicates),
        notes=notes,
    )
