"""The interface of a captured step, and `RecordedStep`, which is recorded at its first call and then replayed."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakKeyDictionary

from retroprop.backends.plan.plan import Plan, Rules
from retroprop.backends.record.graph import NotTraceableError
from retroprop.backends.record.recorder import record
from retroprop.core.operations import Operations, overridden
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")


class CapturedStep:
    """A step as one unit; this class runs it as it is written.

    Parameters
    ----------
    step : callable
        As `Backend.capture` takes it.
    operations : Operations
        The backend's.
    donate : tuple of int
        The arguments whose memory the results may take.

    Attributes
    ----------
    runs : bool
        Whether it does consecutive steps in one call, by `run`.
    fewest : int
        The number of steps of K networks from which on it does so.
    draws : bool
        Whether `Masks` may be given in place of arrays of masks: the step draws them.
    compiled : bool
        Whether loops of it are compiled for a processor by the work that is to come; they round differently.
    """

    runs: ClassVar[bool] = False
    fewest: ClassVar[int] = 2
    draws: ClassVar[bool] = False
    compiled = False

    def __init__(self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...] = ()) -> None:
        self._step, self._operations, self._donate = step, operations, donate

    def __call__(self, *arguments: Any) -> Any:
        return self._step(self._operations, *arguments)

    def run(
        self,
        parameters: Any,
        state: Any,
        hypers: Sequence[tuple[float, ...]],
        data: Any,
        rows: Array,
        masks: Any = None,
        sizes: Any = None,
    ) -> tuple[Any, Any, Array] | None:
        """Do consecutive steps of training in one call, from these parameters and this state on.

        Step t has the hyper-parameters `hypers[t]`, the rows `rows[t]` of the data, an integer array (steps, m), and
        the masks `masks.after(t)`. It returns parameters, state and the costs, shape (steps,); or None, with nothing
        done, where it cannot do these in one call. Of K networks, `sizes` are how many of its rows each has.
        """
        return None


P = TypeVar("P")


class Recent(dict[Any, P]):
    """The entries used last: a step keeps 32 programs, whatever the sizes of its batches."""

    def used(self, key: Any) -> P:
        """Return the value of a key, now the one used last."""
        self[key] = self.pop(key)
        return self[key]

    def __setitem__(self, key: Any, value: P) -> None:
        super().__setitem__(key, value)
        if len(self) > 32:
            del self[next(iter(self))]


class RecordedStep(CapturedStep, Generic[P]):
    """A step that is replayed by a program for every form of its arguments (the last batch is smaller).

    What cannot be recorded runs as it is written; the reason is logged once. So does, if forms are `varied`, the first
    call of each but the first: to record it takes as long as many steps.
    """

    varied = False

    def __init__(self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...]) -> None:
        super().__init__(step, operations, donate)
        self._programs: Recent[P | None] = Recent()  # None: it runs as it is written
        self._called: Recent[None] = Recent()

    @abstractmethod
    def _lowered(self, form: tuple[Any, ...], arguments: tuple[Any, ...]) -> P:
        """Return the program for arguments of this form."""

    def _program(self, form: tuple[Any, ...], arguments: tuple[Any, ...]) -> P | None:
        """Return the program for arguments of this form, None where the step runs as it is written."""
        if form in self._programs:
            return self._programs.used(form)
        if self.varied and self._programs and form not in self._called:
            self._called[form] = None
            return None
        self._programs[form] = None
        try:
            self._programs[form] = self._lowered(form, arguments)
        except NotTraceableError as error:
            log.info("a step is not recorded, and runs as it is written: %s", error)
        except Exception as error:
            # Whatever a function from outside does to a symbol, or a compiler, a driver or a library that is not as
            # expected: slower is better than not at all. If the step itself is wrong, running it will say so.
            log.warning("a step is not recorded, and runs as it is written: %s: %s", type(error).__name__, error)
        return self._programs[form]

    def _planned(self, form: tuple[Any, ...], rules: Rules, change: Callable[[Any], Any] | None = None) -> Plan:
        """Return the plan of the step for arguments of this form; `change` is a pass over the recording first.

        A plan has no memory, so trainings share it, and it lives as long as the step. One recorded with operations that
        a backend overrides is this training's own: they may hold state.
        """
        plans = _plans.setdefault(self._step, Recent()) if not overridden(self._operations) else Recent()
        key = form, self._donate, rules, change
        if key not in plans:
            recording = record(self._step, self._operations, form, self._donate)
            plans[key] = Plan(recording if change is None else change(recording), rules)
        return plans.used(key)


_plans: WeakKeyDictionary[Callable[..., Any], Recent[Plan]] = WeakKeyDictionary()
