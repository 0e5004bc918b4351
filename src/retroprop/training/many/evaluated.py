"""The figures of epochs that are computed from data: validation costs and metrics, of several networks at once."""

from collections.abc import Sequence
from math import prod

from retroprop.backends.intake.batch import Batch
from retroprop.core.backward import evaluate
from retroprop.training.many.member import Member
from retroprop.training.many.parts import BUDGET
from retroprop.training.many.stacked_course import StackedCourse
from retroprop.training.many.stacked_data import some_penalties
from retroprop.training.many.stacked_step import by_layer, penalty_of

Evaluated = tuple[float | None, dict[str, float]]
"""The validation cost, None without validation data, and the metrics by name."""


def evaluated_members(course: StackedCourse, ended: Sequence[int]) -> list[Evaluated]:
    """Return the figures of the epochs that some networks, by their rows, have ended."""
    found: dict[int, Evaluated] = {}
    held_out: dict[int, list[int]] = {}
    for row in ended:
        member = course.at(row)
        validation = member.preparation.validation
        if validation is not None:
            held_out.setdefault(id(validation), []).append(row)
        else:
            found[row] = None, _measured(course, member, _outputs(course, row)) if member.collects else {}
    for together in held_out.values():
        found |= _validated(course, together)
    return [found[row] for row in ended]


def _validated(course: StackedCourse, together: Sequence[int]) -> dict[int, Evaluated]:
    """Return the figures of networks with the same validation data."""
    backend, found = course.backend, dict[int, Evaluated]()
    batch = course.at(together[0]).preparation.validation
    assert batch is not None
    # All activations of so many networks are held at a time.
    of_one = backend.dtype_bytes(course.dtype) * prod(batch.x.shape[:-1]) * sum(course.architecture.layer_sizes)
    many = max(BUDGET // of_one, 1)
    for begin in range(0, len(together), many):
        some = together[begin : begin + many]
        take = course.taker(some)
        parameters = by_layer(take(course.parameters), course.architecture, backend.xp)
        operations = backend.operations()
        costs, a = evaluate(operations, course.architecture, parameters, *batch)
        if (penalties := some_penalties(course.data.penalties, take)) is not None:
            costs = costs + penalty_of(operations, parameters, penalties)
        for k, (row, cost) in enumerate(zip(some, backend.to_numpy(costs).tolist(), strict=True)):
            member = course.at(row)
            metrics = member.preparation.metrics
            found[row] = cost, _measured(course, member, batch._replace(x=a[k, ...])) if metrics else {}
    return found


def _outputs(course: StackedCourse, row: int) -> Batch:
    """Return outputs, targets and weights of the batches of the epoch of a network, in the order they ran in."""
    member, backend = course.at(row), course.backend
    _, y, weight = member.preparation.stored
    seen = course.seen[len(course.seen) - member.n_batches :]
    a = backend.xp.concat([one.a[row, : one.sizes[row], :] for one in seen], axis=0)
    if member.order is None:
        return Batch(a, y, weight)
    order, gather = backend.asarray(member.order), backend.operations().gather
    return Batch(a, gather(y, order), gather(weight, order))


def _measured(course: StackedCourse, member: Member, outputs: Batch) -> dict[str, float]:
    """Return the metrics of outputs, which stand in the place of x."""
    xp, to_numpy = course.backend.xp, course.backend.to_numpy
    return {metric.name: float(to_numpy(metric(*outputs, xp))) for metric in member.preparation.metrics}
