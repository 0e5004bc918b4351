"""A step that is recorded at its first call, and replayed from then on."""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from retroprop.backends.tracing.plan import Plan
from retroprop.backends.tracing.program import Library, Program, Workspace
from retroprop.backends.tracing.recording import Recording, form_of, record

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
    library : Library
        What the programs are written for.
    planned : callable
        Plans a recording.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        plain: Callable[..., Any],
        donate: tuple[int, ...],
        library: Library,
        planned: Callable[[Recording], Plan],
    ) -> None:
        self._step, self._plain, self._donate = step, plain, donate
        self._library, self._planned = library, planned
        self._workspace = Workspace(library.empty)
        self._programs: dict[Any, Program] = {}
        self._run: Callable[..., Any] = lambda *arguments: None

    def __call__(self, *arguments: Any) -> Any:
        results = self._run(*arguments)
        if results is None:
            self._run = self._program(arguments)
            results = self._run(*arguments)
        return results

    def _program(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """Return what runs arguments of this form."""
        form = form_of(arguments)
        if form not in self._programs:
            try:
                plan = _planned(self._step, form, self._donate, self._planned)
                self._programs[form] = Program(plan, self._library, self._workspace)
            except Exception as error:
                # Whatever a function from outside does to a symbol; if the step is wrong, the plain one will say so.
                log.info("a step is not recorded, and runs as it is written: %s", error)
                return self._plain
        return self._programs[form].run


@lru_cache(maxsize=64)
def _planned(
    step: Callable[..., Any], form: tuple[Any, ...], donate: tuple[int, ...], planned: Callable[[Recording], Plan]
) -> Plan:
    """Return the plan of a step; it has no buffers, so trainings share it."""
    return planned(record(step, form, donate))
