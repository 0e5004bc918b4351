"""The rows of the data that a training sees, where it sees not all of them."""

from typing import Any

from retroprop.backends import host
from retroprop.backends.intake.arrays import holds
from retroprop.backends.intake.batch import Batch
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.functions.types import Array
from retroprop.network import Network


def checked(given: Any, m: int) -> Array | None:
    """Return the indices of some of m rows as an array of the host, None for all rows.

    Raises
    ------
    TypeError, ValueError
        Unless they are whole numbers in [0, m), one or more.
    """
    if given is None:
        return None
    rows = host.as_host(given, "rows")
    if rows.size == 0:
        raise ValueError("rows is empty: a training needs one row or more.")
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        mask = " (of a mask they are numpy.flatnonzero(mask))" if rows.dtype.kind == "b" else ""
        raise TypeError(
            f"rows must hold the indices of rows, whole numbers in one axis{mask}, not {rows.dtype} of the shape "
            f"{rows.shape}."
        )
    if rows.min() < 0 or rows.max() >= m:
        raise ValueError(f"rows must be in [0, {m}), as x has {m} rows; they are from {rows.min()} to {rows.max()}.")
    return rows


def targets(net: Network, data: Batch, rows: Array | None) -> Array:
    """Return the targets of the chosen rows; all of them if they are read from a file.

    Raises
    ------
    ValueError
        If the weights of those rows are all 0.
    """
    if rows is None:
        return data.y
    backend = net.backend
    with backend.active():
        here, xp = backend.asarray(rows), backend.xp
        if data.weight is not None and not holds(backend, xp.sum(xp.take(data.weight, here, axis=0)) > 0.0):
            raise ValueError("sample_weight is 0 for each of rows, so none has a part in the cost.")
        return data.y if isinstance(data.y, Mapped) else xp.take(data.y, here, axis=0)
