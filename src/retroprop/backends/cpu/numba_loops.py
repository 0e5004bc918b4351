"""A loop as the source of one function that Numba compiles: each number is read once, and written once."""

from typing import Any

import numpy

from retroprop.backends.cpu.numba_expressions import ended, expression, fold, start, type_of
from retroprop.backends.plan.fusion import SUMS, base_of, kind_of
from retroprop.backends.plan.plan import Instruction
from retroprop.backends.record.graph import Node, number_dtype

_PLAIN = (0.0, 1.0, -1.0, 0.5, 2.0)  # stand in the source; other numbers are arguments, so that one source serves all


class LoopSource:
    """The function of a loop over a row of numbers, or over the rows of a matrix.

    In the source x0, x1, ... are arrays, s0, s1, ... numbers given, q a number read, r one computed, a a sum so far.

    Attributes
    ----------
    text : str
        The definition, under the name `kernel`.
    arrays : list of tuple
        (argument, node, whether it is the loop's own scratch memory), in the order of the arguments.
    numbers : list
        What follows them: Python numbers, or nodes that stand for them.
    """

    full = "i, j"  # the subscript of a place of the domain

    def __init__(self, one: Instruction, place: Any) -> None:
        assert one.loop is not None
        self.loop, self.one, self._place = one.loop, one, place
        self.kinds, self.stages = one.loop.kinds, one.loop.stages
        self.arrays: list[tuple[str, Node, bool]] = []
        self.numbers: list[Any] = []
        self._argument: dict[Any, str] = {}
        self._stored = {node.index for node in one.stores}
        self._head: list[str] = []
        self._read: set[str] = set()
        if len(self.loop.domain) == 1:
            self.full = "i"
        before, self._read = self._before(), set()
        body, self._read = (self.flat() if len(self.loop.domain) == 1 else self.matrix()), set()
        self.text = self._definition([*before, *body, *self._after()])

    def _definition(self, body: list[str]) -> str:
        names = [*"mn"[2 - len(self.loop.domain) :], *(name for name, *_ in self.arrays)]
        names += [f"s{i}" for i in range(len(self.numbers))]
        return "\n    ".join([f"def kernel({', '.join(names)}):", *self._head, *body]) + "\n"

    # Arguments -----------------------------------------------------------------------------------------------------

    def array(self, node: Node) -> str:
        """Return the argument that is a node's array; arrays that lie in one place are one argument."""
        return self._named(self._place(node), node, scratch=False)

    def scratch(self, node: Node) -> str:
        """Return the argument that is a node's scratch memory."""
        return self._named(("scratch", node.index), node, scratch=True)

    def _named(self, key: Any, node: Node, *, scratch: bool) -> str:
        if key not in self._argument:
            self._argument[key] = f"x{len(self.arrays)}"
            self.arrays.append((self._argument[key], node, scratch))
        return self._argument[key]

    def number(self, value: Any, dtype: Any) -> str:
        """Return a Python number, of the dtype of what it meets."""
        of = type_of(dtype)
        if not isinstance(value, Node) and float(value) in _PLAIN:
            return f"{of}({float(value)!r})" if dtype.kind == "f" else repr(value)
        key = ("number", value.index if isinstance(value, Node) else repr(value), of)
        if key not in self._argument:
            self._argument[key] = f"s{len(self.numbers)}"
            self.numbers.append(value if isinstance(value, Node) else float(value))
            self._head.append(f"{self._argument[key]} = {of}({self._argument[key]})")
        return self._argument[key]

    # The walk ------------------------------------------------------------------------------------------------------

    def flat(self) -> list[str]:
        """Return the loop over a row of numbers."""
        return ["for i in range(n):", *indented(self.walk(0))]

    def matrix(self) -> list[str]:
        """Return the loops over a matrix: row by row, each row walked once a stage."""
        lines: list[str] = []
        columns = [node for node in self.loop.nodes if self.kinds[node.index] == "column"]
        zeros = [f"{self.array(node)}[j] = {start(node.op, node.dtype)}" for node in columns]
        for stage in self.all_stages():
            lines += self.row_numbers(stage)
            sums = [node for node in self.sums(stage) if self.kinds[node.index] == "row"]
            lines += [f"a{n.index} = {begin(n)}" for n in sums]
            inside = self.walk(stage)
            lines += ["for j in range(n):", *indented(inside)] if inside else []
            for node in sums:
                lines.append(f"r{node.index} = {self.ended(node)}")
                lines += [f"{self.array(node)}[i] = r{node.index}"] if node.index in self._stored else []
        first = ["for j in range(n):", *indented(zeros)] if zeros else []
        return [*first, "for i in range(m):", *indented(lines)]

    def all_stages(self) -> range:
        """Return the stages."""
        return range(max(self.stages[node.index] for node in self.loop.nodes) + 1)

    def sums(self, stage: int) -> list[Node]:
        """Return the sums over what walk `stage` meets."""
        return [n for n in self.loop.nodes if n.op in SUMS and self._summed_at(n) == stage]

    def _summed_at(self, node: Node) -> int | None:
        """Return in which walk over the domain a sum is taken, None if it is one of the numbers of the rows."""
        x = node.inputs[0]
        full = x.shape == self.loop.domain and self.kinds.get(base_of(x).index, "full") == "full"
        return self.stages.get(base_of(x).index, 0) if full else None

    def row_numbers(self, stage: int) -> list[str]:
        """Return the single numbers of a row that walk `stage` may use, and the sums of them over the rows."""
        self._read = set()
        lines: list[str] = []
        for node in self.loop.nodes:
            if self.kinds[node.index] == "row" and self.stages[node.index] == stage and node.op not in SUMS:
                lines += self.computed(node)
            elif node.op in SUMS and self._summed_at(node) is None:
                base = base_of(node.inputs[0])
                if self.stages[base.index] == stage:
                    x, read = self.operand(node, node.inputs[0])
                    lines += [*read, fold(node.op, f"a{node.index}", x)]
        return lines

    def walk(self, stage: int) -> list[str]:
        """Return what is done at one place of the domain in walk `stage`: everything computed, then written."""
        lines, writes = [], []
        sums = {node.index for node in self.sums(stage)}
        self._read = set()
        for node in self.loop.nodes:
            if self.kinds[node.index] == "full" and self.stages[node.index] == stage:
                lines += self.computed(node, write=False)
                if node.index in self._stored:
                    writes.append(f"{self.array(node)}[{self.full}] = r{node.index}")
                elif node.index in self.one.scratch:
                    writes.append(f"{self.scratch(node)}[j] = r{node.index}")
            elif node.index in sums:
                x, read = self.operand(node, node.inputs[0])
                lines += [*read, fold(node.op, self.total(node), x)]
        return lines + writes

    def ended(self, node: Node) -> str:
        """Return a sum when all is taken in; how many there were is an argument, for batches of any size."""
        count = float(node.inputs[0].size // max(node.size, 1))
        return ended(node, f"a{node.index}", self.number(count, numpy.dtype(float)) if node.op == "mean" else "")

    def total(self, node: Node) -> str:
        """Return where a sum is collected during a walk."""
        return f"{self.array(node)}[j]" if self.kinds[node.index] == "column" else f"a{node.index}"

    def _before(self) -> list[str]:
        """Return what comes before the first row: single numbers, and the sums over all rows at their start."""
        lines: list[str] = []
        for node in self.loop.nodes:
            if self.kinds[node.index] == "before":
                lines += self.computed(node)
            elif self.kinds[node.index] == "after" and node.op in SUMS:
                lines.append(f"a{node.index} = {begin(node)}")
        return lines

    def _after(self) -> list[str]:
        """Return what comes after the last row."""
        lines: list[str] = []
        for node in self.loop.nodes:
            if self.kinds[node.index] == "after" and node.op in SUMS:
                lines.append(f"r{node.index} = {self.ended(node)}")
                lines += [f"{self.array(node)}[0] = r{node.index}"] if node.index in self._stored else []
            elif self.kinds[node.index] == "after":
                lines += self.computed(node)
        return lines

    # Numbers -------------------------------------------------------------------------------------------------------

    def computed(self, node: Node, *, write: bool = True) -> list[str]:
        """Return the lines that compute a node into a variable, and write it where it is needed later."""
        lines, operands = [], []
        for i in node.inputs:
            told, read = self.operand(node, i)
            operands.append(told)
            lines += read
        lines.append(f"r{node.index} = {expression(node, operands)}")
        if write and node.index in self._stored:
            at = "i" if self.kinds[node.index] == "row" else "0"
            lines.append(f"{self.array(node)}[{at}] = r{node.index}")
        return lines

    def operand(self, node: Node, value: Any) -> tuple[str, list[str]]:
        """Return an operand of `node` as an expression, and the line that reads it first, where one must."""
        if not isinstance(value, Node) or value.weak:
            return self.number(value, number_dtype(node, value)), []
        base = base_of(value)
        if base.index not in self.kinds:
            return self._reading(f"q{value.index}", f"{self.array(value)}[{self._subscript(node, value)}]")
        walked = self._summed_at(node) if node.op in SUMS else self.stages[node.index]
        earlier = self.kinds[base.index] == "full" and self.stages[base.index] != walked
        return self.again(base) if earlier else (f"r{base.index}", [])

    def again(self, base: Node) -> tuple[str, list[str]]:
        """Return a number of the domain that an earlier walk computed."""
        stored = base.index in self._stored
        here = f"{self.array(base)}[{self.full}]" if stored else f"{self.scratch(base)}[j]"
        return self._reading(f"q{base.index}", here)

    def _reading(self, variable: str, here: str) -> tuple[str, list[str]]:
        if variable in self._read:
            return variable, []
        self._read.add(variable)
        return variable, [f"{variable} = {here}"]

    def _subscript(self, node: Node, value: Node) -> str:
        """Return where an array from outside is read."""
        domain = self.loop.domain
        if node.op in SUMS:
            return self.full if value.shape == domain else "0"
        kind = kind_of(value.shape, node.shape, domain)
        return {"full": self.full, "row": "i", "column": "j"}.get(kind or "", "0")


class ColumnLoopSource(LoopSource):
    """The same for a matrix of few columns and many rows that lies column by column: columns outside, rows inside.

    What is a number of a row in `LoopSource` is a whole column of them here, in scratch memory where no other needs
    it. Arrays of the domain are given transposed.
    """

    full = "j, i"

    def matrix(self) -> list[str]:
        lines: list[str] = []
        for stage in self.all_stages():
            rows = self.row_numbers(stage)
            sums = self.sums(stage)
            rows += [f"{self.total(n)} = {start(n.op, n.dtype)}" for n in sums if self.kinds[n.index] == "row"]
            lines += ["for i in range(m):", *indented(rows)] if rows else []
            inside = self.walk(stage)
            columns = [node for node in sums if self.kinds[node.index] == "column"]
            if inside:
                first = [f"a{n.index} = {begin(n)}" for n in columns]
                end = [f"{self.array(n)}[j] = {self.ended(n)}" for n in columns]
                inner = [*first, "for i in range(m):", *indented(inside), *end]
                lines += ["for j in range(n):", *indented(inner)]
        return lines

    def column(self, node: Node) -> str:
        """Return where the numbers of the rows lie."""
        return f"{self.array(node) if node.index in self._stored else self.scratch(node)}[i]"

    def total(self, node: Node) -> str:
        return self.column(node) if self.kinds[node.index] == "row" else f"a{node.index}"

    def computed(self, node: Node, *, write: bool = True) -> list[str]:
        if self.kinds[node.index] != "row":
            return super().computed(node, write=write)
        self._read.add(f"r{node.index}")
        return [*super().computed(node, write=False), f"{self.column(node)} = r{node.index}"]

    def operand(self, node: Node, value: Any) -> tuple[str, list[str]]:
        base = base_of(value) if isinstance(value, Node) and not value.weak else None
        if base is not None and self.kinds.get(base.index) == "row":
            return self._reading(f"r{base.index}", self.column(base))
        return super().operand(node, value)


def begin(node: Node) -> str:
    """Return what a sum over many numbers begins with: it is taken in float64, so that float32 keeps its digits."""
    return "f64(0.0)" if node.op in ("sum", "mean") else start(node.op, node.dtype)


def indented(lines: list[str]) -> list[str]:
    """Return the lines one level deeper."""
    return [f"    {line}" for line in lines]
