"""The cells of one column: exact texts, or typed values with a mask of the missing ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Cells:
    """One column of a table.

    Attributes
    ----------
    values : polars.Series of String, or NumPy array (m,)
        Texts without outer white space, null where the cell is empty; or numbers, booleans, datetime64, or an
        array of texts (kind U or O, None where the cell is empty).
    missing : bool array (m,), or None
        The rows without a value, for typed arrays.
    other : str
        The data type of a column that is neither number, text nor date, such as "List(Int64)"; its values are None.
    n_rows : int
        m of such a column.
    """

    values: Any
    missing: NDArray[np.bool_] | None = None
    other: str = ""
    n_rows: int = 0

    def __len__(self) -> int:
        return self.n_rows if self.values is None else len(self.values)

    @property
    def is_text(self) -> bool:
        """Whether the column holds texts."""
        return self.is_series or (not self.other and self.values.dtype.kind in "UO")

    @property
    def is_number(self) -> bool:
        """Whether the column holds typed numbers."""
        return not self.is_text and not self.other and self.values.dtype.kind in "iuf"

    @property
    def is_empty(self) -> bool:
        """Whether a typed column has no value in any row."""
        return not self.is_text and self.missing is not None and bool(self.missing.all())

    @property
    def is_series(self) -> bool:
        """Whether the column is a polars series of texts."""
        return not self.other and not isinstance(self.values, np.ndarray)

    @cached_property
    def factorised(self) -> tuple[list[str], NDArray[np.int64]]:
        """The different texts in sorted order, and the index of every row's text (m,), -1 where the cell is empty."""
        if isinstance(self.values, np.ndarray):
            given = [None if value is None else str(value).strip() for value in self.values.tolist()]
            texts = sorted({text for text in given if text})
            position = {text: i for i, text in enumerate(texts)}
            return texts, np.asarray([position.get(text or "", -1) for text in given], dtype=np.int64)
        texts = sorted(self.values.drop_nulls().unique().to_list())
        if not texts:
            return [], np.full(len(self.values), -1, dtype=np.int64)
        codes = self.values.replace_strict(texts, list(range(len(texts))), default=None, return_dtype=int)
        return texts, np.asarray(codes.fill_null(-1).to_numpy(), dtype=np.int64)


def plain_numbers(series: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Return the numbers of those polars series of texts whose cells are all plain numbers (-1.5e3) or null (NaN).

    All columns are converted at once: one by one, 20,000 columns would take a hundred times as long.
    """
    if not series:
        return {}
    import polars as pl

    frame = pl.DataFrame(list(series.values()))
    matrix = frame.select(pl.all().cast(pl.Float64, strict=False)).to_numpy(order="fortran")
    n_values = frame.height - np.asarray(frame.null_count().row(0), dtype=np.int64)
    # "nan" and "inf" are converted, but are no plain numbers.
    whole = np.isfinite(matrix).sum(axis=0) == n_values
    return {name: matrix[:, i] for i, name in enumerate(series) if whole[i] and n_values[i] > 0}
