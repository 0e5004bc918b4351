"""A program as one compiled function that does a whole run of steps, and the tables that it reads."""

import os
from collections.abc import Sequence
from itertools import pairwise
from threading import Thread
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

# The time of a step as bytes of its block that it takes as long to go through, and those for which a thread is started.
OF_STEP, OF_THREAD = 5_000, 800_000
OF_BLAS = 2**18  # multiplications up to which OpenBLAS does a product on one thread


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
        self._function = native_run(source.text, tuple(loops), frozenset(source.readers), self.cost_dtype.name)
        self._slots, columns = source.slots, source.numbers
        self._given: dict[int, Array] = {}  # the data, by the index of their nodes
        self._gathers = True
        self._stacked_key: Any = None
        self._inputs = [node for node in plan.graph if node.op == "number"]
        self._varying = [(i, column.index) for i, column in enumerate(columns) if isinstance(column, Node)]
        self._constants = numpy.array([0.0 if isinstance(column, Node) else column for column in columns])
        self._results = self.returned(lambda node: node if node is plan.cost else self.array(node))
        self._cost_at = next(i for i, result in enumerate(self._results) if result is plan.cost)
        self._table = numpy.zeros((1, source.width), numpy.int64)
        for at, size in source.sizes:
            self._table[0, at] = size
        for slot in source.slots:
            self._table[0, slot.at] = target.address(slot.array)

    def read(self, data: tuple[Array | None, ...], *, gathers: bool) -> None:
        """Read rows of these data from now on, or without `gathers` all of them where they are."""
        nodes = tree.leaves(self.plan.recording.arguments[3])
        given: dict[int, Any] = {n.index: array for n, array in zip(nodes, data, strict=True) if isinstance(n, Node)}
        self._given, self._gathers, self._stacked_key = given, gathers, None
        for slot in self._slots:
            if slot.given is not None and slot.given.index in given:
                self._table[0, slot.at] = given[slot.given.index].ctypes.data
            elif slot.gathered is not None:
                array = slot.array if gathers else given[slot.gathered.index]
                self._table[0, slot.at] = array.ctypes.data

    def steps(
        self, hypers: Sequence[Any], rows: Array, masks: Sequence[tuple[Array | None, ...]] | None = None
    ) -> Array:
        """Do consecutive steps, and return their costs.

        `rows` are (steps, m) or, for all of the data where they are, (1, 0).
        """
        drawn = [] if masks is None else self._drawn(masks)
        costs = numpy.empty((1, len(hypers)), self.cost_dtype)
        rows = numpy.require(rows[:, None], numpy.int64, ["C", "W"])
        numbers = self._numbers(numpy.asarray(hypers, float)[..., None])
        self._function(0, 1, len(hypers), self._table, numbers, rows, costs)
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
        for slot in self._slots:
            if slot.given is not None and slot.given.index in drawn:
                self._table[0, slot.at] = drawn[slot.given.index].ctypes.data
        return list(drawn.values())

    def _numbers(self, given: Array) -> Array:
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

    # Many networks ---------------------------------------------------------------------------------------------------

    @property
    def joined(self) -> bool:
        """Whether Θ and b lie one after another in C order, as in a row of the parameters of many networks."""
        leaves = tree.leaves(self.kept[0])
        begin = numpy.cumsum([0, *(leaf.nbytes for leaf in leaves[:-1])]) + leaves[0].ctypes.data
        return all(leaf.flags.c_contiguous and leaf.ctypes.data == at for leaf, at in zip(leaves, begin, strict=True))

    def stacked(
        self,
        arrays: Sequence[Array],
        offsets: Sequence[Array | None],
        given: Array,
        models: Array,
        rows: Array,
    ) -> Array:
        """Do consecutive steps of some networks, and return their costs, (steps, models).

        `arrays`, (K, P), are the parameters and the slots of all networks, which are overwritten; `offsets` as in
        `StackedData`. `given` and `rows` are those of `models`, as `_numbers` and the function take them.
        """
        steps, k = len(given), len(models)
        # The steps of a network are one after another on one thread, so that the number of threads changes no bit.
        work = steps * k * (self.plan.nbytes + OF_STEP)
        threads = max(min(_cores(self.plan), k, work // OF_THREAD), 1)
        firsts = [k * i // threads for i in range(threads + 1)]
        key = threads, models.tobytes(), *(array.ctypes.data for array in arrays)
        if key != self._stacked_key:
            self._stacked_key, self._stacked_table = key, self._table_of(arrays, offsets, models, firsts)
        table = self._stacked_table
        indices = numpy.require(rows, numpy.int64, ["C", "W"])
        costs, numbers = numpy.empty((k, steps), self.cost_dtype), self._numbers(given)

        def call(first: int, last: int) -> None:
            self._function(first, last, steps, table, numbers, indices, costs)

        others = [Thread(target=call, args=part) for part in pairwise(firsts[1:])]
        for thread in others:
            thread.start()
        try:
            call(firsts[0], firsts[1])
            for thread in others:
                thread.join()
        except KeyboardInterrupt:  # what they write is read afterwards
            for thread in others:
                thread.join()
            raise
        return costs.T

    def _table_of(
        self, arrays: Sequence[Array], offsets: Sequence[Array | None], models: Array, firsts: Sequence[int]
    ) -> Array:
        """Return the rows of the table of some networks; thread i has those from `firsts[i]` on, and its own block."""
        block, table = self.block.ctypes.data, numpy.repeat(self._table, len(models), axis=0)
        shifts = numpy.zeros(len(models), numpy.int64)
        for i, first in enumerate(firsts[1:-1], start=1):
            shifts[first:] = self.workspace.piece(f"block {i}", self.plan.nbytes).ctypes.data - block
        kept = [tree.leaves(part)[0].ctypes.data for part in (self.kept[0], *self.kept.get(1, ()))]
        nodes = tree.leaves(self.plan.recording.arguments[3])
        begin = {node.index: offset for node, offset in zip(nodes, offsets, strict=True) if isinstance(node, Node)}
        for slot in self._slots:
            address, column = slot.array.ctypes.data, table[:, slot.at]
            owner = slot.given if self._gathers or slot.gathered is None else slot.gathered
            if owner is not None and owner.index in begin:
                if (offset := begin[owner.index]) is not None:
                    column += offset[models, 0] * self._given[owner.index].strides[0]
            elif block <= address < block + self.block.nbytes:
                column += shifts
            else:
                for base, array in zip(kept, arrays, strict=True):
                    if base <= address < base + array.strides[0]:
                        column[:] = array.ctypes.data + models * array.strides[0] + address - base
        return table


def _cores(plan: Plan) -> int:
    """Return the number of cores that Numba counts, or is given in NUMBA_NUM_THREADS; 1 where the BLAS takes them."""
    from numba import config

    alone = "1" in map(os.environ.get, ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
    largest = max(node.size * node.inputs[0].shape[-1] for node in plan.wanted if node.op == "matmul")
    return int(config.NUMBA_NUM_THREADS) if alone or largest <= OF_BLAS else 1
