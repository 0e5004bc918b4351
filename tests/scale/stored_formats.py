"""The same rows in every format of a source."""

import numpy as np
import pytest

import retroprop as rp

FORMATS = ("npy", "zarr", "parquet", "vectors")


def stored(kind, folder, name, array, rows=8):
    """Return an array as a source of a format, in chunks of so many rows."""
    folder.mkdir(exist_ok=True)
    if kind == "npy":
        np.save(folder / f"{name}.npy", array)
        return rp.scale.Npy(folder / f"{name}.npy")
    if kind == "zarr":
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        chunks = (rows, *array.shape[1:])
        made = zarr.create_array(str(folder / name), shape=array.shape, chunks=chunks, dtype=array.dtype)
        made[...] = array
        return rp.scale.Zarr(folder / name)
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    if array.ndim == 1:
        table, columns = {name: array}, name
    elif kind == "vectors":
        table, columns = {name: pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])}, name
    else:
        columns = [f"{name}{i}" for i in range(array.shape[1])]
        table = {column: array[:, i] for i, column in enumerate(columns)}
    return parquet(folder / f"{name}.parquet", table, rows, columns)


def parquet(path, table, rows=8, columns=None, **options):
    """Write a table, and return columns of it as a source."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet as pq

    pq.write_table(pa.table(table), path, row_group_size=rows)
    return rp.scale.Parquet(path, columns, **options)
