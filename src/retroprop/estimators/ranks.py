"""A fit that processes share: the same call on each, the same estimator on each."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy

from retroprop.backends import host_backend
from retroprop.estimators.checkpointing import MAY_DIFFER, EstimatorCall
from retroprop.estimators.samples import Samples
from retroprop.training import description, share
from retroprop.training.course import restored, state_of
from retroprop.training.job import Job


@contextmanager
def ranks_of(estimator: Any) -> Iterator[Job | None]:
    """Return the ranks of a fit for its time, None for one process; errors before the first step are those of all."""
    e = estimator
    if e.parallel is None:
        yield None
        return
    with (
        share.opened(e.parallel, host_backend(), deterministic=False, checkpoints=e.checkpoint is not None) as job,
        share.preparing(job),
        warnings.catch_warnings(),
    ):
        if job is not None and job.rank:
            warnings.simplefilter("ignore")  # rank 0 says it
        yield job


def generator_of(job: Job | None, rng: Any) -> Any:
    """Return the generator that all ranks draw from, in the state of rank 0's."""
    if job is None:
        return rng
    own = numpy.random.RandomState()
    restored(own, job.from_first(state_of(rng)))
    return own


def compare(job: Job, call: EstimatorCall, batch_rows: int) -> None:
    """Raise ValueError unless all ranks have made the same call, by the first field that differs.

    `batch_rows` are the rows of a batch of all ranks.
    """
    e, source, backend = call.estimator, call.source, call.source.backend
    options = {name: value for name, value in e.get_params(deep=False).items() if name not in MAY_DIFFER}
    options.pop("random_state")
    fields = {name: description.described(value) for name, value in options.items()}
    fields |= {"max_iter": e.max_iter, **description.of_network(call.architecture, backend, source.dtype)}
    if isinstance(source, Samples):
        data = source.data
        if source.sparse:
            data = data._replace(x=data.x.data.reshape(-1, 1) if data.x.nnz else numpy.zeros((1, 1)))
        there = host_backend() if source.sparse else backend
        fields |= share.fields_of(there, data, None, shard=False)
    job.compare(fields)
    if 0 < batch_rows < job.size:
        raise ValueError(
            f"a batch must have a row for each rank: batch_size counts the rows of all of them, and it is {batch_rows} "
            f"for {job.size} ranks."
        )
