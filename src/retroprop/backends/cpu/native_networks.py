"""Networks of one program side by side: each has its row of the table, and threads share them."""

import os
from collections.abc import Sequence
from threading import Thread
from typing import Any

import numpy

from retroprop.backends.cpu.native_program import NativeProgram
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node
from retroprop.functions.types import Array

# The time of a step as bytes of its block that it takes as long to go through, and those for which a thread is started.
OF_STEP, OF_THREAD = 5_000, 800_000
OF_BLAS = 2**18  # multiplications up to which OpenBLAS does a product on one thread


class Networks:
    """Some of K networks, which have one program.

    Parameters
    ----------
    program : NativeProgram
        Of one of them.
    data : tuple of array or None
        In the order of the program's argument.
    offsets : sequence of integer array (K, 1) or None
        The first row of each part of the data for each network.
    gathers : bool
        Whether rows are gathered, or all of the data are read where they are.
    """

    def __init__(
        self, program: NativeProgram, data: Sequence[Any], offsets: Sequence[Array | None], *, gathers: bool
    ) -> None:
        self.program, self._gathers = program, gathers
        nodes = zip(tree.leaves(program.plan.recording.arguments[3]), data, offsets, strict=True)
        self._data = {node.index: (part, offset) for node, part, offset in nodes if isinstance(node, Node)}
        self._read: tuple[Any, ...] = ()
        self._table = program.table

    def work(self, steps: int, k: int) -> int:
        """Return the work of steps of k of them; 0 where the BLAS divides the largest product among the cores."""
        plan = self.program.plan
        alone = "1" in map(os.environ.get, ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
        largest = max(node.size * node.inputs[0].shape[-1] for node in plan.wanted if node.op == "matmul")
        return steps * k * (plan.nbytes + OF_STEP) if alone or largest <= OF_BLAS else 0

    def part(
        self, arrays: Sequence[Array], given: Array, models: Array, rows: Array, costs: Array, threads: int
    ) -> Any:
        """Return the function that does the consecutive steps of thread i in place, `part(i)`.

        `arrays`, (K, P), are parameters and slots. Of `models` are given the hyper-parameters, the rows, and the array
        for the costs, (models, steps). All steps of a network are on one thread, so their number changes no bit.
        """
        k, read = len(models), (threads, models.tobytes(), *(array.ctypes.data for array in arrays))
        firsts = [k * i // threads for i in range(threads + 1)]
        if read != self._read:
            self._read, self._table = read, self._table_of(arrays, models, firsts)
        rows = numpy.require(rows, numpy.int64, ["C", "W"])
        rest = len(given), self._table, self.program.numbers(given), rows, costs
        return lambda i: self.program.function(firsts[i], firsts[i + 1], *rest)

    def _table_of(self, arrays: Sequence[Array], models: Array, firsts: Sequence[int]) -> Array:
        """Return the rows of the table; thread i has those from `firsts[i]` on, and its own block."""
        program, block = self.program, self.program.block.ctypes.data
        table, shifts = numpy.repeat(program.table, len(models), axis=0), numpy.zeros(len(models), numpy.int64)
        for i, first in enumerate(firsts[1:-1], start=1):
            shifts[first:] = program.workspace.piece(f"block {i}", program.plan.nbytes).ctypes.data - block
        kept = [tree.leaves(part)[0].ctypes.data for part in (program.kept[0], *program.kept.get(1, ()))]
        for slot in program.slots:
            address, column = slot.array.ctypes.data, table[:, slot.at]
            owner = slot.given if self._gathers or slot.gathered is None else slot.gathered
            if owner is not None and owner.index in self._data:
                part, offset = self._data[owner.index]
                column[:] = part.ctypes.data
                if offset is not None:
                    column += offset[models, 0] * part.strides[0]
            elif block <= address < block + program.block.nbytes:
                column[:] = address + shifts
            else:
                for base, array in zip(kept, arrays, strict=True):
                    if base <= address < base + array.strides[0]:
                        column[:] = array.ctypes.data + models * array.strides[0] + address - base
        return table


def is_joined(program: NativeProgram) -> bool:
    """Return whether Θ and b lie one after another in C order, as in a row of the parameters of many networks."""
    leaves, end = tree.leaves(program.kept[0]), 0
    for leaf in leaves:
        if not leaf.flags.c_contiguous or leaf.ctypes.data != leaves[0].ctypes.data + end:
            return False
        end += leaf.nbytes
    return True


def cores() -> int:
    """Return the number of cores that Numba counts, or is given in NUMBA_NUM_THREADS."""
    from numba import config

    return int(config.NUMBA_NUM_THREADS)


def spread(parts: Sequence[Any], threads: int) -> None:
    """Call `part(i)` of all parts on thread i, one after another."""

    def work(i: int) -> None:
        for part in parts:
            part(i)

    others = [Thread(target=work, args=(i,)) for i in range(1, threads)]
    for thread in others:
        thread.start()
    try:
        work(0)
        for thread in others:
            thread.join()
    except KeyboardInterrupt:  # what they write is read afterwards
        for thread in others:
            thread.join()
        raise
