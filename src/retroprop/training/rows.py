"""The rows of an epoch in stretches: one where they are all in memory, else as many at a time as are read at once."""

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch, take_inputs, take_targets, take_weights
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.backends.staging import Staging
from retroprop.functions.types import Array
from retroprop.network import Network

STRETCH = 2**23  # bytes read at a time: a disk and a bus are at their speed, and a processor's cache is not much less


class Stretch(NamedTuple):
    """Batches that follow one another.

    Attributes
    ----------
    data : Batch
        Where the network computes.
    order : integer array or None
        The rows of `data` in order, where the network computes; None is the order they are in.
    windows : sequence of slice
        The batches, as parts of that order.
    """

    data: Batch
    order: Array | None
    windows: Sequence[slice]


Stretches = Generator[Stretch, None, None]


def taken(net: Network, x: Any, y: Any, sample_weight: Any, *, as_stored: bool) -> Batch:
    """Return the data of a training, values looked at: as `Network.batch` does, or with `x` as `take_inputs` says.

    Raises
    ------
    TypeError, ValueError
        If they are no data of this network.
    """
    backend, architecture, dtype = net.backend, net.architecture, net.dtype
    with backend.active():
        x = take_inputs(backend, architecture, dtype, x, check=True, as_stored=as_stored)
        rows = tuple(x.shape[:-1])
        y = take_targets(backend, architecture, dtype, y, rows, check=True)
        return Batch(x, y, take_weights(backend, dtype, sample_weight, rows, check=True))


class Resident:
    """Data that are where the network computes."""

    def __init__(self, backend: Backend, data: Batch) -> None:
        self._backend, self._data = backend, data

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the one stretch of an epoch, whose `order` is on the host."""
        yield Stretch(self._data, None if order is None else self._backend.asarray(order), windows)


class Streamed:
    """Data whose `x` is read as it is needed, one stretch ahead of the steps, on a thread."""

    def __init__(self, backend: Backend, data: Batch) -> None:
        self._backend, self._data = backend, data
        self._operations = backend.operations()
        self._staging: Staging | None = None
        self._most = 0
        self._turn = 0

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the stretches of an epoch; each holds until the next is asked for.

        Whoever does not take all of them closes the generator, which waits for the read under way. What goes wrong
        while reading is raised where the rows would be taken.
        """
        parts = self._parts(windows)
        staging = self._room_for(max(_rows_of(part) for part in parts))

        def read(number: int, turn: int) -> None:
            span = _span_of(parts[number])
            into = staging.room(turn, _rows_of(parts[number]))
            self._data.x.read(span if order is None else order[span], into)

        with ThreadPoolExecutor(1, "retroprop-rows") as reader:
            coming: Future[None] = reader.submit(read, 0, self._turn)
            for number, part in enumerate(parts):
                coming.result()
                x = staging.moved(self._turn, _rows_of(part))
                self._turn += 1
                if number + 1 < len(parts):
                    coming = reader.submit(read, number + 1, self._turn)
                span = _span_of(part)
                data = Batch(x, *self._beside(order, span))
                # In order they are, and yet gathered where resident data are: by the same calls, to the same bits.
                own = None if order is None else self._backend.xp.arange(_rows_of(part), device=self._backend.device)
                yield Stretch(data, own, [slice(w.start - span.start, w.stop - span.start) for w in part])

    def _parts(self, windows: Sequence[slice]) -> list[list[slice]]:
        """Return the windows in parts that are read at once."""
        a_row = self._data.x.shape[1] * self._data.x.dtype.itemsize
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

    def _beside(self, order: Array | None, span: slice) -> tuple[Array | None, Array | None]:
        """Return targets and weights of some rows."""
        if order is None:
            y, weight = (None if part is None else part[span, ...] for part in self._data[1:])
        else:
            rows = self._backend.asarray(order[span])
            y, weight = (self._operations.gather(part, rows) for part in self._data[1:])
        return y, weight


def source_of(backend: Backend, data: Batch) -> Resident | Streamed:
    """Return where the rows of a training come from."""
    return Streamed(backend, data) if isinstance(data.x, Mapped) else Resident(backend, data)


def _span_of(part: Sequence[slice]) -> slice:
    return slice(part[0].start, part[-1].stop)


def _rows_of(part: Sequence[slice]) -> int:
    rows: int = part[-1].stop - part[0].start
    return rows
