"""A program as one compiled function that does a whole run of steps, and the tables that it reads."""

from collections.abc import Sequence
from typing import Any

import numpy

from retroprop.backends.cpu.native_functions import native_loop, native_run
from retroprop.backends.cpu.native_source import NativeSource
from retroprop.backends.cpu.numba_source import NumbaLoopSource
from retroprop.backends.cpu.numba_target import NumbaLoops, reorders
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError
from retroprop.backends.record.table import HOST_ARITHMETIC
from retroprop.backends.replay.program import Program, Workspace
from retroprop.functions.types import Array


class NativeProgram(Program):
    """A plan as a compiled function, in the memory of one training."""

    def __init__(self, plan: Plan, target: NumbaLoops, workspace: Workspace) -> None:
        super().__init__(plan, target, workspace)
        if any(i not in self.kept and tree.leaves(plan.recording.arguments[i]) for i in plan.recording.donated):
            raise NotTraceableError("a donated argument is not replaced by a result in its place.")
        loops: list[Any] = []

        def loop(one: Instruction, source: NumbaLoopSource, disjoint: bool) -> str:
            loops.append(native_loop(source.text, reorders(one), disjoint))
            return str(loops[-1].__name__)

        source = NativeSource(self, lambda node, one: target.argument(node, one, self), loop)
        assert plan.cost is not None
        self.source, self.cost_dtype = source.text, plan.cost.dtype
        self.function = native_run(source.text, tuple(loops), frozenset(source.readers), self.cost_dtype.name)
        self.slots, columns = source.slots, source.numbers
        self._inputs = [node for node in plan.graph if node.op == "number"]
        self._varying = [(i, column.index) for i, column in enumerate(columns) if isinstance(column, Node)]
        self._constants = numpy.array([0.0 if isinstance(column, Node) else column for column in columns])
        self._results = self.returned(lambda node: node if node is plan.cost else self.array(node))
        self._cost_at = next(i for i, result in enumerate(self._results) if result is plan.cost)
        self.table = numpy.zeros((1, source.width), numpy.int64)
        for at, size in source.sizes:
            self.table[0, at] = size
        for slot in source.slots:
            self.table[0, slot.at] = target.address(slot.array)

    def read(self, data: tuple[Array | None, ...], *, gathers: bool) -> None:
        """Read rows of these data from now on, or without `gathers` all of them where they are."""
        nodes = tree.leaves(self.plan.recording.arguments[3])
        given: dict[int, Any] = {n.index: array for n, array in zip(nodes, data, strict=True) if isinstance(n, Node)}
        for slot in self.slots:
            if slot.given is not None and slot.given.index in given:
                self.table[0, slot.at] = given[slot.given.index].ctypes.data
            elif slot.gathered is not None:
                array = slot.array if gathers else given[slot.gathered.index]
                self.table[0, slot.at] = array.ctypes.data

    def steps(
        self, hypers: Sequence[Any], rows: Array, masks: Sequence[tuple[Array | None, ...]] | None = None
    ) -> Array:
        """Do consecutive steps, and return their costs.

        `rows` are (steps, m) or, for all of the data where they are, (1, 0).
        """
        drawn = [] if masks is None else self._drawn(masks)
        costs = numpy.empty((1, len(hypers)), self.cost_dtype)
        rows = numpy.require(rows[:, None], numpy.int64, ["C", "W"])
        numbers = self.numbers(numpy.asarray(hypers, float)[..., None])
        self.function(0, 1, len(hypers), self.table, numbers, rows, costs)
        del drawn  # until now the function read it
        return costs[0]

    def result(self, cost: Array) -> Any:
        """Return the results of the last step, whose cost is given."""
        at = self._cost_at
        return type(self._results)(*self._results[:at], cost, *self._results[at + 1 :])

    def _drawn(self, masks: Sequence[tuple[Array | None, ...]]) -> list[Array]:
        """Point at the masks of consecutive steps, side by side in new arrays; return these."""
        nodes = self.plan.recording.arguments[5]
        drawn = {
            node.index: numpy.stack([numpy.asarray(of_step[i]) for of_step in masks])
            for i, node in enumerate(nodes)
            if isinstance(node, Node)
        }
        for slot in self.slots:
            if slot.given is not None and slot.given.index in drawn:
                self.table[0, slot.at] = drawn[slot.given.index].ctypes.data
        return list(drawn.values())

    def numbers(self, given: Array) -> Array:
        """Return the numbers (steps, K, columns) of consecutive steps; `given` are (steps, hyper-parameters, K)."""
        values: dict[int, Any] = {node.index: given[:, i] for i, node in enumerate(self._inputs)}
        for node in self.host_numbers:
            x, y = (values[i.index] if isinstance(i, Node) else i for i in node.inputs)
            values[node.index] = HOST_ARITHMETIC[node.op](x, y)
        table = numpy.empty((len(given), given.shape[-1], len(self._constants)))
        table[:] = self._constants
        for i, index in self._varying:
            table[..., i] = values[index]
        return table
