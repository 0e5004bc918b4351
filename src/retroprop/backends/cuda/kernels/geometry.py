"""The grid of a kernel: how rows and columns are divided among blocks and threads."""

from typing import NamedTuple

THREADS = 256
LOAD_BYTES = 16  # the widest load of a thread
BLOCKS = 528  # four for each of the 132 multiprocessors of Hopper: they keep it busy, and their sums are few to add
MOST_BLOCKS = 8192


class Geometry(NamedTuple):
    """The grid of a kernel; over a 1-D domain only `width` and `grid` are used.

    A thread reads `width` elements with one load, `columns` times from a row, which it shares with `lanes` threads in
    all, a power of two up to 32; a block processes `rows` rows at a time. There are `strips` blocks in the x direction,
    each with columns of its own, and `tall` in the y direction, among which rows are divided.
    """

    width: int
    lanes: int = 1
    columns: int = 1
    rows: int = 1
    strips: int = 1
    tall: int = 1

    @property
    def grid(self) -> tuple[int, int, int]:
        """The blocks."""
        return self.strips, self.tall, 1


def geometry_of(domain: tuple[int, ...], itemsize: int, *, whole_rows: bool, sums: bool) -> Geometry:
    """Return the grid of a kernel over a domain, whose largest element has `itemsize` bytes.

    With `whole_rows` one group of threads must take a whole row. With `sums` blocks leave partial sums, so that there
    are few of them.
    """
    widest = max(LOAD_BYTES // max(itemsize, 1), 1)
    if len(domain) != 2:
        size = domain[0] if domain else 1
        width = min(widest, 4)
        blocks = -(-max(size, 1) // (THREADS * width))
        return Geometry(width, strips=min(blocks, BLOCKS if sums else MOST_BLOCKS))
    m, n = domain
    # Each row must begin where a wide load may, so that the width divides the row length.
    width = next(w for w in (4, 2, 1) if w <= widest and n % w == 0)
    loads = -(-max(n, 1) // width)
    # No more threads to a row than it has loads, or some would be idle; at most a warp, which exchanges sums.
    lanes = next(lanes for lanes in (1, 2, 4, 8, 16, 32) if lanes >= loads or lanes == 32)
    columns = -(-loads // lanes) if whole_rows else 1
    strips = 1 if whole_rows else -(-loads // lanes)
    rows = THREADS // lanes
    most = max(BLOCKS // strips, 1) if sums else max(MOST_BLOCKS // strips, 1)
    return Geometry(width, lanes, columns, rows, strips, min(-(-max(m, 1) // rows), most))
