"""A run of steps as the source of one function that Numba compiles, from the instructions of a plan in their order.

In the source x0, x1, ... are arrays, n[0], n[1], ... the numbers of a step. Addresses and sizes of the arrays are read
from a table, so that one source, and its machine code, serves networks and batches of all sizes.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import numpy

from retroprop.backends.cpu.numba_source import ColumnLoopSource, NumbaLoopSource, each, expression, type_of
from retroprop.backends.plan.fusion import Instruction, casts_data
from retroprop.backends.plan.places import Cell
from retroprop.backends.record.graph import Node, NotTraceableError, base_of, number_dtype
from retroprop.backends.record.table import OPERATIONS, POINTWISE
from retroprop.backends.replay.program import Program, reshaped
from retroprop.functions.types import Array

# The models first, ..., last - 1 of a stack, one after another: each has a row of the table, and rows of the data and
# numbers of its own unless these are shared. All that step t leaves but its cost is overwritten by step t + 1.
_HEAD = """def run(first, last, steps, table, numbers, rows, costs):
    for k in range(first, last):
        at = table[k]
        of_numbers = k if numbers.shape[1] > 1 else 0
        of_rows = k if rows.shape[1] > 1 else 0
"""


class Slot(NamedTuple):
    """An array of the source.

    Attributes
    ----------
    at : int
        The place in the table of its address, which its sizes follow.
    array : array
        The array in the memory of the program, in C order.
    given : Node or None
        The argument of the step in whose memory it is.
    gathered : Node or None
        The argument whose rows it has: it is read there if all of them are taken.
    """

    at: int
    array: Array
    given: Node | None = None
    gathered: Node | None = None


class NativeSource:
    """The source of a program whose instructions are loops, products and copies; others raise NotTraceableError.

    `argument(node, one)` is the array that the loop of an instruction takes for a node, `loop` returns the name of the
    compiled function of a loop.

    Attributes
    ----------
    text : str
        The definition, under the name `run`.
    readers : set of tuple
        (dtype, number of axes) of the arrays; a reader of each has the name `dtype_axes` in the source.
    slots : list of Slot
    sizes : list of tuple
        (place in the table, size).
    numbers : list
        The columns of the table of numbers: nodes that stand for numbers, and constants.
    width : int
        The length of a row of the table.
    """

    def __init__(
        self,
        program: Program,
        argument: Callable[[Node, Instruction], Array],
        loop: Callable[[Instruction, NumbaLoopSource, bool], str],
    ) -> None:
        self._program, self._argument, self._compiled = program, argument, loop
        self.readers: set[tuple[str, int]] = set()
        self.slots: list[Slot] = []
        self.sizes: list[tuple[int, int]] = []
        self.numbers: list[Any] = []
        self.width = 0
        self._names: dict[Any, str] = {}
        self._columns: dict[Any, int] = {}
        self._read: list[str] = []
        plan = program.plan
        if plan.cost is None or plan.rows is None:
            raise NotTraceableError("a step without a cost, or that gathers no rows, is not done in runs.")
        body = [line for node in plan.copied for line in self._taken(node)]
        for one in plan.instructions:
            body += self._loop(one) if one.loop is not None else self._call(one.nodes[0])
        body.append(f"costs[k, t] = {self._flat(plan.cost)}[0]")
        lines = [*self._read, *each("t", "steps", ["n = numbers[t, of_numbers]", *body])]
        self.text = _HEAD + "".join(f"        {line}\n" for line in lines)

    # Arrays and numbers ----------------------------------------------------------------------------------------------

    def _named(
        self, array: Array, given: Node | None = None, gathered: Node | None = None, cell: Cell | None = None
    ) -> str:
        """Return the name of an array; one in Fortran order is the transpose of one in C order.

        Arrays of different cells have different names, even where they have the same memory at different times: which
        do depends on their sizes, and the source must not.
        """
        if not array.flags.c_contiguous:
            if array.ndim != 2 or not array.T.flags.c_contiguous:
                raise NotTraceableError("an array that is not contiguous is not read.")
            return f"{self._named(array.T, given, gathered, cell)}.T"
        owners = [None if owner is None else owner.index for owner in (given, gathered)]
        key = *owners, id(cell), self._program.memory.address(array), array.shape, array.dtype
        if key not in self._names:
            self._names[key] = name = f"x{len(self._names)}"
            self.slots.append(Slot(self.width, array, given, gathered))
            reader = array.dtype.name, array.ndim
            if array.dtype.kind not in "fiub" or array.dtype.name == "float16":
                raise NotTraceableError(f"{array.dtype} is not read.")
            self.readers.add(reader)
            self._read.append(f"{name} = {reader[0]}_{reader[1]}(at, {self.width})")
            self.width += 1
            self._sized(array.shape)
        return self._names[key]

    def _sized(self, sizes: tuple[int, ...]) -> list[str]:
        """Put sizes into the table, and return the expressions that read them."""
        begin = self.width
        self.width += len(sizes)
        self.sizes += zip(range(begin, self.width), sizes, strict=True)
        return [f"at[{i}]" for i in range(begin, self.width)]

    def _shown(self, node: Node, array: Array, scratch: Cell | None = None) -> str:
        """Return the name of an array that shows a node, or a part of it; it may be in a cell of its loop's own."""
        base = base_of(node)
        place = self._program.plan.places.get(base.index)
        if base.op == "input" and place is None:
            raise NotTraceableError("an argument is read otherwise than by its rows.")
        cell = scratch or (None if place is None else place.cell)
        return self._named(array, gathered=base.inputs[0] if base.op == "gather" else None, cell=cell)

    def _flat(self, node: Node) -> str:
        """Return the name of a node as a 1-D array, in the order of its memory."""
        array = self._program.array(node)
        return self._shown(node, reshaped(array if array.flags.c_contiguous else array.T, (-1,), self._address))

    @property
    def _address(self) -> Callable[[Array], int]:
        return self._program.memory.address

    def _number(self, value: Any) -> str:
        """Return a number that a step is given, or a constant of it, which would be another in another source."""
        key = value.index if isinstance(value, Node) else repr(float(value))
        if key not in self._columns:
            self._columns[key] = len(self.numbers)
            self.numbers.append(value if isinstance(value, Node) else float(value))
        return f"n[{self._columns[key]}]"

    # Instructions ----------------------------------------------------------------------------------------------------

    def _loop(self, one: Instruction) -> list[str]:
        assert one.loop is not None

        def place(node: Node) -> Any:
            array = self._argument(node, one)
            return self._shown(node, array, one.scratch.get(node.index)), array.shape

        source = (ColumnLoopSource if one.by_columns else NumbaLoopSource)(one, place)
        arrays = [(node, self._argument(node, one)) for _, node in source.arrays]
        names = [self._shown(node, array, one.scratch.get(node.index)) for node, array in arrays]
        arguments = [*self._sized(one.loop.domain), *names, *map(self._number, source.numbers)]
        disjoint = not any(numpy.may_share_memory(a, b) for (_, a), (_, b) in combinations(arrays, 2))
        return [f"{self._compiled(one, source, disjoint)}({', '.join(arguments)})"]

    def _call(self, node: Node) -> list[str]:
        """Return the lines of a node that is in no loop."""
        if node.op == "matmul" and node.ndim == 2:
            return [self._product(node)]
        if node.op == "gather":
            return self._gathered(node)
        if casts_data(node):
            return _copied(self._flat(node), self._flat(node.inputs[0]))
        if node.op in ("join", "stack"):
            return self._joined(node)
        if node.op in POINTWISE and OPERATIONS[node.op].python and node.size == 1:
            operands = [self._single(node, i) for i in node.inputs]
            return [f"{self._flat(node)}[0] = {expression(node, operands)}"]
        raise NotTraceableError(f"{node.op} of shape {node.shape} is not compiled.")

    def _single(self, node: Node, value: Any) -> str:
        """Return an operand of a node that is a single value."""
        if isinstance(value, Node) and not value.weak:
            return f"{self._flat(value)}[0]"
        return f"{type_of(number_dtype(node, value))}({self._number(value)})"

    def _product(self, node: Node) -> str:
        (first, a), (second, b) = ((i, self._program.array(i)) for i in node.operands)
        out = self._program.array(node)
        if not out.flags.c_contiguous:  # (A B)ᵀ = Bᵀ Aᵀ
            (first, a), (second, b), out = (second, b.T), (first, a.T), out.T
        return f"dot({self._shown(first, a)}, {self._shown(second, b)}, {self._shown(node, out)})"

    def _gathered(self, node: Node) -> list[str]:
        """Return the lines that copy rows of an argument: none where the number of rows is 0, as all are taken."""
        part, out = node.inputs[0], self._program.array(node)
        if part.op != "input" or not out.flags.c_contiguous:
            raise NotTraceableError("rows of other than the data are not gathered.")
        out = out.reshape(out.shape[0], -1)
        place, source = self._named(out), self._named(out, given=part)
        inner = each("j", f"{place}.shape[1]", [f"{place}[i, j] = {source}[row, j]"])
        return each("i", "rows.shape[2]", ["row = rows[t, of_rows, i]", *inner])

    def _taken(self, node: Node) -> list[str]:
        """Return the lines that copy the part of an argument that belongs to a step: a mask."""
        if node.ndim != 2 or node.op != "input":
            raise NotTraceableError(f"an argument of shape {node.shape} is not taken step by step.")
        place = self._shown(node, self._program.array(node))
        given = self._named(self._argument_of_steps(node), given=node)
        rows, columns = self._sized(node.shape)
        return each("i", rows, each("j", columns, [f"{place}[i, j] = {given}[t, i, j]"]))

    def _argument_of_steps(self, node: Node) -> Array:
        """Return an array in the form of an argument for one step."""
        return self._program.memory.array(self._program.memory.empty(node.nbytes), 0, (1, *node.shape), node.dtype)

    def _joined(self, node: Node) -> list[str]:
        """Return the lines that copy arrays one after another."""
        out, lines, begin = reshaped(self._program.array(node), (-1,), self._address), [], 0
        for leaf in node.operands:
            flat = reshaped(self._program.array(leaf), (-1,), self._address)
            lines += _copied(self._shown(node, out[begin : begin + leaf.size]), self._shown(leaf, flat))
            begin += leaf.size
        return lines


def _copied(target: str, source: str) -> list[str]:
    """Return the loop that copies a 1-D array, and casts it."""
    return each("i", f"{target}.size", [f"{target}[i] = {source}[i]"])
