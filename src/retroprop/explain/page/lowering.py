"""A recorded function as one JavaScript function: arrays are Float64Array in C order, a node a line."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy

from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError, reached
from retroprop.backends.record.recorder import Recording
from retroprop.backends.record.table import subscript
from retroprop.explain.page.javascript import REDUCTIONS, literal, template_of

Strides = Sequence[int]
_PLAIN_COPIES = ("transpose", "index")


def lowered(recording: Recording, parameters: Sequence[str]) -> str:
    """Return the source of an arrow function of these parameters, whose result is an object of arrays.

    Parameters
    ----------
    recording : Recording
        The function; a named tuple among its arguments or results is an object with its fields, a tuple an array.
    parameters : sequence of str
        A name for each argument, other than i, the index of the loops.

    Raises
    ------
    NotTraceableError
        If an operation of the graph has no JavaScript.
    """
    return _Lowering(recording, parameters).source


class _Lowering:
    """The lines of one function."""

    def __init__(self, recording: Recording, parameters: Sequence[str]) -> None:
        wanted = reached(leaf for leaf in tree.leaves(recording.results) if isinstance(leaf, Node))
        self._names: dict[int, str] = {}
        for name, argument in zip(parameters, recording.arguments, strict=True):
            self._unpack(name, argument)
        lines, role = [], None
        for node in wanted:
            if node.index in self._names:
                continue
            if node.role is not None and node.role[:2] != role:
                role = node.role[:2]
                lines.append(f"// {role[0]}" + (f", layer {role[1] + 1}" if role[1] else ""))
            self._names[node.index] = f"v{node.index}"
            lines += self._lines(node, f"v{node.index}")
        result = f"return {self._tree(recording.results)};"
        body = "\n  ".join([*lines, result])
        self.source = f"({', '.join(parameters)}) => {{\n  {body}\n}}"

    def _unpack(self, path: str, argument: Any) -> None:
        if isinstance(argument, Node):
            self._names[argument.index] = path
        elif tree.is_branch(argument):
            fields = getattr(argument, "_fields", None)
            for i, part in enumerate(argument):
                self._unpack(f"{path}.{fields[i]}" if fields else f"{path}[{i}]", part)

    def _tree(self, results: Any) -> str:
        if isinstance(results, Node):
            return self._names[results.index]
        parts = [self._tree(part) for part in results]
        if fields := getattr(results, "_fields", None):
            return "{" + ", ".join(f"{name}: {part}" for name, part in zip(fields, parts, strict=True)) + "}"
        return f"[{', '.join(parts)}]"

    def _lines(self, node: Node, name: str) -> list[str]:
        if node.op == "constant":
            values = numpy.frombuffer(node.attributes["content"], node.attributes["dtype"]).tolist()
            return [f"const {name} = Float64Array.of({', '.join(map(literal, values))});"]
        if node.weak:  # arithmetic of numbers that change
            return [f"const {name} = {template_of(node).format(*(self._scalar(i) for i in node.inputs))};"]
        if node.op == "matmul":
            return [self._matmul(node, name)]
        if node.op in REDUCTIONS:
            return self._reduction(node, name)
        if node.op in ("reshape", "overwrite"):  # the same numbers in the same order
            return [f"const {name} = {self._names[node.inputs[0].index]};"]
        if node.op == "part":
            begin = node.attributes["offset"]
            return [f"const {name} = {self._names[node.inputs[0].index]}.slice({begin}, {begin + node.size});"]
        if node.op in _PLAIN_COPIES:
            return self._loop(node, name, f"{{}}[{_view(node)}]".format(self._names[node.inputs[0].index]))
        if node.op in ("gather", "take"):
            return self._taken(node, name)
        if node.op in ("join", "concat", "stack"):
            return self._joined(node, name)
        operands = [self._operand(i, node.shape) for i in node.inputs]
        return self._loop(node, name, template_of(node).format(*operands))

    def _loop(self, node: Node, name: str, value: str) -> list[str]:
        return [f"const {name} = each({node.size}, i => {value});"]

    def _scalar(self, value: Any) -> str:
        return self._names[value.index] if isinstance(value, Node) else literal(value)

    def _operand(self, value: Any, shape: tuple[int, ...]) -> str:
        """Return an operand at place i of a result of `shape`, broadcast as NumPy does."""
        if not isinstance(value, Node) or value.weak:
            return self._scalar(value)
        own = _c_strides(value.shape)
        padded = (0,) * (len(shape) - value.ndim)
        strides = [*padded, *(s if n > 1 else 0 for s, n in zip(own, value.shape, strict=True))]
        return f"{self._names[value.index]}[{_place(shape, strides)}]"

    def _matmul(self, node: Node, name: str) -> str:
        a, b = node.operands
        if node.ndim != 2:
            raise NotTraceableError(f"matmul of {node.ndim} axes is not lowered to JavaScript.")
        of = f"{self._names[a.index]}, {self._names[b.index]}, {a.shape[0]}, {a.shape[1]}, {b.shape[1]}"
        return f"const {name} = matmul({of});"

    def _reduction(self, node: Node, name: str) -> list[str]:
        (x,), axes = node.operands, node.attributes["axes"]
        begin, template = REDUCTIONS[node.op]
        kept = iter(_c_strides(tuple(n for axis, n in enumerate(x.shape) if axis not in axes)))
        place = _place(x.shape, [0 if axis in axes else next(kept) for axis in range(x.ndim)])
        value = template.format(f"{name}[{place}]", f"{self._names[x.index]}[i]", n=x.size // max(node.size, 1))
        filled = "" if begin == "0" else f".fill({begin})"
        return [
            f"const {name} = new Float64Array({node.size}){filled};",
            f"for (let i = 0; i < {x.size}; i++) {name}[{place}] = {value};",
        ]

    def _taken(self, node: Node, name: str) -> list[str]:
        x, indices = (self._names[i.index] for i in node.operands)
        axis = node.attributes.get("axis", 0)
        shape, n = node.operands[0].shape, node.operands[1].size
        inner = prod(shape[axis + 1 :])
        row = f"{indices}[(i / {inner} | 0) % {n}]"
        return self._loop(node, name, f"{x}[((i / {inner * n} | 0) * {shape[axis]} + {row}) * {inner} + i % {inner}]")

    def _joined(self, node: Node, name: str) -> list[str]:
        """Return the lines that put arrays one after the other; side by side, row by row."""
        rows = node.shape[0] if node.op == "concat" else 1
        width, at, lines = node.size // max(rows, 1), 0, [f"const {name} = new Float64Array({node.size});"]
        for part in node.operands:
            own, of = part.size // max(rows, 1), self._names[part.index]
            place = f"(i / {own} | 0) * {width} + {at} + i % {own}" if rows > 1 else f"{at} + i"
            lines.append(f"for (let i = 0; i < {part.size}; i++) {name}[{place}] = {of}[i];")
            at += own
        return lines


def _c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _place(shape: tuple[int, ...], strides: Strides, offset: int = 0) -> str:
    """Return the place, in an array of these strides, of element i of an array of `shape` in C order."""
    if offset == 0 and all(s == own for s, own, n in zip(strides, _c_strides(shape), shape, strict=True) if n > 1):
        return "i" if prod(shape) > 1 else "0"
    terms = [str(offset)] if offset else []
    for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        if n > 1 and stride:
            inner = prod(shape[axis + 1 :])
            term = "i" if inner == 1 else f"(i / {inner} | 0)"
            outer = prod(shape[:axis])
            term = f"{term} % {n}" if outer > 1 else term
            terms.append(term if stride == 1 else f"({term}) * {stride}")
    return " + ".join(terms) or "0"


def _view(node: Node) -> str:
    """Return the place in the operand of element i of a transposed matrix, or of a part by an index."""
    shape = node.inputs[0].shape
    whole = numpy.lib.stride_tricks.as_strided(numpy.zeros(()), shape, [8 * s for s in _c_strides(shape)])
    part: Any = whole.mT if node.op == "transpose" else whole[subscript(node.attributes["key"])]
    offset = (part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // 8
    return _place(node.shape, [s // 8 for s in part.strides], offset)
