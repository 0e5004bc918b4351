"""The replay on NumPy: every node one call that writes into its own place."""

from typing import Any, ClassVar

import numpy

from retroprop.backends.tracing.fusion import Loop, base_of
from retroprop.backends.tracing.graph import POINTWISE, Node, NotTraceableError
from retroprop.backends.tracing.plan import Instruction, Plan
from retroprop.backends.tracing.program import Program
from retroprop.backends.tracing.recording import Recording
from retroprop.functions.types import Array

BLOCK = 8192  # numbers of a long row worked on at a time: what a rule reads and writes of them stays in the cache
_REDUCE = {"sum": "add", "max": "maximum", "min": "minimum", "prod": "multiply", "all": "logical_and",
           "any": "logical_or"}  # fmt: skip
_COMPARE = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def can_block(node: Node) -> bool:
    """Return whether a node may be worked on block by block."""
    return node.op in POINTWISE and not node.weak and node.ndim == 1


def fits_block(loop: Loop) -> bool:
    """Return whether a loop is a long row of numbers."""
    return len(loop.domain) == 1 and loop.domain[0] > BLOCK


def columns_first(node: Node) -> bool:
    """Return whether a matrix of few columns lies better column by column.

    NumPy's inner loop is the longer one then: a bias is added, and a row's maximum found, 3 to 10 times as fast.
    """
    return node.op != "gather" and node.ndim == 2 and 1 < node.shape[1] <= 32 and 2 * node.shape[1] <= node.shape[0]


def blocked(recording: Recording) -> Plan:
    """Plan a recording for NumPy alone."""
    return Plan(recording, can=can_block, fits=fits_block, columns_first=columns_first)


class NumpyCalls:
    """NumPy as a `Library`."""

    names: ClassVar[dict[str, Any]] = {
        "copy": numpy.copyto,
        "dot": numpy.dot,
        "matmul": numpy.matmul,
        "concatenate": numpy.concatenate,
        "float": float,
        **POINTWISE,
    }

    def empty(self, nbytes: int) -> Array:
        room = numpy.empty(nbytes + 64, numpy.uint8)
        begin = -room.ctypes.data % 64
        return room[begin : begin + nbytes]

    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any, *, columns_first: bool) -> Array:
        if columns_first:
            return numpy.ndarray(shape[::-1], dtype, memory, offset).T
        return numpy.ndarray(shape, dtype, memory, offset)

    def constant(self, value: Any, dtype: Any) -> Array:
        return numpy.array(value, dtype)

    def scalar(self, name: str) -> str:
        return f"{name}[()]"

    def view(self, node: Node, array: Array) -> Array:
        if node.op == "transpose":
            return array.mT
        if node.op == "reshape":
            return array.reshape(node.shape)
        if node.op == "part":
            offset = node.attr("offset")
            return array[offset : offset + node.size].reshape(node.shape)
        if node.op == "index":
            return eval(f"array[{_subscript(node)}]", {"array": array, "slice": slice, "Ellipsis": Ellipsis})
        return array  # overwrite: the new numbers are where the old ones were

    def view_source(self, node: Node, name: str) -> str:
        if node.op == "transpose":
            return f"{name}.mT"
        if node.op == "reshape":
            return f"{name}.reshape({node.shape})"
        if node.op == "index":
            return f"{name}[{_subscript(node)}]"
        raise NotTraceableError(f"{node.op} of an argument is not replayed.")

    # Calls ---------------------------------------------------------------------------------------------------------

    def call(self, node: Node, program: Program) -> list[str]:
        out = program.name(node)
        if node.op in POINTWISE:
            return [self.pointwise(node, out, [program.operand(i, operand_dtype(node, i)) for i in node.inputs])]
        names = [program.name(i) for i in node.operands]
        if node.op in _REDUCE:
            return self._reduced(node, out, names[0], program)
        if node.op == "matmul":
            return [self._product(node, out, names, program)]
        if node.op == "gather":
            return [f"{names[0]}.take({names[1]}, 0, {out}, 'clip')"]
        if node.op == "take":
            return [f"{names[0]}.take({names[1]}, {node.attr('axis')}, {out})"]
        if node.op == "astype":
            return [f"copy({out}, {names[0]}, 'unsafe')"]
        if node.op == "where":
            condition, x, y = (program.operand(i, operand_dtype(node, i)) for i in node.inputs)
            return [f"copy({out}, {y})", f"copy({out}, {x}, where={condition})"]
        if node.op in ("join", "concat"):
            rows = ", ".join(
                program.bind(f"f{i.index}", program.array(i).reshape(-1)) if base_of(i).op != "input"
                else f"{name}.reshape(-1)" for i, name in zip(node.operands, names, strict=True)
            )  # fmt: skip
            return [f"concatenate(({rows},), 0, {out})"]
        raise NotTraceableError(f"{node.op} is not replayed.")

    def pointwise(self, node: Node, out: str, names: list[str]) -> str:
        """Return the line of a pointwise call."""
        by_name = "out=" if node.op in ("maximum", "minimum") else ""  # their third place is deprecated
        return f"{node.op}({', '.join(names)}, {by_name}{out})"

    def _product(self, node: Node, out: str, names: list[str], program: Program) -> str:
        """Return the line of a matrix product; `dot` of matrices is half the price of a call of `matmul`."""
        if node.ndim > 2 or len({node.dtype, *(i.dtype for i in node.operands)}) > 1:
            return f"matmul({', '.join(names)}, {out})"
        if not program.plan.places[node.index].columns_first:
            return f"dot({', '.join(names)}, {out})"
        # zᵀ = Θ aᵀ, which lies rows first
        flipped = [self._flipped(i, name, program) for i, name in zip(node.operands, names, strict=True)]
        turned = program.bind(f"{out}T", program.array(node).T)
        return f"dot({flipped[1]}, {flipped[0]}, {turned})"

    def _flipped(self, node: Node, name: str, program: Program) -> str:
        if base_of(node).op == "input" and base_of(node).index not in program.plan.places:
            return f"{name}.T"
        return program.bind(f"{name}T", program.array(node).T)

    def _reduced(self, node: Node, out: str, name: str, program: Program) -> list[str]:
        (x,), axes = node.operands, node.attr("axes")
        given = base_of(x).op == "input" and base_of(x).index not in program.plan.places
        if node.op != "sum" or x.dtype.kind != "f" or given or x.ndim > 2:
            place = f"{axes if len(axes) > 1 else axes[0]}, None, {out}, {node.attr('keepdims')}"
            return [f"{_REDUCE[node.op]}.reduce({name}, {place})"]
        # A sum is a product with ones, 3 to 5 times as fast as NumPy's own.
        array = program.array(x)
        if len(axes) == x.ndim:
            order = "F" if x.ndim == 2 and program.plan.places[base_of(x).index].columns_first else "C"
            flat = program.bind(f"f{x.index}", array.reshape(-1, order=order))
            return [f"dot({flat}, {self._ones(x.size, x, program)}, {self._flat(node, program, ())})"]
        ones = self._ones(x.shape[axes[0]], x, program)
        pair = (name, ones) if axes == (1,) else (ones, name)
        return [f"dot({pair[0]}, {pair[1]}, {self._flat(node, program, (-1,))})"]

    def _flat(self, node: Node, program: Program, shape: tuple[int, ...]) -> str:
        return program.bind(f"f{node.index}", program.array(node).reshape(shape))

    def _ones(self, n: int, like: Node, program: Program) -> str:
        name = f"ones_{like.dtype}_{n}"
        if name not in program.names:
            program.bind(name, numpy.ones(n, like.dtype))
        return name

    # Blocks --------------------------------------------------------------------------------------------------------

    def loop(self, one: Instruction, program: Program) -> list[str]:
        """Return a loop over blocks of long rows, each pointwise call on one block at a time."""
        assert one.loop is not None
        n, stored = one.loop.domain[0], {node.index for node in one.stores}
        long = [i for i in one.reads if i.shape == one.loop.domain] + one.stores
        arrays = {i.index: program.array(i) for i in long}
        temporaries: dict[str, Any] = {}  # name: dtype
        names = {i.index: f"b{i.index}" for i in long}
        free: list[tuple[str, Any]] = []
        last = {o.index: node.index for node in one.nodes for o in node.operands}
        lines = []
        for node in one.nodes:
            operands = [
                names[i.index]
                if isinstance(i, Node) and i.index in names
                else program.operand(i, operand_dtype(node, i))
                for i in node.inputs
            ]
            ending = {
                i.index for i in node.operands if last[i.index] == node.index and names.get(i.index, "")[:1] == "t"
            }
            free += [(names[i], temporaries[names[i]]) for i in ending]
            if node.index not in stored:
                reused = next((f for f in free if f[1] == node.dtype), None)
                if reused is not None:
                    free.remove(reused)
                names[node.index] = reused[0] if reused is not None else f"t{len(temporaries)}"
                temporaries[names[node.index]] = node.dtype
            lines.append(f"    {self.pointwise(node, names[node.index], operands)}")
        room = {name: numpy.empty(min(n, BLOCK), dtype) for name, dtype in temporaries.items()}
        blocks = [
            tuple(arrays[i.index][at : at + BLOCK] for i in long)
            + tuple(t[: min(BLOCK, n - at)] for t in room.values())
            for at in range(0, n, BLOCK)
        ]
        name = program.bind(f"blocks{one.nodes[0].index}", blocks)
        parts = ", ".join([*(names[i.index] for i in long), *room])
        return [f"for {parts}, in {name}:", *lines]


def operand_dtype(node: Node, value: Any) -> Any:
    """Return the dtype a Python number takes as an operand of `node`."""
    if node.op == "where":
        return node.dtype
    others = [i.dtype for i in node.operands if not i.weak]
    if node.op in _COMPARE:
        return others[0]
    return numpy.result_type(node.dtype, *others) if node.dtype.kind == "f" else numpy.result_type(*others)


def _subscript(node: Node) -> str:
    key: str = node.attr("key")
    return key[1:-1] if key.startswith("(") else key
