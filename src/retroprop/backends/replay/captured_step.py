"""A step that is recorded at its first call, and replayed from then on."""

import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import NotTraceableError
from retroprop.backends.record.recorder import Recording, form_of, record
from retroprop.backends.replay.program import Program, Target, Workspace

log = logging.getLogger("retroprop")


class Captured:
    """One training's step: for every form of its arguments (a last batch is smaller) a program over the same memory.

    Parameters
    ----------
    step : callable
        As `Backend.capture` takes it.
    plain : callable
        The same without a record, for a step that cannot be recorded.
    donate : tuple of int
        The arguments whose memory the results may take.
    library : Target
        What the programs are written for.
    planned : callable
        Plans a recording.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        plain: Callable[..., Any],
        donate: tuple[int, ...],
        library: Target,
        planned: Callable[[Recording], Plan],
    ) -> None:
        self._step, self._plain, self._donate = step, plain, donate
        self._library, self._planned = library, planned
        self._workspace = Workspace(library.empty)
        self._programs: dict[Any, Program] = {}
        self._refused: set[Any] = set()
        self._run: Callable[..., Any] = lambda *arguments: None

    def __call__(self, *arguments: Any) -> Any:
        results = self._run(*arguments)
        return self._change(arguments) if results is None else results

    def _change(self, arguments: tuple[Any, ...]) -> Any:
        """Return the results of arguments that the last program did not take."""
        # One of the others, as for the smaller batch at the end of an epoch: each sees at once whether they fit.
        for program in self._programs.values():
            if program.run is not self._run and (results := program.run(*arguments)) is not None:
                self._run = program.run
                return results
        run = self._program(arguments)
        results = run(*arguments)
        self._run = run if run is not self._plain else self._run
        return results

    def _program(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """Return what runs arguments of this form."""
        form = form_of(arguments)
        if form in self._refused:
            return self._plain
        try:
            if form not in self._programs:
                plan = plan_of(self._step, form, self._donate, self._planned)
                self._programs[form] = Program(plan, self._library, self._workspace)
            return self._programs[form].run
        except NotTraceableError as error:
            log.info("a step is not recorded, and runs as it is written: %s", error)
        except Exception as error:
            # Whatever a function from outside does to a symbol; if the step is wrong, the plain one will say so.
            log.warning("a step is not recorded, and runs as it is written: %s: %s", type(error).__name__, error)
        self._refused.add(form)  # said once, and tried once
        return self._plain


_plans: WeakKeyDictionary[Callable[..., Any], dict[Any, Plan]] = WeakKeyDictionary()


def plan_of(
    step: Callable[..., Any], form: tuple[Any, ...], donate: tuple[int, ...], planned: Callable[[Recording], Plan]
) -> Plan:
    """Return the plan of a step; it has no buffers, so trainings share it, and it goes with the step."""
    plans = _plans.setdefault(step, {})
    key = form, donate, planned
    if key not in plans:
        plans[key] = planned(record(step, form, donate))
    return plans[key]
