"""The rows of a file in the order of an epoch: row by row, or from blocks that are held in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

from retroprop.backends.intake.mapped_file import Mapped
from retroprop.functions.types import Array
from retroprop.training.block_buffer import BlockBuffer
from retroprop.training.block_shuffle import BlockShuffle
from retroprop.training.row_source import chunk_rows_of

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

HELD = 8  # chunks that are held where no block shuffle says how many


class FileRows:
    """The rows of x or y.

    Parameters
    ----------
    rows : Mapped
        The source that is read.
    blocks : BlockShuffle or None
        The order of the epochs, if it is one of blocks.
    """

    def __init__(self, rows: Mapped, blocks: BlockShuffle | None) -> None:
        self._rows, self._buffer, self._ahead = rows, None, 0
        chunk = chunk_rows_of(rows)
        if blocks is not None:
            assert blocks.block_rows is not None
            assert blocks.buffer_blocks is not None
            size = chunk or blocks.block_rows
            # Those of the buffer in use, and of the next. A block may begin and end within a chunk.
            each = ceil(blocks.block_rows / size) + (blocks.block_rows % size > 0)
            self._buffer = BlockBuffer(rows, size, 2 * blocks.buffer_blocks * each)
            self._ahead = blocks.block_rows * blocks.buffer_blocks
        elif chunk is not None:
            self._buffer, self._ahead = BlockBuffer(rows, chunk, HELD), chunk

    @contextmanager
    def open(self, loader: "ThreadPoolExecutor") -> Iterator[None]:
        """Return a context in which rows can be read, blocks by the thread of `loader`."""
        if self._buffer is None:
            yield
        else:
            with self._buffer.open(loader):
                yield

    def read(self, order: Array | None, span: slice, into: Array) -> None:
        """Write the rows of a span of an order into an array; None is the order in which they are stored."""
        if self._buffer is None:
            self._rows.read(span if order is None else order[span], into)
            return
        rows = span if order is None else order[span]
        next_ones = slice(span.start, min(span.stop + self._ahead, self._rows.shape[0]))
        self._buffer.read(rows, into, next_ones if order is None else order[next_ones])
