"""Reading .parquet files by polars, after the size that their footer announces was compared with the limit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from retroprop.tabular.errors import DataError, need
from retroprop.tabular.files import SourceFile
from retroprop.tabular.frames import polars_table
from retroprop.tabular.limits import check_size
from retroprop.tabular.parquet_footer import ParquetSize, read_size
from retroprop.tabular.raw import RawTable


def read_parquet(file: SourceFile, *, max_bytes: int | None) -> RawTable:
    """Read a .parquet file.

    Raises
    ------
    DataError
        If polars is missing, or the file is damaged or too large.
    """
    pl = need("polars", extra="data", purpose=f'reading "{file.source}"')
    size = _size(file)
    further = ", or train on numbers group by group in Python, rp.fit with rp.scale.Parquet"
    check_size(file.source, size.n_bytes, max_bytes, "the table", further)
    try:
        with file.open() as opened, _engine_silenced():
            frame = pl.read_parquet(opened)
        # A text that all rows share is stored once, in the file as in the frame; the table holds it in every row.
        texts = [series for series in frame.get_columns() if series.dtype == pl.String]
        n_bytes = sum(int(series.str.len_bytes().cast(pl.UInt64).sum()) for series in texts)
        check_size(file.source, n_bytes + size.n_bytes, max_bytes, "the table")
        table = polars_table(file.source, frame, "parquet")
    except DataError:
        raise
    except BaseException as error:
        # A damaged file ends in errors of polars or in a panic of its engine, which is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DataError(
            f'"{file.source}": not a readable .parquet file ({str(error).splitlines()[0][:100]}).'
        ) from error
    if table.n_rows != size.n_rows:
        raise DataError(f'"{file.source}": it announces {size.n_rows} rows and holds {table.n_rows}.')
    return table


def _size(file: SourceFile) -> ParquetSize:
    with file.open() as opened:
        try:
            return read_size(opened, file.size)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, OverflowError) as error:
            raise DataError(f'"{file.source}": not a readable .parquet file: its footer is damaged.') from error


@contextmanager
def _engine_silenced() -> Iterator[None]:
    """Discard the output to the file descriptor of standard error: polars' engine prints its panics there."""
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
