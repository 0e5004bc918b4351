"""A step of a narrow network as a call of one compiled function, and a run of steps as one call too."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy

from retroprop.backends.cpu.native_program import NativeProgram
from retroprop.backends.cpu.native_rules import pays, rules_for
from retroprop.backends.cpu.native_trial import NativeTrial
from retroprop.backends.cpu.numba_target import NumbaLoops
from retroprop.backends.cpu.numpy_calls import NumpyCalls
from retroprop.backends.cpu.source_program import ReplayedStep, SourceProgram
from retroprop.backends.record import tree
from retroprop.backends.record.graph import NotTraceableError
from retroprop.backends.record.recorder import form_of
from retroprop.backends.replay.captured_step import Recent
from retroprop.core.operations import Operations
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
ALL = numpy.empty((1, 0), numpy.int64)  # no rows: all of the data, where they are
MASK_BYTES = 1 << 20  # of masks that are drawn before a call


class NativeStep(ReplayedStep):
    """A step with the arguments of `CapturedStep.run`; one that is not compiled is replayed call by call."""

    runs: ClassVar[bool] = True

    def __init__(self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...]) -> None:
        self._loops = NumbaLoops()
        super().__init__(step, operations, donate, self._loops)
        self._natives: Recent[NativeProgram | None] = Recent()  # None: it is not compiled
        self._native: NativeProgram | None = None  # of the last step
        self._data: Any = None
        self._read: tuple[int, bool] | None = None  # the rows of its batch, and whether they are gathered
        self._sizes: dict[tuple[int, bool], NativeProgram | None] = {}  # the programs for these data

    def __call__(self, *arguments: Any) -> Any:
        program = self.program_for(*arguments) if len(arguments) == 6 else None
        if program is None:
            return super().__call__(*arguments)
        _, _, hyper, _, rows, masks = arguments
        program.take(arguments, numpy.copyto)
        indices = ALL if rows is None else rows[None]
        return program.result(program.steps([hyper], indices, None if masks is None else [masks])[0])

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
        """Do consecutive steps: step t uses `hypers[t]` and the row indices `rows[t]`."""
        drawn = None if masks is None else masks.drawn()
        first = parameters, state, hypers[0], data, rows[0], drawn
        program = self.program_for(*first)
        if program is None:
            return None
        program.take(first, numpy.copyto)
        if masks is None or drawn is None:
            costs = program.steps(hypers, rows)
        else:
            many = max(MASK_BYTES // sum(mask.nbytes for mask in drawn if mask is not None), 1)
            parts = [slice(at, min(at + many, len(hypers))) for at in range(0, len(hypers), many)]
            each = ([masks.after(t).drawn() for t in range(part.start, part.stop)] for part in parts)
            costs = numpy.concatenate(
                [program.steps(hypers[part], rows[part], some) for part, some in zip(parts, each, strict=True)]
            )
        return program.kept[0], program.kept.get(1, state), costs

    def program_for(
        self, parameters: Any, state: Any, hyper: Any, data: Any, rows: Array | None, masks: Any
    ) -> NativeProgram | None:
        """Return the program for arguments of this form, which reads these data; None if there is none."""
        key = data[0].shape[0] if rows is None else rows.shape[0], rows is not None
        if data is not self._data:
            self._data, self._read, self._sizes = data, None, {}
        if key != self._read:
            if key not in self._sizes:
                self._sizes[key] = self._of_form(parameters, state, hyper, data, key[0], masks)
            self._read, self._native = key, self._sizes[key]
            if self._native is not None:
                self._native.read(data, gathers=key[1])
        return self._native

    def _of_form(self, parameters: Any, state: Any, hyper: Any, data: Any, m: int, masks: Any) -> NativeProgram | None:
        if not all(is_plain(part, m) for part in data if part is not None):
            return None
        # All programs gather rows: without rows they read all of the data where they are.
        batch = type(data)(*(part if part is None else part[:m] for part in data))
        arguments = parameters, state, hyper, batch, numpy.arange(m), masks
        form = form_of(arguments)
        if form not in self._natives:
            self._natives[form] = self._compiled(form, arguments)
        return self._natives.used(form)

    def _compiled(self, form: tuple[Any, ...], arguments: tuple[Any, ...]) -> NativeProgram | None:
        """Return the program for arguments of this form that has passed its trial on them; None without one."""
        m = arguments[4].shape[0]
        try:
            plan = self._planned(form, rules_for(m))
            if not pays(plan):
                return None
            program = NativeProgram(plan, self._loops, self._workspace)
            return program if self._passes(program, form, arguments) else None
        except NotTraceableError as error:
            log.info("steps are not done in compiled runs: %s", error)
        except Exception as error:  # whatever a compiler or a library does that is not as expected
            log.warning("steps are not done in compiled runs: %s: %s", type(error).__name__, error)
        return None

    def _passes(self, program: NativeProgram, form: tuple[Any, ...], arguments: tuple[Any, ...]) -> bool:
        """Return whether a step of a program has the results of NumPy's own calls; it leaves no effect of either."""
        *_, hyper, data, rows, masks = arguments
        planned = SourceProgram(self._planned(form, NumpyCalls.rules), NumpyCalls(), self._workspace)
        own = [program.kept.get(i, argument) for i, argument in enumerate(arguments[:2])]  # SGD has no state

        def plain() -> list[Array]:
            *_, cost, a = planned.run(*own, hyper, data, rows, masks)
            return [numpy.asarray(cost), a]

        def compiled() -> list[Array]:
            costs = program.steps([hyper], rows[None], None if masks is None else [masks])
            *_, cost, a = program.result(costs[0])
            return [numpy.asarray(cost), a]

        program.take(arguments, numpy.copyto)
        program.read(data, gathers=True)
        return NativeTrial([leaf for kept in own for leaf in tree.leaves(kept)], plain).passes(compiled)


def is_plain(array: Array, m: int = 0) -> bool:
    """Return whether compiled code may read an array, of m rows at least, by its address."""
    flags = array.flags
    return bool(flags.c_contiguous and flags.aligned and array.dtype.isnative and array.shape[0] >= m)
