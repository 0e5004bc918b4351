"""One fit of a stochastic solver, prepared: everything is checked and drawn, and the training has not begun."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass
from typing import Any

from retroprop.backends.backend import Demands
from retroprop.core.architecture import Architecture
from retroprop.estimators.checkpointing import EstimatorCall, Keeper
from retroprop.estimators.descent import Descent
from retroprop.estimators.ranks import compare
from retroprop.estimators.samples import Samples, Stream
from retroprop.estimators.steps import kept_step, step_of
from retroprop.estimators.stopping import Bests, Solver
from retroprop.estimators.validation import Validation
from retroprop.estimators.watching import Watching
from retroprop.training.batches import BatchOrder
from retroprop.training.epoch import Epochs, Figures
from retroprop.training.job import Job
from retroprop.training.saver import opened
from retroprop.training.step import estimated_elements

_Collection = tuple[list[Any], list["PreparedFit"]]
_COLLECTED: ContextVar[_Collection] = ContextVar("retroprop_prepared_fits", default=([], []))


@contextmanager
def collected(estimators: Sequence[Any]) -> Iterator[list["PreparedFit"]]:
    """Have `fit` of some estimators end before its training, which stands in the list: the caller trains them together.

    Others are trained at once, as those that a step of a pipeline fits and uses.
    """
    found: list[PreparedFit] = []
    token = _COLLECTED.set((list(estimators), found))
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


@dataclass
class PreparedFit:
    """A fit of an estimator that is to be trained: alone, or together with others.

    Attributes
    ----------
    estimator : BaseMLP
        With its initial weights.
    source : Samples or Stream
        The data.
    order : BatchOrder
        Which rows make a batch.
    architecture : Architecture
        The network to train.
    rng : RandomState
        Draws the orders.
    validation : Validation or None
        Is measured after each epoch.
    n : int
        The rows of an epoch, 0 if unknown.
    given : tuple
        X, y and the weights, as passed to `fit`.
    incremental : bool
        Whether it is a `partial_fit`.
    once : bool
        Whether the data are one epoch.
    together : int
        The number of fits that its steps train; 0 if it needs no step any more.
    job : Job or None
        The processes that share it.
    """

    estimator: Any
    source: Samples | Stream
    order: BatchOrder
    architecture: Architecture
    rng: Any
    validation: Validation | None
    _: KW_ONLY
    n: int = 0
    given: tuple[Any, Any, Any] = (None, None, None)
    incremental: bool = False
    once: bool = False
    together: int = 1
    job: Job | None = None

    def train(self) -> None:
        """Train it alone, with checkpoints if there are any; or leave it to the one who collects."""
        e, (estimators, waiting) = self.estimator, _COLLECTED.get()
        if any(e is one for one in estimators):
            waiting.append(self)
            return
        job, call = self.job, EstimatorCall(e, self.architecture, self.source, self.validation)
        if job is not None:
            compare(job, call, e._batch_rows(self.n))
        checkpoints = opened(e.checkpoint, None if job is None else job.signals, writes=job is None or job.rank == 0)
        with self.source.backend.active(), checkpoints as saver:
            training: Any = self.training(None if saver is None else Keeper(saver, call, job))
            answer: Figures | None = None
            error: BaseException | None = None
            while True:
                try:
                    epochs = training.send(answer) if error is None else training.throw(error)
                    error = None
                    answer = epochs.run()
                except BaseException as raised:  # Ctrl-C comes at any place, also here
                    if training.gi_frame is not None:
                        error = raised
                    elif isinstance(raised, StopIteration):
                        return
                    else:
                        raise

    def training(self, keeper: Keeper | None = None) -> Generator[Epochs, Figures | None, None]:
        """Train it: yield the epochs where one is to be run, take its figures or its error, and end the fit."""
        e, source, architecture = self.estimator, self.source, self.architecture
        # As in scikit-learn, only `partial_fit` continues with the moments and the learning rate of the fit before.
        solver, before = Solver.of(e), vars(e).get("_optimizer")
        if self.incremental and before is not None:
            solver = before.continued(solver)
        e._optimizer = solver
        least = e._begin_course(validates=self.validation is not None, incremental=self.incremental)
        epochs = 1 if self.once else e.max_iter
        if self.incremental:
            step = kept_step(e, source.backend, source.dtype, architecture, solver)
        else:
            steps = -(-self.n // e._batch_rows(self.n)) if self.n else 0
            own = estimated_elements(architecture, epochs * self.n, epochs * steps)
            work = own if keeper is None else keeper.begins_at.elements(own)
            # The first steps of a form that come varied round differently: not in a fit that may go on.
            demands = Demands(work=work, varied=not self.n and keeper is None)
            step = step_of(e, source.backend, architecture, solver, demands, self.job)
            if keeper is not None:
                keeper.bound(step, work)
        shows = self.job is None or self.job.rank == 0
        watching = Watching(e, epochs, self.n, self.given, incremental=self.incremental, shows=shows)
        bests = Bests.of(e, least)
        begin, descent = e._parameters(), None
        try:
            of = solver, begin, bests, source, self.order, self.rng, self.validation, keeper, self.job
            descent = Descent(e, architecture, step, *of)
            if self.job is not None:
                self.job.begin()
            yield from descent.run(epochs, watching, once=self.once)
            e._settle(descent.found(), source.backend, source.dtype, good=descent.good)
        except BaseException:
            # Of a function of the user, a warning made an error, Ctrl-C at the end: nothing that was computed is lost.
            if descent is not None and descent.has_updated:
                e._store(descent.found(interrupted=True), source.backend, source.dtype, good=descent.good)
            raise
        finally:
            watching.end()  # also after an error, so that the progress bar leaves the terminal in order
