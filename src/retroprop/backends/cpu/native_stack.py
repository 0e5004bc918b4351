"""The steps of many narrow networks as calls of the compiled function of one, the networks spread over the cores."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy

from retroprop.backends.cpu.native_program import NativeProgram
from retroprop.backends.cpu.native_step import ALL, NativeStep, is_plain
from retroprop.backends.cpu.numba_target import NumbaLoops
from retroprop.backends.cpu.source_program import ReplayedStep
from retroprop.core.operations import Operations
from retroprop.functions.types import Array


class NativeStack(ReplayedStep):
    """A step of K networks. Those of one architecture and batch size have one program, each its row of the table.

    What is not compiled, and steps whose outputs are asked for, are replayed call by call. `one` is `Demands.one`.
    """

    runs: ClassVar[bool] = True
    fewest: ClassVar[int] = 1

    def __init__(self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...], one: Any) -> None:
        super().__init__(step, operations, donate, NumbaLoops())
        self._one, self._data, self._alike = one, None, dict[Any, list[int]]()
        self._batches: dict[Any, Any] = {}
        self._steps: dict[Any, NativeStep] = {}

    def run(
        self,
        parameters: Any,
        state: Any,
        hypers: Sequence[tuple[Any, ...]],
        data: Any,
        rows: Array | None,
        masks: Any = None,
        sizes: Any = None,
    ) -> tuple[Any, Any, Array] | None:
        arrays = parameters, *state
        if data is not self._data:
            self._data, self._alike, self._batches = data, self._one.alike(data.penalties, len(parameters)), {}
        given = numpy.asarray(hypers, float)[..., 0]  # (steps, hyper-parameters, K)
        calls = []
        for architecture, alike in self._alike.items():
            for m in sorted({sizes[k] for k in alike}):
                models = numpy.array([k for k in alike if sizes[k] == m])
                own = ALL[None] if rows is None else rows[:, None, :m] if rows.ndim == 2 else rows[:, models, :m]
                indices = None if rows is None else own[0, 0]
                if (program := self._program_of(architecture, arrays, given, models[0], indices)) is None:
                    return None
                calls.append((program, models, own))
        costs = numpy.empty((len(hypers), len(parameters)), parameters.dtype)
        for program, models, own in calls:
            costs[:, models] = program.stacked(arrays, data.offsets, given[..., models], models, own)
        return parameters, state, costs

    def _program_of(
        self, architecture: Any, arrays: Sequence[Array], given: Array, k: int, rows: Array | None
    ) -> NativeProgram | None:
        """Return the program of the networks like network k, None if there is none."""
        if architecture not in self._steps:
            self._steps[architecture] = NativeStep(self._one.step(architecture), self._operations, self._donate)
        own, state, batch = self._one.arguments(arrays[0][k], [slot[k] for slot in arrays[1:]], self._data)
        batch = self._batches.setdefault(architecture, batch)  # one object, which is looked at once
        hyper = tuple(given[0, :, k].tolist())
        program = self._steps[architecture].program_for(own, state, hyper, batch, rows, None)
        return program if program is not None and program.joined and all(map(is_plain, arrays)) else None
