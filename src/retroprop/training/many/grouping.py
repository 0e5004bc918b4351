"""The groups of trainings that one step can train, and the reasons why others are trained one by one."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from retroprop.backends.intake.batch import Batch
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.training.batch_stream import BatchStream
from retroprop.training.many.parts import BUDGET, bytes_of, cut
from retroprop.training.optimizers import OPTIMIZERS, UpdateRule
from retroprop.training.preparation import Preparation
from retroprop.training.step import has_custom_parts, without_rate

Numbered = tuple[int, Preparation]
"""A training, with the place of its network in the list."""


class Arrangement(NamedTuple):
    """The way in which trainings are run.

    Attributes
    ----------
    groups : list of (UpdateRule, list of Numbered)
        Those of one step, two or more, with their optimizer.
    alone : list of Numbered
        Those that are run one by one.
    reasons : dict
        Why: for each option that cannot be batched, the networks that have it.
    """

    groups: list[tuple[UpdateRule, list[Numbered]]]
    alone: list[Numbered]
    reasons: dict[str, list[int]]


def arranged(trainings: Sequence[Preparation], budget: int = BUDGET) -> Arrangement:
    """Return the groups of some trainings, each cut into parts whose arrays fit into so many bytes.

    A network whose batches are large for the backend is alone: its own step is faster.
    """
    generators = Counter(id(one.rng) for one in trainings)
    forms: dict[Any, list[Numbered]] = {}
    alone: list[Numbered] = []
    reasons: dict[str, list[int]] = {}
    for number, one in enumerate(trainings):
        if reason := _reason(one, shares=generators[id(one.rng)] > 1):
            reasons.setdefault(reason, []).append(number)
            alone.append((number, one))
        else:
            forms.setdefault(_form(one), []).append((number, one))
    groups = []
    for numbered in forms.values():
        first, rule = numbered[0][1], numbered[0][1].rule
        assert isinstance(rule, UpdateRule)
        work, m = sum(one.elements for _, one in numbered), max(one.order.batch_size for _, one in numbered)
        if not first.net.backend.stacks(first.net.layer_sizes, m, work):
            alone += numbered
            continue
        for part in cut(numbered, [bytes_of(one) for _, one in numbered], budget):
            if len(part) > 1:
                groups.append((rule, part))
            else:
                alone += part
    return Arrangement(groups, sorted(alone, key=lambda numbered: numbered[0]), reasons)


def _reason(one: Preparation, *, shares: bool) -> str:
    """Return the option for which a training cannot be one of a group, empty if there is none."""
    reasons = {
        f"optimizer={one.rule.name!r}": type(one.rule) not in OPTIMIZERS.values() or one.rule.full_batch,
        "a custom activation or loss": has_custom_parts(one.net.architecture),
        "batches from an iterator": isinstance(one.data, BatchStream),
        "x in a mapped file": isinstance(one.data, Batch) and isinstance(one.data.x, Mapped),
        "callbacks": bool(one.callbacks),
        "checkpoint": one.checkpoint is not None,
        "resume_from": one.resume_from is not None,
        "one generator as the seed of several": shares,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _form(one: Preparation) -> tuple[Any, ...]:
    """Return all that the trainings of one step have in common."""
    net, order, data, rule = one.net, one.order, one.stored, one.rule
    assert isinstance(rule, UpdateRule)
    return (
        net.backend,
        net.dtype,
        net.architecture._replace(l2=0.0, l1=0.0, dropout=tuple(bool(p) for p in net.architecture.dropout)),
        without_rate(rule),
        order.batch_size if len(order.windows) > 1 else None,
        *one.clips.values(),
        one.demands,
        data.x.dtype,
        data.y.dtype,
        data.y.ndim,
        data.weight is None,
        bool(one.metrics) and one.validation is None,
    )
