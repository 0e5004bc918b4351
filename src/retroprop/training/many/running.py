"""Many trainings run: in groups where one step can train several, else one after another."""

import logging
from collections.abc import Collection, Mapping, Sequence

from retroprop.training.history import DivergenceError, History
from retroprop.training.many.group import Group
from retroprop.training.many.grouping import Arrangement, arranged
from retroprop.training.preparation import Preparation
from retroprop.training.signals import StopSignals

log = logging.getLogger("retroprop")


def run(trainings: Sequence[Preparation]) -> list[History]:
    """Run the trainings; after Ctrl-C those that have not begun have histories without epochs.

    Raises
    ------
    Exception
        An error of the user's, with the histories so far as its attribute `histories`.
    """
    arrangement = arranged(trainings)
    report(arrangement)
    return run_some(arrangement, range(len(trainings)), len(trainings))


def report(arrangement: Arrangement) -> None:
    """Log the networks that are trained one by one, and why."""
    for option, numbers in arrangement.reasons.items():
        which = ", ".join(map(str, numbers[:20])) + (", ..." if len(numbers) > 20 else "")
        log.info("%s cannot be batched: one by one are trained the networks %s", option, which)


def run_some(
    arrangement: Arrangement, numbers: Collection[int], k: int, signals: StopSignals | None = None
) -> list[History]:
    """Run those of k trainings that have the given numbers, in the arrangement of all; the others count as not begun.

    Raises
    ------
    Exception
        As `run`.
    """
    found: dict[int, History] = {}
    reason = ""
    try:
        for rule, among in arrangement.groups:
            if numbered := [one for one in among if one[0] in numbers]:
                group = Group(numbered, rule, work=sum(one.elements for _, one in among), signals=signals)
                found |= {member.number: member.history for member in group.course.active}
                if reason := group.run():
                    break
        for number, training in () if reason else arrangement.alone:
            if number in numbers:
                try:
                    found[number] = training.train(signals)
                except DivergenceError as error:
                    found[number] = _diverged(error, training.name)
                if found[number].stop_reason in ("interrupted", "terminated"):
                    reason = found[number].stop_reason
                    break
    except KeyboardInterrupt:
        reason = "interrupted"
    except Exception as error:
        error.histories = _all(found, k, "error")  # type: ignore[attr-defined]
        raise
    if reason:
        log.info("%s: the trainings that have not begun are left out", reason)
    return _all(found, k, reason or "interrupted")


def _all(found: Mapping[int, History], k: int, reason: str) -> list[History]:
    """Return k histories, those that are not found without epochs."""
    return [found[i] if i in found else History(stop_reason=reason) for i in range(k)]


def _diverged(error: DivergenceError, name: str) -> History:
    """Return the history of a training that diverged, with the error, and report it."""
    log.warning("%s: %s", name, error)
    # Without the frames of the training, which would hold its data.
    error.history.error = error.with_traceback(None)
    return error.history
