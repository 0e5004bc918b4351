"""The block shuffle: an order of the rows, new in each epoch, whose neighbours lie in few blocks of the file."""

from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any, Literal, TypeAlias

from retroprop.backends import host
from retroprop.functions.names import flag
from retroprop.functions.types import Array, RandomGenerator
from retroprop.training.batches import Minibatches
from retroprop.training.row_source import chunk_rows_of

BLOCK = 2**20  # bytes of a block where the data have no chunks
MIXED = 16  # blocks that are mixed,
MOST = 2**27  # as far as they have no more bytes


@dataclass(frozen=True, kw_only=True)
class BlockShuffle:
    """An order of the rows that reads whole blocks, for data that are slow to read row by row.

    The blocks are drawn in a random order, `buffer_blocks` of them at a time are mixed, and the rows of each such
    buffer are drawn in a random order. Each row comes once an epoch; a seed determines the order.

    Parameters
    ----------
    block_rows : int, optional
        Rows of a block: by default those of a chunk of x or, if it has none, 1 MiB of rows.
    buffer_blocks : int, optional
        Blocks that are mixed, by default 16, or as many as have 128 MiB, 2 at least. Twice as many are held in memory:
        of x, and of y if that is read too.
    """

    block_rows: int | None = None
    buffer_blocks: int | None = None

    def __post_init__(self) -> None:
        for name in ("block_rows", "buffer_blocks"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be a whole number, not {value!r}.")
            if value < 1:
                raise ValueError(f"{name} must be 1 or above, not {value!r}.")

    def order(self, m: int, rng: RandomGenerator) -> Array:
        """Return an order of m rows, on the host; both parameters are known."""
        assert self.block_rows is not None
        assert self.buffer_blocks is not None
        xp, size = host.xp, self.block_rows
        n_blocks = ceil(m / size)
        # Half the memory of 64 bits, which counts where the data are larger than memory.
        found = host.xp.empty(m, "int32" if m <= 2**31 else "int64")
        at, within = 0, host.xp.arange(size, dtype=found.dtype)
        blocks = rng.permutation(n_blocks).astype(found.dtype)
        # Buffers of about one size: a last one of a single block would hardly be mixed.
        for buffer in xp.array_split(blocks, ceil(n_blocks / self.buffer_blocks)):
            rows = (buffer[:, None] * size + within).reshape(-1)
            rows = rows[rows < m]
            found[at : at + len(rows)] = rows[rng.permutation(len(rows))]
            at += len(rows)
        return found


Shuffle: TypeAlias = bool | Literal["rows", "blocks"] | BlockShuffle


class BlockBatches(Minibatches):
    """All rows once an epoch, in the order of a block shuffle; the other parameters are those of `Minibatches`.

    Attributes
    ----------
    blocks : BlockShuffle
        With its number of rows.
    """

    def __init__(self, m: int, batch_size: int | None, blocks: BlockShuffle) -> None:
        super().__init__(m, batch_size, shuffle=True)
        self.blocks = blocks

    def draw(self, rng: RandomGenerator, last: Array | None = None) -> Array | None:
        return self.blocks.order(self.m, rng) if self.shuffle else None


def minibatches(m: int, batch_size: int | None, shuffle: Any, x: Any) -> Minibatches:
    """Return the order of a training of m rows.

    Parameters
    ----------
    m, batch_size
        As for `Minibatches`.
    shuffle : bool, str or BlockShuffle
        As `fit` describes it.
    x : array or Mapped
        The data, whose chunks are the blocks.

    Raises
    ------
    TypeError, ValueError
        For any other `shuffle`.
    """
    if isinstance(shuffle, BlockShuffle):
        blocks = shuffle
    elif isinstance(shuffle, str):
        if shuffle not in ("rows", "blocks"):
            raise ValueError(f"shuffle must be True, False, 'rows', 'blocks' or a BlockShuffle, not {shuffle!r}.")
        if shuffle == "rows":
            return Minibatches(m, batch_size, shuffle=True)
        blocks = BlockShuffle()
    elif flag("shuffle", shuffle) and (chunk_rows_of(x) or 1) > 1:
        blocks = BlockShuffle()
    else:
        return Minibatches(m, batch_size, shuffle=shuffle)
    a_row = max(prod(x.shape[1:]) * host.xp.dtype(str(x.dtype).rpartition(".")[2]).itemsize, 1)
    block_rows = blocks.block_rows or chunk_rows_of(x) or max(BLOCK // a_row, 1)
    mixed = blocks.buffer_blocks or max(min(MIXED, MOST // (block_rows * a_row)), 2)
    return BlockBatches(m, batch_size, replace(blocks, block_rows=min(block_rows, m), buffer_blocks=mixed))


def described(order: Any) -> Any:
    """Return the shuffle of an order as its description has it."""
    if isinstance(order, BlockBatches) and order.shuffle:
        return order.blocks
    return isinstance(order, Minibatches) and order.shuffle
