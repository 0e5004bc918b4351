"""A loop as the source of one function that Numba compiles: each number is read once, and written once."""

from typing import Any

from retroprop.backends.tracing.fusion import Loop, base_of, kind_of
from retroprop.backends.tracing.graph import POINTWISE, Node
from retroprop.backends.tracing.plan import Instruction, crossing

# Numba has no vector forms of these: many are worth a call of NumPy's.
TRANSCENDENTAL = ("exp", "expm1", "log", "log1p", "tanh")
FEW = 256
_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "less": "<", "less_equal": "<=",
          "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=", "logical_and": "and",
          "logical_or": "or"}  # fmt: skip
_CALLS = {"sqrt": "sqrt", "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "tanh": "tanh"}
_OTHERS = ("negative", "abs", "square", "maximum", "minimum", "where", "astype", "logical_not")
_PLAIN = (
    0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
)  # numbers that stand in the source; any other is an argument, for one source serves all


def can_loop(node: Node) -> bool:
    """Return whether a node may be computed in a loop."""
    if node.weak or node.dtype.name not in ("float32", "float64", "bool") or node.ndim > 2:
        return False
    if node.op in ("sum", "max", "min"):
        return bool(node.inputs[0].dtype.kind == "f" and node.ndim < 3)
    return node.op in _INFIX or node.op in _OTHERS or node.op in _CALLS


def fits_loop(loop: Loop) -> bool:
    """Return whether a loop is worth its call: it has not many transcendental numbers."""
    if len(loop.nodes) > 200:
        return False
    for node in loop.nodes:
        many = loop.kinds[node.index] == "full" and node.size > FEW
        if node.op in TRANSCENDENTAL and many:
            return False
    return True


class Source:
    """The function of a loop: its text, and what it is called with.

    Attributes
    ----------
    text : str
        The definition, under the name `kernel`.
    arrays : list of tuple
        (argument, node or scratch cell) of the arrays, by the order of the arguments.
    numbers : list
        What follows them: Python numbers, or nodes that stand for them.
    """

    def __init__(self, one: Instruction, place: Any) -> None:
        assert one.loop is not None
        self.loop, self.one, self._place = one.loop, one, place
        self.arrays: list[tuple[str, Any]] = []
        self.numbers: list[Any] = []
        self._argument: dict[Any, str] = {}
        self._stored = {node.index for node in one.stores}
        self._scratch = dict(zip((node.index for node in crossing(one)), one.scratch, strict=True))
        self._head: list[str] = []
        self._loaded: set[str] = set()
        self.text = self._written()

    # Arguments -----------------------------------------------------------------------------------------------------

    def _array(self, node: Node) -> str:
        """Return the argument that is a node's array; arrays that lie in one place are one argument."""
        key = self._place(node)
        if key not in self._argument:
            self._argument[key] = f"x{len(self.arrays)}"
            self.arrays.append((self._argument[key], node))
        return self._argument[key]

    def _row(self, index: int) -> str:
        """Return the argument that keeps a row between two walks over it."""
        key = ("scratch", index)
        if key not in self._argument:
            self._argument[key] = f"x{len(self.arrays)}"
            self.arrays.append((self._argument[key], (self._scratch[index], self.loop.nodes[0].graph.nodes[index])))
        return self._argument[key]

    def _number(self, value: Any, dtype: Any) -> str:
        """Return a number as the loop has it: of the dtype of what it meets."""
        of = _type(dtype)
        if not isinstance(value, Node) and float(value) in _PLAIN:
            return f"{of}({float(value)!r})" if dtype.kind == "f" else repr(value)
        key = ("number", value.index if isinstance(value, Node) else repr(value), of)
        if key not in self._argument:
            self._argument[key] = f"s{len(self.numbers)}"
            self.numbers.append(value if isinstance(value, Node) else float(value))
            self._head.append(f"{self._argument[key]} = {of}({self._argument[key]})")
        return self._argument[key]

    # Text ----------------------------------------------------------------------------------------------------------

    def _written(self) -> str:
        loop = self.loop
        body = self._flat() if len(loop.domain) == 1 else self._matrix()
        arguments = ", ".join([name for name, _ in self.arrays] + [f"s{i}" for i in range(len(self.numbers))])
        sizes = ["n"] if len(loop.domain) == 1 else ["m", "n"]
        lines = [f"def kernel({', '.join(sizes)}, {arguments}):", *self._head, *body]
        return "\n    ".join(lines) + "\n"

    def _flat(self) -> list[str]:
        inside = self._walk(0, "i")
        return [*self._begin(), "for i in range(n):", *_indented(inside), *self._end()]

    def _matrix(self) -> list[str]:
        loop = self.loop
        last = max(loop.stages[node.index] for node in loop.nodes)
        row: list[str] = []
        for stage in range(last + 1):
            row += self._of_row(stage)
            inside = self._walk(stage, "j")
            sums = [n for n in loop.nodes if self._reduces(n, stage) and loop.kinds[n.index] == "row"]
            row += [f"a{n.index} = {_START[n.op](self._dtype(n))}" for n in sums]
            if inside:
                row += ["for j in range(n):", *_indented(inside)]
            row += [f"r{n.index} = {_type(n.dtype)}(a{n.index})" for n in sums]
            row += [f"{self._array(n)}[i] = r{n.index}" for n in sums if n.index in self._stored]
        return [*self._begin(), "for i in range(m):", *_indented(row), *self._end()]

    def _dtype(self, node: Node) -> str:
        return _type(node.inputs[0].dtype)

    def _reduces(self, node: Node, stage: int) -> bool:
        """Return whether `node` is a sum or a maximum over what walk `stage` meets."""
        if node.op not in ("sum", "max", "min"):
            return False
        x = node.inputs[0]
        full = x.shape == self.loop.domain and self.loop.kinds.get(x.index, "full") == "full"
        return bool(full and self.loop.stages.get(x.index, 0) == stage)

    def _begin(self) -> list[str]:
        """Return what comes before the rows: single numbers, and what is summed over them."""
        lines = []
        for node in self.loop.nodes:
            kind = self.loop.kinds[node.index]
            if kind == "before":
                lines += self._computed(node, "")
            elif kind == "column":
                inits = f"{self._array(node)}[j] = {_START[node.op](_type(node.dtype), wide=False)}"
                lines += ["for j in range(n):", f"    {inits}"]
            elif kind == "after" and node.op in _START:
                lines.append(f"a{node.index} = {_START[node.op](self._dtype(node))}")
        return lines

    def _end(self) -> list[str]:
        """Return what comes after the rows."""
        lines = []
        for node in self.loop.nodes:
            if self.loop.kinds[node.index] != "after":
                continue
            if node.op in _START:
                lines.append(f"r{node.index} = {_type(node.dtype)}(a{node.index})")
                if node.index in self._stored:
                    lines.append(f"{self._array(node)}[0] = r{node.index}")
            else:
                lines += self._computed(node, "")
        return lines

    def _of_row(self, stage: int) -> list[str]:
        """Return the single numbers of a row that walk `stage` may use, and sums of them over the rows."""
        self._loaded = set()
        lines: list[str] = []
        for node in self.loop.nodes:
            if self.loop.kinds[node.index] == "row" and self.loop.stages[node.index] == stage and node.op not in _START:
                lines += self._computed(node, "i")
            x = node.inputs[0] if node.op in _START else None
            if x is not None and self.loop.kinds.get(base_of(x).index) == "row" and self.loop.stages[x.index] == stage:
                lines.append(_FOLD[node.op](f"a{node.index}", f"r{x.index}"))
        return lines

    def _walk(self, stage: int, at: str) -> list[str]:
        """Return what is done at one place of the domain in walk `stage`: computed, then written."""
        loop, lines, writes = self.loop, [], []
        self._loaded = set()
        for node in loop.nodes:
            if loop.kinds[node.index] == "full" and loop.stages[node.index] == stage:
                computed = self._computed(node, at, write=False)
                lines += computed
                if node.index in self._stored:
                    place = f"{self._array(node)}[i, j]" if at == "j" else f"{self._array(node)}[i]"
                    writes.append(f"{place} = r{node.index}")
                elif node.index in self._scratch:
                    writes.append(f"{self._row(node.index)}[j] = r{node.index}")
            elif self._reduces(node, stage):
                x, lines_of_x = self._operand(node, node.inputs[0], at)
                lines += lines_of_x
                if loop.kinds[node.index] == "column":
                    target = f"{self._array(node)}[j]"
                    lines.append(_FOLD[node.op](target, x))
                else:
                    lines.append(_FOLD[node.op](f"a{node.index}", x))
        return lines + writes

    def _computed(self, node: Node, at: str, *, write: bool = True) -> list[str]:
        """Return the lines that compute a node into a variable, and write it where others will read it."""
        lines, operands = [], []
        for i in node.inputs:
            told, before = self._operand(node, i, at)
            operands.append(told)
            lines += before
        lines.append(f"r{node.index} = {_expression(node, operands)}")
        if write and node.index in self._stored:
            lines.append(f"{self._array(node)}[{at or 0}] = r{node.index}")
        return lines

    def _operand(self, node: Node, value: Any, at: str) -> tuple[str, list[str]]:
        """Return an operand of `node` as an expression, and the line that reads it first, where one must."""
        if not isinstance(value, Node) or value.weak:
            return self._number(value, _meets(node)), []
        base, loop = base_of(value), self.loop
        stage = loop.stages[node.index]
        if node.op in _START and loop.kinds[node.index] == "row":
            stage -= 1
        elif node.op in _START:
            stage = loop.stages.get(base.index, 0)
        if base.index in loop.kinds and (loop.kinds[base.index] != "full" or loop.stages[base.index] == stage):
            return f"r{base.index}", []
        if base.index in loop.kinds:  # computed in an earlier walk
            here = f"{self._array(base)}[i, j]" if base.index in self._stored else f"{self._row(base.index)}[j]"
        else:
            here = f"{self._array(value)}[{self._subscript(node, value, at)}]"
        variable = f"q{value.index}"
        if variable in self._loaded:
            return variable, []
        self._loaded.add(variable)
        return variable, [f"{variable} = {here}"]

    def _subscript(self, node: Node, value: Node, at: str) -> str:
        """Return where an array from outside is read."""
        domain = self.loop.domain
        shape = value.shape if node.op in _START else node.shape
        kind = "full" if node.op in _START and value.shape == domain else kind_of(value.shape, shape, domain)
        if kind == "full":
            return "i, j" if len(domain) == 2 else "i"
        return {"row": "i", "column": "j"}.get(kind or "", "0")


def _fold_max(sign: str) -> Any:
    return lambda a, x: f"{a} = {x} if {x} {sign} {a} or {x} != {x} else {a}"


_FOLD = {"sum": lambda a, x: f"{a} += {x}", "max": _fold_max(">"), "min": _fold_max("<")}
# Sums are taken in float64, so that many float32 numbers keep their digits.
_START: dict[str, Any] = {
    "sum": lambda dtype, wide=True: "f64(0.0)" if wide else f"{dtype}(0.0)",
    "max": lambda dtype, wide=True: f"{dtype}(-inf)",
    "min": lambda dtype, wide=True: f"{dtype}(inf)",
}


def _type(dtype: Any) -> str:
    name: str = dtype.name
    return {"float32": "f32", "float64": "f64"}.get(name, name)


def _meets(node: Node) -> Any:
    """Return the dtype a Python number takes as an operand of `node`."""
    others = [i.dtype for i in node.operands if not i.weak]
    return others[0] if node.dtype.kind == "b" else node.dtype


def _expression(node: Node, operands: list[str]) -> str:
    """Return a node as an expression of its operands."""
    x = operands[0]
    y = operands[1] if len(operands) > 1 else ""
    if node.op in _INFIX:
        return f"{x} {_INFIX[node.op]} {y}"
    if node.op in _CALLS:
        return f"{_type(node.dtype)}({_CALLS[node.op]}({x}))"
    if node.op == "astype":
        to = _type(node.dtype)
        if node.inputs[0].dtype.kind == "b":
            return f"{to}(1.0) if {x} else {to}(0.0)"
        return f"{to}({x})"
    if node.op in ("maximum", "minimum"):
        sign = "<" if node.op == "maximum" else ">"
        if not isinstance(node.inputs[1], Node):  # a number is no NaN: NaN stays where x is
            return f"{y} if {x} {sign} {y} else {x}"
        if not isinstance(node.inputs[0], Node):
            return f"{x} if {y} {sign} {x} else {y}"
        return f"{y} if {x} {sign} {y} or {y} != {y} else {x}"
    return {
        "negative": f"-{x}",
        "abs": f"abs({x})",
        "square": f"{x} * {x}",
        "where": f"{y} if {x} else {operands[-1]}",
        "logical_not": f"not {x}",
    }[node.op]


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


assert set(_CALLS) <= set(POINTWISE)
