"""Opened Parquet files: one for all sources of a file, as its footer may take more memory than its rows do."""

import os
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary


class OpenedParquet:
    """An opened file of this process: a forked one shares no position with it.

    Raises
    ------
    ImportError
        Without pyarrow.
    ValueError
        If it is no Parquet file.
    """

    def __init__(self, path: Path) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise ImportError('reading Parquet files needs pyarrow: pip install "retroprop[parquet]"') from error
        try:
            self.file: Any = parquet.ParquetFile(path)
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            raise ValueError(f'"{path}" is no readable Parquet file: {reason}') from error
        self.process, self._lock = os.getpid(), Lock()

    def read(self, group: int, names: list[str]) -> Any:
        """Return columns of a row group, as a table of Arrow's."""
        with self._lock:
            return self.file.read_row_group(group, columns=names, use_threads=False)


_OPENED: WeakValueDictionary[tuple[Any, ...], OpenedParquet] = WeakValueDictionary()


def opened(path: Path, signature: Any) -> OpenedParquet:
    """Return the opened file, that of another source if it is the same file."""
    key = os.getpid(), path.absolute(), signature
    found = _OPENED.get(key)
    if found is None:
        found = _OPENED[key] = OpenedParquet(path)
    return found
