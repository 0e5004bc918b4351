"""The footer of a .parquet file: its numbers of rows and bytes, read without the data.

The footer is a structure of Thrift's compact protocol (https://github.com/apache/parquet-format): field numbers with
types, whole numbers of variable length in zigzag code. polars reads it too, but says nothing of sizes.
"""

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

_MOST_FOOTER = 64 * 2**20


@dataclass(frozen=True)
class ParquetSize:
    """The number of rows, and the bytes that the table takes in memory."""

    n_rows: int
    n_bytes: int


def read_size(file: BinaryIO, size: int) -> ParquetSize:
    """Return the numbers in the footer: rows, and the larger of 8 bytes a value and the unpacked size of the columns.

    Raises
    ------
    ValueError, KeyError, TypeError, IndexError
        If the footer is damaged.
    """
    if size < 12:
        raise ValueError("too short")
    file.seek(size - 8)
    length, magic = struct.unpack("<I4s", file.read(8))
    if magic != b"PAR1" or length > min(size - 12, _MOST_FOOTER):
        raise ValueError("no footer")
    file.seek(size - 8 - length)
    footer = _Compact(file.read(length)).structure()
    groups = footer.get(4, [])
    n_rows = sum(group[3] for group in groups)
    # Field 1 of a row group lists its columns; field 3 of a column holds its metadata, with the unpacked size in 6.
    columns = [column[3] for group in groups for column in group[1]]
    unpacked = sum(column[6] for column in columns)
    # Field 5 counts the values of a column: one a row, or more where the rows hold lists.
    cells = sum(max(column[5], group[3]) for group in groups for column in (c[3] for c in group[1]))
    if n_rows != footer[3] or unpacked < 0 or any(group[3] < 0 for group in groups):
        raise ValueError("sizes do not fit")
    for column in columns:
        if not 0 <= column[9] <= size or not 0 <= column[7] <= size:
            raise ValueError("a column lies outside the file")
    return ParquetSize(n_rows, max(unpacked, 8 * cells))


class _Compact:
    """A reader of Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def structure(self) -> dict[int, Any]:
        """Return the fields of a structure by their numbers."""
        fields: dict[int, Any] = {}
        number = 0
        while (byte := self._byte()) != 0:
            step, kind = byte >> 4, byte & 15
            number = number + step if step else self._integer()
            fields[number] = self._value(kind, in_list=False)
        return fields

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number is too long")

    def _integer(self) -> int:
        code = self._unsigned()
        return (code >> 1) ^ -(code & 1)

    def _value(self, kind: int, *, in_list: bool) -> Any:
        if kind in (1, 2):  # a boolean is its type in a structure, a byte in a list
            return self._byte() == 1 if in_list else kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 7:
            self.at += 8
            return None
        if kind == 8:
            length = self._unsigned()
            self.at += length
            return self.data[self.at - length : self.at]
        if kind in (9, 10):
            return self._items()
        if kind == 12:
            return self.structure()
        raise ValueError(f"type {kind}")

    def _items(self) -> list[Any]:
        byte = self._byte()
        length = byte >> 4 if byte >> 4 < 15 else self._unsigned()
        if length > len(self.data):
            raise ValueError("a list is too long")
        return [self._value(byte & 15, in_list=True) for _ in range(length)]
