"""A loop as the source of one function that Numba compiles: each element is read once, and written once."""

import re
from math import isnan
from typing import Any

import numpy

from retroprop.backends.plan.fusion import Instruction, Loop, casts_data, kind_of
from retroprop.backends.record.graph import Node, base_of, number_dtype
from retroprop.backends.record.table import FUSED_REDUCTIONS, OPERATIONS

_PLAIN = (0.0, 1.0, -1.0, 0.5, 2.0)  # literals; other numbers are arguments, so that one source serves all
# Numba has no vector forms of these: over many elements a call of NumPy's is faster.
TRANSCENDENTAL = ("exp", "expm1", "log", "log1p", "tanh")
MOST_TRANSCENDENTAL = 256  # elements


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
    if node.op in FUSED_REDUCTIONS:
        return bool(node.inputs[0].dtype.kind == "f")
    return bool(OPERATIONS[node.op].python)


def fits_loop(loop: Loop) -> bool:
    """Return whether a loop is worth its call: it computes few transcendental functions."""
    slow = [n for n in loop.nodes if n.op in TRANSCENDENTAL and loop.kinds[n.index] == "full"]
    return len(loop.nodes) <= 200 and all(n.size <= MOST_TRANSCENDENTAL for n in slow)


class NumbaLoopSource:
    """The function of a loop over a 1-D array, or over the rows of a matrix.

    In the source x0, x1, ... are arrays, s0, s1, ... numbers given, q a value read, r one computed, a a sum so far.

    Attributes
    ----------
    text : str
        The definition, under the name `kernel`.
    arrays : list of tuple
        (argument, node), in the order of the arguments; of a node in `one.scratch`, its scratch memory.
    numbers : list
        The arguments after them: Python numbers, or nodes that stand for them.
    """

    full = "i, j"  # the subscript of a place of the domain

    def __init__(self, one: Instruction, place: Any) -> None:
        assert one.loop is not None
        self.one, self._place = one, place
        self.domain, self.nodes, self.kinds, self.stages = one.loop
        self.walks = range(max(self.stages.values()) + 1)
        self.arrays: list[tuple[str, Node]] = []
        self.numbers: list[Any] = []
        self._argument: dict[Any, str] = {}
        self._stored = {node.index for node in one.stores}
        self._head: list[str] = []
        self._read: set[str] = set()
        if len(self.domain) == 1:
            self.full = "i"
        body = [*self.outside("before"), *self.body(), *self.outside("after")]
        names = [*"mn"[2 - len(self.domain) :], *(name for name, _ in self.arrays)]
        names += [f"s{i}" for i in range(len(self.numbers))]
        self.text = _renumbered("\n    ".join([f"def kernel({', '.join(names)}):", *self._head, *body]) + "\n")

    # Arguments -----------------------------------------------------------------------------------------------------

    def array(self, node: Node) -> str:
        """Return the argument that is a node's array, or its scratch memory; arrays in one place are one argument."""
        key = ("scratch", node.index) if node.index in self.one.scratch else self._place(node)
        if key not in self._argument:
            self._argument[key] = f"x{len(self.arrays)}"
            self.arrays.append((self._argument[key], node))
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

    def body(self) -> list[str]:
        """Return the loop over a 1-D array, or over the rows of a matrix, each row walked once a stage."""
        if len(self.domain) == 1:
            return each("i", "n", self.walk(0))
        zeros = [f"{self.total(n)} = {neutral(n)}" for n in self.nodes if self.kinds[n.index] == "column"]
        lines: list[str] = []
        for stage in self.walks:
            lines += self.row_numbers(stage)
            sums = self.sums(stage, "row")
            lines += [f"{self.total(n)} = {neutral_float64(n)}" for n in sums] + each("j", "n", self.walk(stage))
            for node in sums:
                lines += self.ended(node)
        return each("j", "n", zeros) + each("i", "m", lines)

    def sums(self, stage: int, kind: str = "") -> list[Node]:
        """Return the sums of a kind, or of any, over values of walk `stage`."""
        sums = (n for n in self.nodes if n.op in FUSED_REDUCTIONS and kind in ("", self.kinds[n.index]))
        return [node for node in sums if self._summed_at(node) == stage]

    def _summed_at(self, node: Node) -> int | None:
        """Return the walk over the domain in which a sum is taken, None if it is over values of the rows."""
        x = node.inputs[0]
        base = base_of(x).index
        full = x.shape == self.domain and self.kinds.get(base, "full") == "full"
        return self.stages.get(base, 0) if full else None

    def row_numbers(self, stage: int) -> list[str]:
        """Return the lines for the values of a row that walk `stage` may use, and for their sums over the rows."""
        self._read = set()
        lines: list[str] = []
        for node in self.nodes:
            if self.kinds[node.index] == "row" and self.stages[node.index] == stage and node.op not in FUSED_REDUCTIONS:
                lines += self.computed(node)
            of_rows = node.op in FUSED_REDUCTIONS and self._summed_at(node) is None
            if of_rows and self.stages[base_of(node.inputs[0]).index] == stage:
                lines += self.added(node, f"a{node.index}")
        return lines

    def walk(self, stage: int) -> list[str]:
        """Return the lines for one place of the domain in walk `stage`: everything is computed, then written."""
        lines, writes = [], []
        sums = {node.index for node in self.sums(stage)}
        self._read = set()
        for node in self.nodes:
            if self.kinds[node.index] == "full" and self.stages[node.index] == stage:
                lines += self.computed(node)
                if node.index in self._stored or node.index in self.one.scratch:
                    writes.append(f"{self.here(node)} = r{node.index}")
            elif node.index in sums:
                lines += self.added(node, self.total(node))
        return lines + writes

    def outside(self, kind: str) -> list[str]:
        """Return the lines "before" or "after" the rows: single values, and the start or end of sums over all rows."""
        self._read = set()
        lines: list[str] = []
        for node in self.nodes:
            if self.kinds[node.index] == "after" and node.op in FUSED_REDUCTIONS:
                lines += self.ended(node) if kind == "after" else [f"a{node.index} = {neutral_float64(node)}"]
            elif self.kinds[node.index] == kind:
                lines += self.computed(node)
        return lines

    # Numbers -------------------------------------------------------------------------------------------------------

    def computed(self, node: Node) -> list[str]:
        """Return the lines that compute a node into a variable, and store it, a value of the domain excepted."""
        lines, operands = [], []
        for i in node.inputs:
            text, read = self.operand(node, i)
            operands.append(text)
            lines += read
        return [*lines, f"r{node.index} = {expression(node, operands)}", *self.stored(node)]

    def stored(self, node: Node) -> list[str]:
        """Return the line that stores a value of a row or a single value, if it is needed later."""
        if self.kinds[node.index] == "full" or node.index not in self._stored:
            return []
        return [f"{self.array(node)}[{'i' if self.kinds[node.index] == 'row' else '0'}] = r{node.index}"]

    def added(self, node: Node, total: str) -> list[str]:
        """Return the lines that add to a sum, or compare with a maximum; NaN stays."""
        x, read = self.operand(node, node.inputs[0])
        if node.op in ("sum", "mean"):
            return [*read, f"{total} += {x}"]
        return [*read, f"{total} = {x} if {x} {'>' if node.op == 'max' else '<'} {total} or {x} != {x} else {total}"]

    def total(self, node: Node) -> str:
        """Return the accumulator of a sum during a walk."""
        return f"{self.array(node)}[j]" if self.kinds[node.index] == "column" else f"a{node.index}"

    def finished(self, node: Node) -> str:
        """Return a reduction in its dtype; the count that divides a mean is an argument, for batches of any size."""
        count = float(node.inputs[0].size // max(node.size, 1))
        divided = f" / {self.number(count, numpy.dtype(float))}" if node.op == "mean" else ""
        return f"{type_of(node.dtype)}(a{node.index}{divided})"

    def ended(self, node: Node) -> list[str]:
        """Return the lines that end a sum over a row or over all, and store it."""
        return [f"r{node.index} = {self.finished(node)}", *self.stored(node)]

    def operand(self, node: Node, value: Any) -> tuple[str, list[str]]:
        """Return an operand of `node` as an expression, and the line that reads it first, if any."""
        if not isinstance(value, Node) or value.weak:
            return self.number(value, number_dtype(node, value)), []
        base = base_of(value)
        if base.index not in self.kinds:
            return self.reading(f"q{value.index}", f"{self.array(value)}[{self._subscript(node, value)}]")
        walked = self._summed_at(node) if node.op in FUSED_REDUCTIONS else self.stages[node.index]
        if self.kinds[base.index] == "full" and self.stages[base.index] != walked:
            return self.reading(f"q{base.index}", self.here(base))  # an earlier walk computed it
        return f"r{base.index}", []

    def here(self, node: Node) -> str:
        """Return the element that keeps a value of the domain."""
        return f"{self.array(node)}[{self.full if node.index in self._stored else 'j'}]"

    def reading(self, variable: str, here: str) -> tuple[str, list[str]]:
        """Return a variable, and the line that reads it from an element unless it has been read."""
        read = [] if variable in self._read else [f"{variable} = {here}"]
        self._read.add(variable)
        return variable, read

    def _subscript(self, node: Node, value: Node) -> str:
        """Return the subscript at which an array from outside is read."""
        if node.op in FUSED_REDUCTIONS:
            return self.full if value.shape == self.domain else "0"
        kind = kind_of(value.shape, node.shape, self.domain)
        return {"full": self.full, "row": "i", "column": "j"}.get(kind or "", "0")


class ColumnLoopSource(NumbaLoopSource):
    """The same for a matrix of few columns and many rows in Fortran order: columns outside, rows inside.

    A value of a row in `NumbaLoopSource` is a 1-D array over all rows here, in scratch memory unless it is stored.
    Arrays of the domain are given transposed.
    """

    full = "j, i"

    def body(self) -> list[str]:
        lines: list[str] = []
        for stage in self.walks:
            rows = self.row_numbers(stage)
            rows += [f"{self.total(n)} = {neutral(n)}" for n in self.sums(stage, "row")]
            lines += each("i", "m", rows)
            inside = self.walk(stage)
            columns = self.sums(stage, "column")
            first = [f"{self.total(n)} = {neutral_float64(n)}" for n in columns]
            end = [f"{self.array(n)}[j] = {self.finished(n)}" for n in columns]
            lines += each("j", "n", [*first, *each("i", "m", inside), *end])
        return lines

    def total(self, node: Node) -> str:
        return f"{self.array(node)}[i]" if self.kinds[node.index] == "row" else f"a{node.index}"

    def stored(self, node: Node) -> list[str]:
        if self.kinds[node.index] != "row":
            return super().stored(node)
        self._read.add(f"r{node.index}")
        return [f"{self.array(node)}[i] = r{node.index}"]

    def operand(self, node: Node, value: Any) -> tuple[str, list[str]]:
        base = base_of(value) if isinstance(value, Node) and not value.weak else None
        if base is not None and self.kinds.get(base.index) == "row":
            return self.reading(f"r{base.index}", f"{self.array(base)}[i]")
        return super().operand(node, value)


def _renumbered(text: str) -> str:
    """Return a source with its variables numbered as they appear: equal loops are one, whatever step they are of."""
    numbers: dict[str, int] = {}
    return re.sub(r"\b([qra])\d+\b", lambda found: f"{found[1]}{numbers.setdefault(found[0], len(numbers))}", text)


def type_of(dtype: Any) -> str:
    """Return the name of a dtype in the source."""
    name: str = dtype.name
    return {"float32": "f32", "float64": "f64"}.get(name, name)


def neutral(node: Node) -> str:
    """Return the neutral element of a sum or a maximum, in its dtype, as a sum over rows has it in its array."""
    return f"{type_of(node.dtype)}({ {'max': '-inf', 'min': 'inf'}.get(node.op, '0.0') })"


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


def neutral_float64(node: Node) -> str:
    """Return that of a sum in a local variable: it is taken in float64, so that float32 keeps its digits."""
    return "f64(0.0)" if node.op in ("sum", "mean") else neutral(node)


def each(variable: str, count: str, lines: list[str]) -> list[str]:
    """Return a loop around lines, nothing without lines."""
    return [f"for {variable} in range({count}):", *(f"    {line}" for line in lines)] if lines else []
