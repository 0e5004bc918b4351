"""The share of a rank in one training: the agreement with the others, its rows, its part of the evaluation."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any
from zlib import crc32

from retroprop._version import __version__
from retroprop.backends import Backend, host, host_backend
from retroprop.backends.backend import Demands
from retroprop.backends.intake.batch import Batch
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.functions.types import RandomGenerator
from retroprop.network import Network
from retroprop.training import saver
from retroprop.training.beginning import Beginning, beginning, copy_of
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.course import restored, state_of
from retroprop.training.division import Division, Rows
from retroprop.training.fit_call import FitCall
from retroprop.training.job import Job
from retroprop.training.optimizers import UpdateRule, minibatch_names
from retroprop.training.parallel import Parallel
from retroprop.training.signals import REASONS, Signals
from retroprop.training.split_epoch import SplitEpochs
from retroprop.training.split_evaluation import SplitEvaluation
from retroprop.training.split_step import SplitStep

SAMPLES = 64  # rows of the data by which ranks compare them


class Share:
    """The share of this rank in a training whose data it has passed.

    Attributes
    ----------
    job : Job
        The ranks.
    m : int
        The rows of all ranks.
    validation : SplitEvaluation or None
        Evaluates the validation data, None without any.
    """

    def __init__(self, job: Job, backend: Backend, data: Batch, validation: Batch | None) -> None:
        self.job, self.m = job, data.x.shape[0]
        own = self.m, 0 if validation is None else validation.x.shape[0]
        of_training, of_validation = None, None
        m_validation = own[1]
        if job.shard:
            total = None if data.weight is None else float(backend.to_numpy(backend.xp.sum(data.weight)))
            totals, every = zip(*job.exchange((total, own)), strict=True)
            if totals.count(None) not in (0, job.size):
                raise ValueError("sample_weight must be passed on every rank, or on none.")
            if None not in totals and not sum(totals) > 0.0:
                raise ValueError("sample_weight is 0 for every row of every rank, so none has a part in the cost.")
            firsts = [sum(column) for column in zip(*every[: job.rank], (0, 0), strict=True)]
            of_training, of_validation = (Rows(first, n) for first, n in zip(firsts, own, strict=True))
            self.m, m_validation = map(sum, zip(*every, strict=True))
        self._division = Division(job.rank, job.size, job.parts, of_training)
        self.validation = None
        if validation is not None:
            of = Division(job.rank, job.size, job.parts, of_validation)
            self.validation = SplitEvaluation(job, of, validation, m_validation)

    def agreed(
        self,
        run: FitCall,
        net: Network,
        rng: RandomGenerator,
        data: Batch,
        validation: Batch | None,
        *,
        epochs: int,
        callbacks: Sequence[Any],
    ) -> FitCall:
        """Compare a call with those of the other ranks, and give network and generator the state of rank 0's.

        Returns
        -------
        FitCall
            The call as checkpoints describe it, whatever the number of ranks.

        Raises
        ------
        ValueError
            If the calls differ, by the first field that does; or if a batch has fewer rows than there are ranks.
        """
        job, backend = self.job, net.backend
        job.check()
        job.compare(
            {
                **run.description(but=True),
                "epochs": epochs,
                "callbacks": [type(callback).__qualname__ for callback in callbacks],
                **fields_of(backend, data, validation, shard=job.shard),
            }
        )
        smallest = run.options["batch_size"] or self.m
        if smallest < job.size:
            raise ValueError(
                f"a batch must have a row for each rank: batch_size counts the rows of all of them, and it is "
                f"{smallest} for {job.size} ranks."
            )
        first = job.from_first([backend.to_numpy(leaf) for leaf in net.parameters.leaves])
        if job.rank:
            net.parameters = net.parameters.like([backend.asarray(leaf, copy=True) for leaf in first])
        restored(rng, job.from_first(state_of(rng)))
        if job.deterministic:
            run = replace(run, options={**run.options, "parts of a batch": job.parts})
        return replace(run, data=(None,) * 4) if job.shard else run

    def opened(self, checkpoint: Checkpoint | None) -> AbstractContextManager[saver.Saver | None]:
        """Open the folder of checkpoints, on rank 0 alone."""
        return saver.opened(None if self.job.rank else checkpoint, self.job.signals)

    def beginning(self, run: FitCall, checkpoints: saver.Saver | None, resume_from: Any) -> Beginning:
        """Return where the training begins, which is where rank 0 finds it."""
        found: Beginning | None = None
        if self.job.rank == 0:
            found = beginning(run, checkpoints, resume_from)
            if found.history is not None:
                found = found._replace(history=copy_of(found.history))
        agreed: Beginning = self.job.from_first(found)
        return agreed

    def step(self, net: Network, rule: Any, *, demands: Demands, **clips: Any) -> SplitStep:
        """Return the step of this rank; raise ValueError if the steps of others round differently."""
        if not isinstance(rule, UpdateRule):
            raise ValueError(
                f"the optimizer {rule.name!r} does not go with parallel: use one of {', '.join(minibatch_names())}."
            )
        demands = demands._replace(varied=self.job.shard)
        step = SplitStep(net.backend, net.architecture, rule, self.job.ranks, **clips, demands=demands)
        self.job.compare({"compiled loops": step.compiled})
        return step

    @property
    def epochs(self) -> Any:
        """The class of the epochs of this training, as `Epochs` is called."""
        return partial(SplitEpochs, self.job, self._division)


@contextmanager
def opened(
    parallel: Parallel | None, backend: Backend, *, deterministic: bool, checkpoints: bool
) -> Iterator[Job | None]:
    """Return the ranks of a training for its time; None for one process, whose training is then that without ranks.

    With `checkpoints` all signals end the training after a step, otherwise Ctrl-C.
    """
    if parallel is None:
        yield None
        return
    with parallel.open(backend, deterministic=deterministic) as ranks:
        if ranks.size == 1 and not deterministic:
            yield None
            return
        with Signals(REASONS if checkpoints else ("SIGINT",)) as signals:
            yield Job(ranks, parallel, signals, deterministic=deterministic)


@contextmanager
def ready(parallel: Parallel | None) -> Iterator[Job | None]:
    """Return a context of work before a training, such as reading its data, that all ranks leave together."""
    with opened(parallel, host_backend(), deterministic=False, checkpoints=False) as job, preparing(job):
        yield job


def preparing(job: Job | None) -> AbstractContextManager[None]:
    """Return a context that all ranks leave together, as `Job.preparing` does."""
    return nullcontext() if job is None else job.preparing()


def fields_of(backend: Backend, data: Batch, validation: Batch | None, *, shard: bool) -> dict[str, Any]:
    """Return the fields that ranks compare: versions, shapes, and a sample of the rows that all have."""
    found: dict[str, Any] = {
        "the version of retroprop": __version__,
        "the version of NumPy": host.xp.__version__,
        f"the version of {backend.name}": backend.version(),
    }
    for before, batch in (("", data), ("validation ", validation)):
        names = ("x", "y", "sample_weight")
        for name, array in zip(names, (None, None, None) if batch is None else batch, strict=True):
            found[f"{before}{name}"] = None if array is None else _form(backend, array, shard=shard)
    return found


def _form(backend: Backend, array: Any, *, shard: bool) -> tuple[Any, ...]:
    dtype, shape = str(array.dtype).rpartition(".")[2], tuple(array.shape)
    if shard:
        return dtype, shape[1:]
    rows = host.xp.unique(host.xp.linspace(0, shape[0] - 1, SAMPLES).astype("int64"))
    if isinstance(array, Mapped):
        sample = host.xp.empty((len(rows), *shape[1:]), array.dtype)
        array.read(rows, sample)
    else:
        sample = backend.to_numpy(backend.xp.take(array, backend.asarray(rows), axis=0))
    return dtype, shape, f"a sample of rows with the checksum {crc32(sample.tobytes()):08x}"
