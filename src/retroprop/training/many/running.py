"""Many trainings run: in groups where one step can train several, else one after another."""

import logging
from collections.abc import Mapping, Sequence

from retroprop.training.history import DivergenceError, History
from retroprop.training.many.group import Group
from retroprop.training.many.grouping import arranged
from retroprop.training.preparation import Preparation

log = logging.getLogger("retroprop")


def run(trainings: Sequence[Preparation]) -> list[History]:
    """Run the trainings; after Ctrl-C those that have not begun have histories without epochs.

    Raises
    ------
    Exception
        An error of the user's, with the histories so far as its attribute `histories`.
    """
    found: dict[int, History] = {}
    interrupted = "interrupted"
    arrangement = arranged(trainings)
    for option, numbers in arrangement.reasons.items():
        which = ", ".join(map(str, numbers[:20])) + (", ..." if len(numbers) > 20 else "")
        log.info("%s cannot be batched: one by one are trained the networks %s", option, which)
    try:
        for rule, numbered in arrangement.groups:
            group = Group(numbered, rule)
            histories = {member.number: member.history for member in group.course.active}
            found |= histories
            if not group.run():
                raise KeyboardInterrupt
        for number, training in arrangement.alone:
            try:
                found[number] = training.train()
            except DivergenceError as error:
                found[number] = _diverged(error, number)
            if found[number].stop_reason in ("interrupted", "terminated"):
                interrupted = found[number].stop_reason
                break
    except KeyboardInterrupt:
        log.info("interrupted: the trainings that have not begun are left out")
    except Exception as error:
        error.histories = _all(found, len(trainings), "error")  # type: ignore[attr-defined]
        raise
    return _all(found, len(trainings), interrupted)


def _all(found: Mapping[int, History], k: int, reason: str) -> list[History]:
    """Return k histories, those that are not found without epochs."""
    return [found[i] if i in found else History(stop_reason=reason) for i in range(k)]


def _diverged(error: DivergenceError, number: int) -> History:
    """Return the history of a training that diverged, with the error, and report it."""
    log.warning("nets[%d]: %s", number, error)
    # Without the frames of the training, which would hold its data.
    error.history.error = error.with_traceback(None)
    return error.history
