"""The steps of many narrow networks as calls of the compiled function of one, the networks spread over the cores."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy

from retroprop.backends.cpu.native_networks import OF_THREAD, Networks, cores, is_joined, spread
from retroprop.backends.cpu.native_step import ALL, NativeStep, is_plain
from retroprop.backends.cpu.numba_target import NumbaLoops
from retroprop.backends.cpu.source_program import ReplayedStep
from retroprop.core.operations import Operations
from retroprop.functions.types import Array


class NativeStack(ReplayedStep):
    """A step of K networks. Those of one architecture and batch size have one program, each its row of the table.

    Steps that are not compiled, or whose outputs are asked for, are replayed call by call. `one` is `Demands.one`.
    """

    runs: ClassVar[bool] = True
    fewest: ClassVar[int] = 1

    def __init__(self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...], one: Any) -> None:
        super().__init__(step, operations, donate, NumbaLoops())
        self._one, self._data, self._alike = one, None, dict[Any, list[int]]()
        self._networks: dict[Any, Networks | None] = {}
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
            self._data, self._alike, self._networks = data, self._one.alike(data.penalties, len(parameters)), {}
        given = numpy.asarray(hypers, float)[..., 0]  # (steps, hyper-parameters, K)
        found = []
        for architecture, alike in self._alike.items():
            for m in sorted({sizes[k] for k in alike}):
                models = numpy.array([k for k in alike if sizes[k] == m])
                own = ALL[None] if rows is None else rows[:, None, :m] if rows.ndim == 2 else rows[..., :m]
                if rows is not None and rows.ndim == 3 and len(models) < len(sizes):
                    own = own[:, models]
                key = architecture, m, rows is None
                if key not in self._networks:
                    first = None if rows is None else own[0, 0]
                    self._networks[key] = self._of_program(architecture, arrays, given, int(models[0]), first)
                if (networks := self._networks[key]) is None:
                    return None
                found.append((networks, models, own))
        work = sum(networks.work(len(hypers), len(models)) for networks, models, _ in found)
        threads = max(min(cores(), max(len(models) for _, models, _ in found), work // OF_THREAD), 1)
        costs = [numpy.empty((len(models), len(hypers)), parameters.dtype) for _, models, _ in found]
        spread(
            [
                networks.part(arrays, given[..., models], models, own, into, threads)
                for (networks, models, own), into in zip(found, costs, strict=True)
            ],
            threads,
        )
        order = numpy.argsort(numpy.concatenate([models for _, models, _ in found]))
        return parameters, state, numpy.concatenate(costs)[order].T

    def _of_program(
        self, architecture: Any, arrays: Sequence[Array], given: Array, k: int, rows: Array | None
    ) -> Networks | None:
        """Return the networks like network k, None if they have no program."""
        if architecture not in self._steps:
            self._steps[architecture] = NativeStep(self._one.step(architecture), self._operations, self._donate)
        own, state, batch = self._one.arguments(arrays[0][k], [slot[k] for slot in arrays[1:]], self._data)
        hyper = tuple(given[0, :, k].tolist())
        program = self._steps[architecture].program_for(own, state, hyper, batch, rows, None)
        if program is None or not is_joined(program) or not all(map(is_plain, arrays)):
            return None
        return Networks(program, batch, self._data.offsets, gathers=rows is not None)  # type: ignore[attr-defined]
