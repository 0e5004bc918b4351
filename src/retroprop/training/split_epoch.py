"""One epoch of a training that ranks share: each computes its rows of every batch, and all do the same updates."""

from collections.abc import Sequence
from typing import Any

from retroprop.backends.intake.batch import Batch
from retroprop.functions.types import Array
from retroprop.training.batches import in_order
from retroprop.training.division import Division, OwnRows
from retroprop.training.epoch import BatchSource, Epochs
from retroprop.training.gathering import gathered
from retroprop.training.job import Job
from retroprop.training.split_step import BatchPart, SplitStep


class SplitEpochs(Epochs):
    """The epochs of one training on one of its ranks.

    Its course is that of the whole training: batches, costs and collected outputs are those of all ranks. The further
    arguments are those of `Epochs`.
    """

    step: SplitStep

    def __init__(self, job: Job, division: Division, *args: Any, source: BatchSource, **options: Any) -> None:
        super().__init__(*args, source=OwnRows(source, division), **options)
        self.job, self.division = job, division

    def _steps(self, data: Batch, order: Array | None, windows: Sequence[slice]) -> None:
        """Do the steps of a stretch, whose windows are of this rank's rows."""
        for window in windows:
            course, hyper = self.course, self.hyper(self.course.n_updates)
            whole = self.order.windows[course.n_batches]
            m = whole.stop - whole.start
            places = self.division.places(course.order, whole)
            parts = [self._part(data, order, window, m, some, at) for some, at in self._spans(window, places, m)]
            self.torn = True
            found = self.step(course.parameters, course.state, hyper, parts, self.job.wish)
            weighs = self.weighs and data.weight is not None
            self.course = course._replace(
                parameters=found.parameters,
                state=found.state,
                n_updates=course.n_updates + 1,
                n_batches=course.n_batches + 1,
                costs=(*course.costs, found.cost),
                weights=(*course.weights, found.total) if weighs else course.weights,
                batch_sizes=(*course.batch_sizes, m),
                seen=(*course.seen, self._gathered(parts, found.outputs, places, m)) if self.collects else course.seen,
            )
            self.torn = False
            self.job.hear(found.wishes)
            self.advance(m)

    def _spans(self, window: slice, places: Any, m: int) -> list[tuple[slice, Any]]:
        """Return the parts of this rank in a batch: a window over its rows, and their places in the batch."""
        if self.division.rows is not None:
            return [(window, places)]
        spans = self.division.spans(m)
        begin = spans[0].start
        return [(slice(window.start + s.start - begin, window.start + s.stop - begin), s) for s in spans]

    def _part(self, data: Batch, order: Array | None, window: slice, m: int, some: slice, places: Any) -> BatchPart:
        batch, rows = (in_order(data, some), None) if order is None else (data, order[some])
        return BatchPart(batch, rows, self.division.masks(self.masks, self.course.n_updates, m, places))

    def _gathered(self, parts: list[BatchPart], outputs: list[Array], places: Any, m: int) -> Batch:
        """Return outputs, targets and weights of a whole batch, on every rank."""
        own = [
            Batch(None, *(one if part.rows is None else self.gather(one, part.rows) for one in part.data[1:]))
            for part in parts
        ]
        own = [one for one in own if one.y.shape[0]]
        found = [one._replace(x=a) for one, a in zip(own, outputs, strict=True)]
        return gathered(self.job.ranks, self.backend, self.course.parameters, found, parts[0].data, places, m)
