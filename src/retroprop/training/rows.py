"""The rows of an epoch in stretches: one if they are all in memory, else one for each read of the file."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from math import prod
from typing import Any, NamedTuple

from retroprop.backends import Backend, host
from retroprop.backends.host import Staging
from retroprop.backends.intake.batch import Batch
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.functions.types import Array
from retroprop.training.block_shuffle import BlockBatches, BlockShuffle
from retroprop.training.file_rows import FileRows

# Bytes per read: enough for the full speed of a disk and a bus, and about the size of a processor's cache
STRETCH = 2**23


class Stretch(NamedTuple):
    """Consecutive batches.

    Attributes
    ----------
    data : Batch
        Their data, on the network's backend.
    order : integer array or None
        The rows of `data` in order, on the network's backend; None is the order they are stored in.
    windows : sequence of slice
        The batches, as slices of that order.
    """

    data: Batch
    order: Array | None
    windows: Sequence[slice]


Stretches = Generator[Stretch, None, None]


class Resident:
    """Data on the network's backend; of some `rows` of them, if given, the order of an epoch is that of those."""

    def __init__(self, backend: Backend, data: Batch, rows: Array | None = None) -> None:
        self._backend, self._data, self._rows = backend, data, rows

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the one stretch of an epoch, whose `order` is on the host."""
        order = among(self._rows, order)
        yield Stretch(self._data, None if order is None else self._backend.asarray(_for_the_backend(order)), windows)


class Streamed:
    """Data whose `x`, and perhaps `y`, are read on demand by a thread, one stretch ahead of the steps.

    `rows` are as for `Resident`. With a block shuffle, and of data in chunks, whole blocks are read, by another thread.
    """

    def __init__(
        self, backend: Backend, data: Batch, rows: Array | None = None, blocks: BlockShuffle | None = None
    ) -> None:
        self._backend, self._data, self._rows = backend, data, rows
        self._operations = backend.operations()
        self._staging: Staging | None = None
        self._most = 0
        self._turn = 0
        self._x = FileRows(data.x, blocks)
        self._y = FileRows(data.y, blocks) if isinstance(data.y, Mapped) else None

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the stretches of an epoch; each is valid until the next is requested.

        A caller that does not take all of them closes the generator, which waits for the current read. An error of a
        read is raised when its rows are requested.
        """
        from concurrent.futures import ThreadPoolExecutor

        order, parts = among(self._rows, order), self._parts(windows)
        staging = self._room_for(max(_rows_of(part) for part in parts))

        def read(number: int, turn: int) -> Array | None:
            span, m = _span_of(parts[number]), _rows_of(parts[number])
            self._x.read(order, span, staging.room(turn, m))
            if self._y is None:
                return None
            y: Array = host.xp.empty((m, *self._data.y.shape[1:]), self._data.y.dtype)
            self._y.read(order, span, y)
            return y

        with ExitStack() as stack:
            # Entered last, as a read that goes on needs the blocks' thread: it ends first.
            loader = stack.enter_context(ThreadPoolExecutor(1, "retroprop-blocks"))
            for one in filter(None, (self._x, self._y)):
                stack.enter_context(one.open(loader))
            reader = stack.enter_context(ThreadPoolExecutor(1, "retroprop-rows"))
            coming = reader.submit(read, 0, self._turn)
            for number, part in enumerate(parts):
                y = coming.result()
                x = staging.moved(self._turn, _rows_of(part))
                self._turn += 1
                if number + 1 < len(parts):
                    coming = reader.submit(read, number + 1, self._turn)
                span = _span_of(part)
                data = Batch(x, *self._beside(order, span, y))
                # They are in order already, but gathered if resident data would be: the same calls give the same bits.
                own = None if order is None else self._backend.xp.arange(_rows_of(part), device=self._backend.device)
                yield Stretch(data, own, [slice(w.start - span.start, w.stop - span.start) for w in part])

    def _parts(self, windows: Sequence[slice]) -> list[list[slice]]:
        """Return the windows in groups, one for each read."""
        a_row = sum(prod(rows.shape[1:]) * rows.dtype.itemsize for rows in self._data[:2] if isinstance(rows, Mapped))
        parts: list[list[slice]] = []
        for window in windows:
            follows = bool(parts) and parts[-1][-1].stop == window.start
            if follows and (window.stop - parts[-1][0].start) * a_row <= STRETCH:
                parts[-1].append(window)
            else:
                parts.append([window])
        return parts

    def _room_for(self, rows: int) -> Staging:
        if self._staging is None or self._most < rows:
            self._staging, self._most = self._backend.staging((rows, self._data.x.shape[1]), self._data.x.dtype), rows
            self._turn = 0
        return self._staging

    def _beside(self, order: Array | None, span: slice, y: Array | None) -> tuple[Array | None, Array | None]:
        """Return the targets and weights of some rows, of which `y` has been read if it is in a file."""
        parts = self._data[1:] if y is None else (None, self._data.weight)
        if order is None:
            found, weight = (None if part is None else part[span, ...] for part in parts)
        else:
            rows = self._backend.asarray(_for_the_backend(order[span]))
            found, weight = (self._operations.gather(part, rows) for part in parts)
        return (found if y is None else self._backend.asarray(y)), weight


def source_of(backend: Backend, data: Batch, rows: Array | None = None, order: Any = None) -> Resident | Streamed:
    """Return the source of the rows of a training: of all of the data, or of some `rows` of them, on the host."""
    if isinstance(data.x, Mapped):
        return Streamed(backend, data, rows, order.blocks if isinstance(order, BlockBatches) else None)
    return Resident(backend, data, rows)


def among(rows: Array | None, order: Array | None) -> Array | None:
    """Return the places in the data of an order of some `rows` of them; None is all rows, as they are stored."""
    if rows is None:
        return order
    return rows if order is None else rows[order]


def _for_the_backend(order: Array) -> Array:
    """Return indices in the dtype that every library takes."""
    return order.astype("int64", copy=False)


def _span_of(part: Sequence[slice]) -> slice:
    return slice(part[0].start, part[-1].stop)


def _rows_of(part: Sequence[slice]) -> int:
    rows: int = part[-1].stop - part[0].start
    return rows
