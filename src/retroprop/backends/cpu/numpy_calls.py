"""The lowering to NumPy: every node is one call that writes into its own place."""

from typing import Any, ClassVar, Literal

import numpy

from retroprop.backends.cpu.source_program import SourceProgram, SourceTarget
from retroprop.backends.plan.fusion import Instruction, Loop
from retroprop.backends.plan.plan import Rules
from retroprop.backends.record.graph import Node, NotTraceableError, base_of, number_dtype
from retroprop.backends.record.table import OPERATIONS, REDUCTIONS, UFUNCS, VIEWS
from retroprop.backends.replay.program import reshaped
from retroprop.functions.types import Array

# Columns up to which the rows of a stack of matrices are reduced by one call for each column
FEW = 4
# Elements of a long 1-D array processed at a time: all that a rule reads and writes of them stays in cache.
BLOCK = 16384


def can_block(node: Node) -> bool:
    """Return whether a node may be computed block by block."""
    return node.op in UFUNCS and not node.weak and node.ndim == 1


def fits_block(loop: Loop) -> bool:
    """Return whether a loop runs over a long 1-D array."""
    return len(loop.domain) == 1 and loop.domain[0] > BLOCK


def fortran(shape: tuple[int, ...]) -> bool:
    """Return whether a matrix has few columns and many rows, and is faster in Fortran order.

    The inner loop is the longer one then. NumPy finds the maxima of 200 rows of 10 in 2 µs, not in 15.
    """
    return len(shape) == 2 and 1 <= shape[1] <= 32 and shape[0] >= max(2 * shape[1], 32)


def theta_fortran(shape: tuple[int, ...]) -> bool:
    """Return whether a Θ has many more columns than rows, and is faster in Fortran order, (from, to) in memory.

    The products of 784-100-10 take 0.84 of the time then with 32 rows, 0.96 with 128 (one thread of an AMD EPYC).
    """
    n_out, n_in = shape
    return n_out >= 32 and n_in >= max(2 * n_out, 200)


class NumpyCalls(SourceTarget):
    """NumPy as a target."""

    rules: ClassVar[Rules] = Rules(can_block, fits_block, fortran, theta_fortran)
    names: ClassVar[dict[str, Any]] = {
        "copy": numpy.copyto,
        "copy_in": numpy.copyto,
        "dot": numpy.dot,
        "matmul": numpy.matmul,
        "concatenate": numpy.concatenate,
        **UFUNCS,
    }

    def empty(self, nbytes: int) -> Array:
        room = numpy.empty(nbytes + 64, numpy.uint8)
        begin = -room.ctypes.data % 64
        return room[begin : begin + nbytes]

    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any, *, fortran: bool = False) -> Array:
        if fortran:
            return numpy.ndarray(shape[::-1], dtype, memory, offset).T
        return numpy.ndarray(shape, dtype, memory, offset)

    def address(self, array: Array) -> int:
        return int(array.ctypes.data)

    def constant(self, value: Any, dtype: Any) -> Array:
        return numpy.array(value, dtype)

    def settle(self, name: str, number: str) -> str:
        return f"{name}[()] = {number}"

    def result(self, node: Node, program: SourceProgram, *, copy: bool) -> str:
        return super().result(node, program, copy=copy) if node.ndim else f"{program.name(node)}[()]"

    # Calls ---------------------------------------------------------------------------------------------------------

    def call(self, node: Node, program: SourceProgram) -> list[str]:
        out = program.name(node)
        if node.op in UFUNCS:
            return self._pointwise(node, out, program)
        names = [program.name(i) for i in node.operands if not i.weak]
        if node.op in REDUCTIONS:
            return self._reduced(node, out, names[0], program)
        if node.op == "matmul":
            return [self._product(node, out, program)]
        if node.op == "gather":
            return [f"{names[0]}.take({names[1]}, 0, {out}, 'clip')"]
        if node.op == "take":
            return [f"{names[0]}.take({names[1]}, {node.attributes['axis']}, {out})"]
        if node.op == "astype":
            return [f"{out}[...] = {names[0]}"]  # half the time of `copyto`
        if node.op == "where":
            condition, x, y = (program.operand(i, number_dtype(node, i)) for i in node.inputs)
            return [f"copy({out}, {y})", f"copy({out}, {x}, where={condition})"]
        if node.op == "concat":
            return [f"concatenate(({', '.join(names)},), 1, {out})"]
        if node.op in ("join", "stack"):
            flat = ", ".join(
                program.bind(f"f{i.index}", reshaped(program.array(i), (-1,), self.address)) if not program.is_given(i)
                else f"{name}.reshape(-1)" for i, name in zip(node.operands, names, strict=True)
            )  # fmt: skip
            return [f"concatenate(({flat},), 0, {self._flat(node, program, (-1,))})"]
        raise NotTraceableError(f"{node.op} is not replayed.")

    def pointwise(self, node: Node, out: str, names: list[str]) -> str:
        """Return the line of a pointwise call."""
        by_name = "out=" if node.op in ("maximum", "minimum") else ""  # as a third argument it is deprecated
        return f"{node.op}({', '.join(names)}, {by_name}{out})"

    def _pointwise(self, node: Node, out: str, program: SourceProgram) -> list[str]:
        """Return a pointwise call, after the copies that give its operands the shape and the order of the result.

        A copy that broadcasts and a call on that take 0.6 to 0.9 of the time of a call that broadcasts, and a copy into
        Fortran order and a call on that less than a call that walks both ways.
        """
        places, home, lines = program.plan.places, program.plan.places[node.index], []
        names = [program.operand(i, number_dtype(node, i)) for i in node.inputs]
        alters = any(places.get(i.index) == home for i in node.operands)  # the result lies where an operand lies
        for k, i in enumerate(node.inputs):
            if not isinstance(i, Node) or i.size == 1:
                continue
            if i.shape != node.shape and (i.op == "constant" or node.size <= BLOCK):
                names[k], copies = self._broadcast(i, k, node, program)
                lines += copies
                continue
            by_rows = home.fortran and node.shape[1] > 1 and i.index in places and not places[i.index].fortran
            if by_rows and not alters and (i.shape, i.dtype) == (node.shape, node.dtype):
                lines.append(f"copy({out}, {names[k]})")
                names[k], alters = out, True
        return [*lines, self.pointwise(node, out, names)]

    def _broadcast(self, operand: Node, k: int, node: Node, program: SourceProgram) -> tuple[str, list[str]]:
        """Return the name of operand k in the shape and order of the result, and the line that fills it, if any."""
        order: Literal["F", "C"] = "F" if program.plan.places[node.index].fortran else "C"
        name = f"wide{k}_{operand.dtype}_{'_'.join(map(str, node.shape))}_{order}"
        if operand.op == "constant":  # here and now
            wide = numpy.broadcast_to(program.array(operand), node.shape).copy(order)
            return program.bind(f"{name}_v{operand.index}", wide), []
        if name not in program.names:
            program.bind(name, numpy.empty(node.shape, operand.dtype, order))
        return name, [f"{name}[...] = {program.name(operand)}"]

    def _product(self, node: Node, out: str, program: SourceProgram) -> str:
        """Return the line of a matrix product; `dot` of matrices is half the price of a call of `matmul`."""
        a, b = node.operands
        if program.plan.places[node.index].fortran:  # (A B)ᵀ = Bᵀ Aᵀ
            a, b = b.mT, a.mT
            out = program.bind(f"t{node.index}", program.array(node).T)
        return f"{'dot' if node.ndim == 2 else 'matmul'}({program.name(a)}, {program.name(b)}, {out})"

    def _reduced(self, node: Node, out: str, name: str, program: SourceProgram) -> list[str]:
        (x,), axes, function = node.operands, node.attributes["axes"], OPERATIONS[node.op].function.__name__
        if x.shape[1:] == (2,) and axes == (1,) and x.dtype == node.dtype and node.op in ("sum", "max", "min"):
            # One call on the two columns takes 0.4 of the time of a reduction.
            columns = [self._column(x, k, program) for k in range(2)]
            by_name = "" if node.op == "sum" else "out="
            return [f"{function}({', '.join(columns)}, {by_name}{self._flat(node, program, (-1,))})"]
        if x.ndim == 3 and x.dtype == node.dtype and (lines := self._of_matrices(node, name, program)):
            return lines
        each = 1.0 / (x.size // max(node.size, 1)) if node.op == "mean" else 1.0
        given = base_of(x).index not in program.plan.places or node.dtype != x.dtype
        given = given or (x.op in VIEWS and len(axes) == x.ndim)
        if node.op not in ("sum", "mean") or x.dtype.kind != "f" or given or x.ndim > 2:
            place = f"{axes if len(axes) > 1 else axes[0]}, None, {out}, {node.attributes['keepdims']}"
            line = f"{function}.reduce({name}, {place})"
            return [line] if each == 1.0 else [line, f"multiply({out}, {program.number(each, node.dtype)}, {out})"]
        # A sum is a product with ones, a mean a product with 1/n: 2 to 5 times as fast as NumPy's own.
        array = program.array(x)
        if len(axes) == x.ndim:
            order = "F" if x.ndim == 2 and program.plan.places[base_of(x).index].fortran else "C"
            flat = program.bind(f"f{x.index}", array.reshape(-1, order=order))
            return [f"dot({flat}, {self._row(x.size, each, x, program)}, {self._flat(node, program, ())})"]
        row = self._row(x.shape[axes[0]], each, x, program)
        pair = (name, row) if axes == (1,) else (row, name)
        return [f"dot({pair[0]}, {pair[1]}, {self._flat(node, program, (-1,))})"]

    def _of_matrices(self, node: Node, name: str, program: SourceProgram) -> list[str]:
        """Return a reduction of a stack of matrices over rows or columns, none where NumPy's own is taken.

        The loops of NumPy's own have the length of a row: the maxima of 3200 rows of 3 take it 5 times as long.
        """
        (x,), axes = node.operands, node.attributes["axes"]
        k, m, n = x.shape
        function = OPERATIONS[node.op].function.__name__
        if program.is_given(x) or x.op in VIEWS or node.op not in ("sum", "max", "min"):
            return []
        if axes == (2,) and 2 <= n <= FEW:
            out = self._flat(node, program, (k, m))
            array = program.array(x)
            columns = [program.bind(f"{name}_{j}", array[:, :, j]) for j in range(n)]
            by_name = "" if node.op == "sum" else "out="
            pairs = zip([columns[0], *[out] * (n - 2)], columns[1:], strict=True)
            return [f"{function}({one}, {other}, {by_name}{out})" for one, other in pairs]
        if node.op == "sum" and axes == (2,):
            rows = program.bind(f"r{x.index}", reshaped(program.array(x), (k * m, n), self.address))
            return [f"dot({rows}, {self._row(n, 1.0, x, program)}, {self._flat(node, program, (-1,))})"]
        if node.op == "sum" and axes == (1,):
            return [f"matmul({self._row(m, 1.0, x, program)}, {name}, {self._flat(node, program, (k, n))})"]
        return []

    def _flat(self, node: Node, program: SourceProgram, shape: tuple[int, ...]) -> str:
        return program.bind(f"o{node.index}", reshaped(program.array(node), shape, self.address))

    def _column(self, x: Node, k: int, program: SourceProgram) -> str:
        if program.is_given(x):
            return program.name(x[:, k])
        return program.bind(f"{program.name(x)}_{k}", program.array(x)[:, k])

    def _row(self, n: int, each: float, like: Node, program: SourceProgram) -> str:
        name = f"{'ones' if each == 1.0 else 'parts'}_{like.dtype}_{n}"
        return name if name in program.names else program.bind(name, numpy.full(n, each, like.dtype))

    # Blocks --------------------------------------------------------------------------------------------------------

    def loop(self, one: Instruction, program: SourceProgram) -> list[str]:
        """Return a loop over blocks of long 1-D arrays, each pointwise call on one block at a time."""
        assert one.loop is not None
        n, stored = one.loop.domain[0], {node.index for node in one.stores}
        long = [i for i in one.reads if i.shape == one.loop.domain] + one.stores
        arrays = [program.array(i) for i in long]
        temporaries: dict[str, Any] = {}  # name: dtype
        names = {i.index: f"b{i.index}" for i in long}
        free: list[str] = []
        last = {o.index: node.index for node in one.nodes for o in node.operands}
        lines = []
        for node in one.nodes:
            operands = [
                names[i.index]
                if isinstance(i, Node) and i.index in names
                else program.operand(i, number_dtype(node, i))
                for i in node.inputs
            ]
            ending = {
                i.index for i in node.operands if last[i.index] == node.index and names.get(i.index) in temporaries
            }
            free += [names[i] for i in ending]
            if node.index not in stored:
                name = next((f for f in free if temporaries[f] == node.dtype), f"t{len(temporaries)}")
                if name in free:
                    free.remove(name)
                names[node.index], temporaries[name] = name, node.dtype
            lines.append(f"    {self.pointwise(node, names[node.index], operands)}")
        room = {name: numpy.empty(min(n, BLOCK), dtype) for name, dtype in temporaries.items()}
        blocks = [
            (*(array[at : at + BLOCK] for array in arrays), *(t[: min(BLOCK, n - at)] for t in room.values()))
            for at in range(0, n, BLOCK)
        ]
        name = program.bind(f"blocks{one.nodes[0].index}", blocks)
        parts = ", ".join([*(names[i.index] for i in long), *room])
        return [f"for {parts}, in {name}:", *lines]
