"""The agreement of ranks that train networks of their own: they have made the same call."""

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from retroprop.backends.intake.batch import Batch
from retroprop.functions.types import Array
from retroprop.training import share
from retroprop.training.course import restored, state_of
from retroprop.training.description import described
from retroprop.training.job import Job
from retroprop.training.many.grouping import Arrangement, Numbered
from retroprop.training.many.parts import BUDGET, bytes_of, cut
from retroprop.training.optimizers import UpdateRule
from retroprop.training.preparation import Preparation
from retroprop.training.step import bind


def agree(job: Job, trainings: Sequence[Preparation], arrangement: Arrangement) -> None:
    """Compare the trainings with those of the other ranks, and give networks and generators the state of rank 0's.

    Raises
    ------
    ValueError
        If they differ, by the first field that does; for batches from an iterator.
    """
    fields: dict[str, Any] = {"the number of networks": len(trainings)}
    known: dict[tuple[int, ...], dict[str, Any]] = {}
    for one in trainings:
        fields |= {f"{name} of {one.name}": value for name, value in _fields(one, known).items()}
    groups = [numbered for _, numbered in arrangement.groups] + [[one] for one in arrangement.alone]
    fields["the networks that one step trains"] = [[number for number, _ in numbered] for numbered in groups]
    fields["compiled loops"] = list(map(_compiles, groups))
    job.compare(fields)
    for part in cut(trainings, list(map(bytes_of, trainings)), BUDGET):
        for one, (leaves, state) in zip(part, job.from_first(list(map(_state, part))), strict=True):
            if job.rank:
                net, backend = one.net, one.net.backend
                net.parameters = net.parameters.like([backend.asarray(leaf, copy=True) for leaf in leaves])
                restored(one.rng, state)


def _state(one: Preparation) -> tuple[list[Array], Any]:
    """Return the parameters of a network, on the host, and the state of its generator."""
    return [one.net.backend.to_numpy(leaf) for leaf in one.net.parameters.leaves], state_of(one.rng)


def _fields(one: Preparation, known: dict[tuple[int, ...], dict[str, Any]]) -> dict[str, Any]:
    """Return the fields of a training; `known` has those of the data of others."""
    if not isinstance(one.data, Batch):
        raise ValueError(f"{one.name}: parallel needs all rows: pass x and y, or train alone on batches.")
    key = tuple(map(id, (*one.data, *(one.validation or ()))))
    if key not in known:
        known[key] = share.fields_of(one.net.backend, one.data, one.validation, shard=False)
    return {
        **one.call.description(but=True),
        "epochs": one.epochs,
        "callbacks": [type(callback).__qualname__ for callback in one.callbacks],
        "rows": None if one.rows is None else f"{len(one.rows)} with the checksum {crc32(one.rows.tobytes()):08x}",
        "checkpoint": described(one.checkpoint),
        "resume_from": None if one.resume_from is None else f"a history of {len(one.resume_from)} epochs",
        **known[key],
    }


def _compiles(numbered: Sequence[Numbered]) -> bool | None:
    """Return whether the step of some trainings has compiled loops; None for an optimizer with a step of its own."""
    first = numbered[0][1]
    if not isinstance(first.rule, UpdateRule):
        return None
    work = sum(one.elements for _, one in numbered)
    demands = first.demands._replace(work=work)
    return bind(first.net.backend, first.net.architecture, first.rule, demands=demands).compiled
