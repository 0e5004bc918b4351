"""A loop as the source of one function that Numba compiles: each element is read once, and written once."""

from math import isnan
from typing import Any

import numpy

from retroprop.backends.plan.fusion import Instruction, Loop, casts_data, kind_of
from retroprop.backends.record.graph import Node, base_of, number_dtype
from retroprop.backends.record.table import OPERATIONS, SUMS

_PLAIN = (
    0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
)  # literals; other numbers are arguments, so that one source serves all
# Numba has no vector forms of these: over many elements a call of NumPy's is faster.
TRANSCENDENTAL = ("exp", "expm1", "log", "log1p", "tanh")
FEW = 256


def can_loop(node: Node) -> bool:
    """Return whether a node may be computed in a loop."""
    if node.weak or node.dtype.name not in ("float32", "float64", "bool") or node.ndim > 2:
        return False
    if casts_data(node):
        return False  # a call is as fast
    floats = all(i.dtype.kind == "f" for i in node.operands if not i.weak)
    numbers = any(not isinstance(i, Node) or i.weak for i in node.inputs)
    arithmetic = node.op in ("add", "subtract", "multiply")
    if not floats and node.op != "where" and (numbers or (node.dtype.kind == "b" and arithmetic)):
        return False  # Numba's rules for integers and booleans are not NumPy's
    if node.op in SUMS:
        return bool(node.inputs[0].dtype.kind == "f")
    return bool(OPERATIONS[node.op].python)


def fits_loop(loop: Loop) -> bool:
    """Return whether a loop is worth its call: it computes few transcendental functions."""
    many = [n for n in loop.nodes if n.op in TRANSCENDENTAL and loop.kinds[n.index] == "full" and n.size > FEW]
    return len(loop.nodes) <= 200 and not many


class LoopSource:
    """The function of a loop over a 1-D array, or over the rows of a matrix.

    In the source x0, x1, ... are arrays, s0, s1, ... numbers given, q a value read, r one computed, a a sum so far.

    Attributes
    ----------
    text : str
        The definition, under the name `kernel`.
    arrays : list of tuple
        (argument, node, whether it is the loop's own scratch memory), in the order of the arguments.
    numbers : list
        The arguments after them: Python numbers, or nodes that stand for them.
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
        """Return the argument that is a node's array; arrays in one place are one argument."""
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
        """Return a Python number, in the dtype of the array it meets."""
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
        """Return the loop over a 1-D array."""
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
        """Return the sums over values of walk `stage`."""
        return [n for n in self.loop.nodes if n.op in SUMS and self._summed_at(n) == stage]

    def _summed_at(self, node: Node) -> int | None:
        """Return the walk over the domain in which a sum is taken, None if it is over values of the rows."""
        x = node.inputs[0]
        full = x.shape == self.loop.domain and self.kinds.get(base_of(x).index, "full") == "full"
        return self.stages.get(base_of(x).index, 0) if full else None

    def row_numbers(self, stage: int) -> list[str]:
        """Return the lines for the values of a row that walk `stage` may use, and for their sums over the rows."""
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
        """Return the lines for one place of the domain in walk `stage`: everything is computed, then written."""
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
        """Return a finished sum; the number of its terms is an argument, for batches of any size."""
        count = float(node.inputs[0].size // max(node.size, 1))
        return ended(node, f"a{node.index}", self.number(count, numpy.dtype(float)) if node.op == "mean" else "")

    def total(self, node: Node) -> str:
        """Return the accumulator of a sum during a walk."""
        return f"{self.array(node)}[j]" if self.kinds[node.index] == "column" else f"a{node.index}"

    def _before(self) -> list[str]:
        """Return the lines before the first row: single values, and the sums over all rows at their start."""
        lines: list[str] = []
        for node in self.loop.nodes:
            if self.kinds[node.index] == "before":
                lines += self.computed(node)
            elif self.kinds[node.index] == "after" and node.op in SUMS:
                lines.append(f"a{node.index} = {begin(node)}")
        return lines

    def _after(self) -> list[str]:
        """Return the lines after the last row."""
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
        """Return the lines that compute a node into a variable, and store it if it is needed later."""
        lines, operands = [], []
        for i in node.inputs:
            text, read = self.operand(node, i)
            operands.append(text)
            lines += read
        lines.append(f"r{node.index} = {expression(node, operands)}")
        if write and node.index in self._stored:
            at = "i" if self.kinds[node.index] == "row" else "0"
            lines.append(f"{self.array(node)}[{at}] = r{node.index}")
        return lines

    def operand(self, node: Node, value: Any) -> tuple[str, list[str]]:
        """Return an operand of `node` as an expression, and the line that reads it first, if any."""
        if not isinstance(value, Node) or value.weak:
            return self.number(value, number_dtype(node, value)), []
        base = base_of(value)
        if base.index not in self.kinds:
            return self._reading(f"q{value.index}", f"{self.array(value)}[{self._subscript(node, value)}]")
        walked = self._summed_at(node) if node.op in SUMS else self.stages[node.index]
        earlier = self.kinds[base.index] == "full" and self.stages[base.index] != walked
        return self.again(base) if earlier else (f"r{base.index}", [])

    def again(self, base: Node) -> tuple[str, list[str]]:
        """Return a value of the domain that an earlier walk computed."""
        stored = base.index in self._stored
        here = f"{self.array(base)}[{self.full}]" if stored else f"{self.scratch(base)}[j]"
        return self._reading(f"q{base.index}", here)

    def _reading(self, variable: str, here: str) -> tuple[str, list[str]]:
        if variable in self._read:
            return variable, []
        self._read.add(variable)
        return variable, [f"{variable} = {here}"]

    def _subscript(self, node: Node, value: Node) -> str:
        """Return the subscript at which an array from outside is read."""
        domain = self.loop.domain
        if node.op in SUMS:
            return self.full if value.shape == domain else "0"
        kind = kind_of(value.shape, node.shape, domain)
        return {"full": self.full, "row": "i", "column": "j"}.get(kind or "", "0")


class ColumnLoopSource(LoopSource):
    """The same for a matrix of few columns and many rows in Fortran order: columns outside, rows inside.

    A value of a row in `LoopSource` is a 1-D array over all rows here, in scratch memory unless it is stored. Arrays
    of the domain are given transposed.
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
        """Return the element that holds the value of a row."""
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


def type_of(dtype: Any) -> str:
    """Return the name of a dtype in the source."""
    name: str = dtype.name
    return {"float32": "f32", "float64": "f64"}.get(name, name)


def start(op: str, dtype: Any) -> str:
    """Return the neutral element of a sum or a maximum."""
    return f"{type_of(dtype)}({ {'max': '-inf', 'min': 'inf'}.get(op, '0.0') })"


def fold(op: str, total: str, x: str) -> str:
    """Return the line that adds `x` to a sum, or compares it with a maximum; NaN stays."""
    if op in ("sum", "mean"):
        return f"{total} += {x}"
    return f"{total} = {x} if {x} {'>' if op == 'max' else '<'} {total} or {x} != {x} else {total}"


def ended(node: Node, total: str, count: str) -> str:
    """Return a finished sum in its dtype; a mean is divided by the number of its terms."""
    return f"{type_of(node.dtype)}({total}{f' / {count}' if node.op == 'mean' else ''})"


def expression(node: Node, operands: list[str]) -> str:
    """Return a pointwise node as an expression of its operands, by the table but for two cases."""
    if node.op == "astype" and node.inputs[0].dtype.kind == "b":  # the vectoriser wants a choice, not a cast
        return f"{type_of(node.dtype)}(1.0) if {operands[0]} else {type_of(node.dtype)}(0.0)"
    if node.op in ("maximum", "minimum"):
        # A literal is never NaN, so one comparison is enough.
        sign, (x, y) = ("<" if node.op == "maximum" else ">"), operands
        if not isinstance(node.inputs[1], Node) and not isnan(node.inputs[1]):
            return f"{y} if {x} {sign} {y} else {x}"
        if not isinstance(node.inputs[0], Node) and not isnan(node.inputs[0]):
            return f"{x} if {y} {sign} {x} else {y}"
    return OPERATIONS[node.op].python.format(*operands, type=type_of(node.dtype))


def begin(node: Node) -> str:
    """Return the start of a sum over many values: it is taken in float64, so that float32 keeps its digits."""
    return "f64(0.0)" if node.op in ("sum", "mean") else start(node.op, node.dtype)


def indented(lines: list[str]) -> list[str]:
    """Return the lines one level deeper."""
    return [f"    {line}" for line in lines]
