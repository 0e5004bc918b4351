"""Batches of rows that are read from sources, for whoever takes batches one by one."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from retroprop.backends import host, host_backend
from retroprop.backends.intake.batch import Batch
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.functions.types import Array
from retroprop.training import arguments
from retroprop.training.block_shuffle import minibatches
from retroprop.training.row_source import is_source
from retroprop.training.rows import source_of
from retroprop.training.source_rows import SourceRows
from retroprop.training.target_rows import MappedArray


class Batches:
    """The batches (x, y) of an epoch, read ahead by a thread: each call returns an iterator over those of the next one.

    The estimators train on it, `MLPClassifier().fit(rp.scale.Batches(x, y, batch_size=200, seed=0))`, and so does any
    library that takes batches; `rp.fit` takes x and y themselves.

    Parameters
    ----------
    x, y : RowSource or array
        Rows, and their targets or labels.
    batch_size : int
        Rows of a batch.
    shuffle : bool, str or BlockShuffle
        As for `rp.fit`.
    seed : int, Generator or None
        Draws the orders, those of `rp.fit` without dropout.

    Raises
    ------
    TypeError, ValueError
        For bad arguments.
    """

    def __init__(self, x: Any, y: Any, *, batch_size: int, shuffle: Any = True, seed: Any = None) -> None:
        arguments.check_counts(batch_size=batch_size)
        data = [_rows(part, name) for part, name in ((x, "x"), (y, "y"))]
        m, others = data[0].shape[0], data[1].shape[0]
        if m != others:
            raise ValueError(f"x has {m} rows and y {others}: pass one target for each row.")
        if m == 0:
            raise ValueError("x has no rows.")
        self._order = minibatches(m, batch_size, shuffle, data[0])
        self._source = source_of(host_backend(), Batch(data[0], data[1], None), None, self._order)
        self._rng = host.generator(seed)

    def __call__(self) -> Iterator[tuple[Array, Array]]:
        """Return an iterator over the batches of the next epoch; one epoch is read before the next."""
        order = self._order.draw(self._rng)
        with closing(self._source.stretches(order, self._order.windows)) as stretches:
            for data, rows, windows in stretches:
                for window in windows:
                    some = window if rows is None else rows[window]
                    yield host.xp.array(data.x[some]), host.xp.array(data.y[some])


def _rows(part: Any, name: str) -> Mapped:
    source = part if is_source(part) else MappedArray(part, name)
    return SourceRows(source, name=name, dtype=str(host.xp.dtype(source.dtype)))
