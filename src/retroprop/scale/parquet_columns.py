"""One column of a Parquet file as numbers."""

from typing import Any

import numpy

from retroprop.functions.types import Array
from retroprop.scale.stored_rows import UnreadableRowsError


class ParquetColumn:
    """A column of numbers, booleans, or vectors of one length.

    Attributes
    ----------
    name : str
        Its name.
    dtype : numpy.dtype
        Of its numbers.
    width : int
        The numbers of a row.
    is_vector : bool
        Whether its rows are vectors.

    Raises
    ------
    TypeError
        For any other type of column.
    """

    def __init__(self, path: str, field: Any) -> None:
        from pyarrow import types

        self.path, self.name, kind = path, field.name, field.type
        self.width, self.is_vector, self._is_bytes = 1, False, False
        if types.is_fixed_size_binary(kind) and not types.is_decimal(kind):
            self.width, self.is_vector, self._is_bytes = kind.byte_width, True, True
            self.dtype = numpy.dtype("uint8")
            return
        if types.is_fixed_size_list(kind):
            self.width, self.is_vector, kind = kind.list_size, True, kind.value_type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise TypeError(
                f'column "{self.name}" of "{path}" is {field.type}, and a network needs numbers: drop it, write it as '
                "numbers, or let tabular.fit encode it."
            )
        self.dtype = numpy.dtype(kind.to_pandas_dtype())

    def numbers(self, column: Any, first: int) -> Array:
        """Return the numbers of a row group whose first row is `first`: (m,), or (m, width) of vectors.

        Raises
        ------
        UnreadableRowsError
            For missing values.
        """
        if column.null_count:
            at = first + int(numpy.flatnonzero(column.is_null().to_numpy())[0])
            raise UnreadableRowsError(
                f'column "{self.name}" of "{self.path}" has a missing value in row {at}: fill it.'
            )
        if not self.is_vector:
            found: Array = column.to_numpy()
            return found
        chunks = [self._vectors(chunk) for chunk in column.chunks if len(chunk)]
        return chunks[0] if len(chunks) == 1 else numpy.concatenate(chunks)

    def _vectors(self, chunk: Any) -> Array:
        if self._is_bytes:
            whole = numpy.frombuffer(chunk.buffers()[1], "uint8")
            part = whole[chunk.offset * self.width : (chunk.offset + len(chunk)) * self.width]
        else:
            values = chunk.flatten()
            if values.null_count:
                raise UnreadableRowsError(f'column "{self.name}" of "{self.path}" has missing values in its lists.')
            part = values.to_numpy(zero_copy_only=False)
        return part.reshape(len(chunk), self.width)
