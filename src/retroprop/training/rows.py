"""The rows of an epoch in stretches: one if they are all in memory, else one for each read of the file."""

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from retroprop.backends import Backend
from retroprop.backends.host import Staging
from retroprop.backends.intake.batch import Batch, take_inputs, take_targets, take_weights
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.core.architecture import Architecture
from retroprop.functions.types import Array
from retroprop.network import Network

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


def taken(net: Network, x: Any, y: Any, sample_weight: Any, *, as_stored: bool, some: bool = True) -> Batch:
    """Return the data of a training, all values checked, as `Network.batch` does; `x` as `take_inputs` describes.

    `some` weight must be above 0.

    Raises
    ------
    TypeError, ValueError
        If they do not fit the network.
    """
    return taken_for(net.backend, net.architecture, net.dtype, x, y, sample_weight, as_stored=as_stored, some=some)


def taken_for(
    backend: Backend,
    architecture: Architecture,
    dtype: str,
    x: Any,
    y: Any,
    sample_weight: Any,
    *,
    as_stored: bool,
    some: bool = True,
) -> Batch:
    """Return the data of a training of any network of that form, as `taken` does."""
    with backend.active():
        x = take_inputs(backend, architecture, dtype, x, check=True, as_stored=as_stored)
        rows = tuple(x.shape[:-1])
        y = take_targets(backend, architecture, dtype, y, rows, check=True)
        return Batch(x, y, take_weights(backend, dtype, sample_weight, rows, check=True, some=some))


class Resident:
    """Data on the network's backend."""

    def __init__(self, backend: Backend, data: Batch) -> None:
        self._backend, self._data = backend, data

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the one stretch of an epoch, whose `order` is on the host."""
        yield Stretch(self._data, None if order is None else self._backend.asarray(order), windows)


class Streamed:
    """Data whose `x` is read on demand by a thread, one stretch ahead of the steps."""

    def __init__(self, backend: Backend, data: Batch) -> None:
        self._backend, self._data = backend, data
        self._operations = backend.operations()
        self._staging: Staging | None = None
        self._most = 0
        self._turn = 0

    def stretches(self, order: Array | None, windows: Sequence[slice]) -> Stretches:
        """Return the stretches of an epoch; each is valid until the next is requested.

        A caller that does not take all of them closes the generator, which waits for the current read. An error of a
        read is raised when its rows are requested.
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
                # They are in order already, but gathered if resident data would be: the same calls give the same bits.
                own = None if order is None else self._backend.xp.arange(_rows_of(part), device=self._backend.device)
                yield Stretch(data, own, [slice(w.start - span.start, w.stop - span.start) for w in part])

    def _parts(self, windows: Sequence[slice]) -> list[list[slice]]:
        """Return the windows in groups, one for each read."""
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
        """Return the targets and weights of some rows."""
        if order is None:
            y, weight = (None if part is None else part[span, ...] for part in self._data[1:])
        else:
            rows = self._backend.asarray(order[span])
            y, weight = (self._operations.gather(part, rows) for part in self._data[1:])
        return y, weight


def source_of(backend: Backend, data: Batch) -> Resident | Streamed:
    """Return the source of the rows of a training."""
    return Streamed(backend, data) if isinstance(data.x, Mapped) else Resident(backend, data)


def _span_of(part: Sequence[slice]) -> slice:
    return slice(part[0].start, part[-1].stop)


def _rows_of(part: Sequence[slice]) -> int:
    rows: int = part[-1].stop - part[0].start
    return rows
