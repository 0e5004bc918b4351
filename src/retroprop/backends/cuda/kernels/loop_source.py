"""A loop of the plan as one fused CUDA kernel: read once, computed in registers, written once, reduced on the way.

Over a 1-D domain each thread takes several adjacent elements with one load. In a matrix a group of 1 to 32 threads
takes a row, so that reductions of a row (the maximum and the sum of softmax) are exchanged within a warp. A later walk
over a row computes anew what an earlier one computed, which costs less than storing it. Everything is written in the
last walk, so that an output may overwrite an operand. Reductions over rows and over all elements go through memory:
each block leaves its partial sums, and the last block to arrive adds them, always in one order.
"""

from collections.abc import Callable
from typing import NamedTuple

from retroprop.backends.cuda.kernels.expressions import TYPES
from retroprop.backends.cuda.kernels.geometry import THREADS, Geometry
from retroprop.backends.cuda.kernels.operands import MOST_KEPT, OperandLayout, Operands, strides_along
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.record.graph import Node, base_of
from retroprop.backends.record.table import SUMS


class Kernel(NamedTuple):
    """A kernel and how it is launched.

    Attributes
    ----------
    text : str
        The definition of `retroprop_kernel`, in CUDA C++.
    arrays : tuple of Node
        Its first arguments; then, if it has any, the table of numbers (double *) and the tick (long long *), the row of
        the table; then, if it reduces, memory for partial sums (double *) and counters (unsigned *, all 0); then, if it
        closes, the costs of the run and the tick again (long long *).
    numbers : tuple of Node
        The Python numbers it takes, in the order of a row.
    parts, counters : int
        The number of partial sums and of counters.
    closes : bool
        Whether it stores the step's cost and advances the tick.
    geometry : Geometry
        The grid.
    """

    text: str
    arrays: tuple[Node, ...]
    numbers: tuple[Node, ...]
    parts: int
    counters: int
    closes: bool
    geometry: Geometry


def kernel_of(
    one: Instruction,
    see: Callable[[Node], OperandLayout],
    slot: Callable[[Node], int],
    *,
    cost: Node | None = None,
    ticked: bool = False,
) -> Kernel:
    """Return the kernel of a loop.

    Parameters
    ----------
    one : Instruction
        The loop, and the nodes it stores.
    see : callable
        Returns the layout of a node's array.
    slot : callable
        Returns the column of a Python number in the table.
    cost : Node, optional
        The cost of the step: the kernel that ends with it stores it for the run, and advances the tick.
    ticked : bool
        Whether an earlier kernel of the step did so.
    """
    return Source(one, see, slot, cost, ticked=ticked).kernel()


class Source(Operands):
    """The source of a kernel under construction."""

    def __init__(
        self,
        one: Instruction,
        see: Callable[[Node], OperandLayout],
        slot: Callable[[Node], int],
        cost: Node | None,
        *,
        ticked: bool,
    ) -> None:
        super().__init__(one, see, slot, ticked=ticked)
        ends = cost is not None and cost.index in self.stored and self.kinds[cost.index] == "after"
        self.cost = cost if ends else None
        self.last = max(self.stages.values())
        self.columns = [n for n in self.loop.nodes if self.kinds[n.index] == "column"]
        self.afters = [n for n in self.loop.nodes if self.kinds[n.index] == "after" and n.op in SUMS]
        self._offsets: dict[int, int] = {}

    def kernel(self) -> Kernel:
        """Return the kernel."""
        body = [*self._before(), *self._sums_begin()]
        body += self._flat() if len(self.domain) != 2 else self._matrix()
        tail = self._tail()
        given = [f"{TYPES[node.dtype.name]} *{name}" for name, node in self.arrays.values()]
        given += ["const double *table", "const long long *tick"] if self.numbers else []
        given += ["double *parts", "unsigned *counters"] if tail else []
        given += [f"{TYPES[self.cost.dtype.name]} *costs", "long long *done"] if self.cost is not None else []
        lines = "\n".join(f"  {line}" for line in (*self.head.values(), *body, *tail))
        text = (
            f'extern "C" __global__ void __launch_bounds__({THREADS}) retroprop_kernel({", ".join(given)}) {{\n'
            f"{lines}\n}}\n"
        )
        counters = self.geometry.strips + 1 if tail else 0
        arrays = tuple(node for _, node in self.arrays.values())
        numbers, closes = tuple(self.numbers.values()), self.cost is not None
        return Kernel(text, arrays, numbers, self._parts(), counters, closes, self.geometry)

    # Scalars ------------------------------------------------------------------------------------------------------

    def _before(self) -> list[str]:
        """Return the lines that read and compute scalars before the first element."""
        lines = [
            f"const {TYPES[value.dtype.name]} {self.name('q', value)} = {self.array(value)}[0];"
            for value, _ in self.outside(self.loop.nodes, ("before",)).values()
        ]
        for node in self.loop.nodes:
            if self.kinds[node.index] == "before":
                lines.append(self.computed(node))
                if node.index in self.stored:
                    lines.append(f"if ({_FIRST}) {self.array(node)}[0] = {self.name('r', node)};")
        return lines

    def _sums_begin(self) -> list[str]:
        many = f"[{self.geometry.columns}][{self.geometry.width}]"
        lines = [f"{TYPES[n.dtype.name]} {self.name('t', n)}{many};" for n in self.columns]
        lines += [f"begin({self.name('t', n)}, {_start(n)});" for n in self.columns]
        return lines + [f"double {self.name('t', n)} = {_start(n)};" for n in self.afters]

    # A 1-D domain -------------------------------------------------------------------------------------------------

    def _flat(self) -> list[str]:
        size = self.domain[0] if self.domain else 1
        width = self.geometry.width
        walk = self._walk(self.last, last=True)
        if not walk:
            return []
        first = f"(blockIdx.x * {THREADS}LL + threadIdx.x) * {width}"
        return [
            f"for (long long at = {first}; at < {size}; at += gridDim.x * {THREADS * width}LL) {{",
            f"  const long long left = {size}LL - at;",
            *_in(walk),
            "}",
        ]

    # A matrix -----------------------------------------------------------------------------------------------------

    def _matrix(self) -> list[str]:
        g = self.geometry
        rows = self.domain[0]
        lines = [
            f"const int lane = threadIdx.x % {g.lanes}, line = threadIdx.x / {g.lanes};",
            f"for (long long first = blockIdx.y * {g.rows}LL; first < {rows}; first += gridDim.y * {g.rows}LL) {{",
            "  const long long i = first + line;",
            f"  const bool here = i < {rows};",
        ]
        reads = self.outside([n for n in self.loop.nodes if self.kinds[n.index] in ("row", "full")], ("row",))
        for value, _ in reads.values():
            stride = strides_along(self._see(value).strides, value.shape)[0]
            ctype = TYPES[value.dtype.name]
            lines.append(
                f"  const {ctype} {self.name('q', value)} = here ? {self.array(value)}[i * {stride}] : {ctype}(0);"
            )
        for stage in range(self.last + 1):
            lines += _in(self._row_numbers(stage))
            sums = [n for n in self.loop.nodes if n.op in SUMS and self._summed_at(n) == stage and self._of_a_row(n)]
            if sums:
                lines += [f"  {TYPES[n.dtype.name]} {self.name('t', n)} = {_start(n)};" for n in sums]
                lines += _in(self._columns(self._walk(stage, sums=sums)))
                for node in sums:
                    ended = f"across<{g.lanes}>({self.name('t', node)}, {_combine(node)})"
                    lines.append(f"  const {TYPES[node.dtype.name]} {self.name('r', node)} = {ended};")
                    lines += _in(self._row_stored(node))
        last = self._walk(self.last, last=True)
        lines += _in(self._columns(last)) if last else []
        for node in self.afters:
            base = base_of(node.inputs[0])
            if self.kinds.get(base.index) == "row":
                lines.append(f"  if (here && lane == 0 && blockIdx.x == 0) {self._fold(node, self.name('r', base))}")
        return [*lines, "}"]

    def _columns(self, walk: list[str]) -> list[str]:
        """Return a walk over the columns of a thread's row."""
        g = self.geometry
        columns = self.domain[1]
        unroll = ["#pragma unroll"] if g.columns <= MOST_KEPT else []
        return [
            *unroll,
            f"for (int k = 0; k < {g.columns}; ++k) {{",
            f"  const long long j = (blockIdx.x * {g.lanes * g.columns}LL + k * {g.lanes} + lane) * {g.width};",
            f"  const long long left = here ? {columns}LL - j : 0;",
            "  if (left > 0) {",
            *_in(_in(walk)),
            "  }",
            "}",
        ]

    def _of_a_row(self, node: Node) -> bool:
        return self.kinds[node.index] == "row"

    def _summed_at(self, node: Node) -> int:
        """Return the walk in which a row is reduced."""
        return self.stages.get(base_of(node.inputs[0]).index, 0)

    def _row_numbers(self, stage: int) -> list[str]:
        """Return the lines that compute a row's scalars that are known before walk `stage`."""
        lines = []
        for node in self.loop.nodes:
            if self.kinds[node.index] == "row" and node.op not in SUMS and self.stages[node.index] == stage:
                lines += [self.computed(node), *self._row_stored(node)]
        return lines

    def _row_stored(self, node: Node) -> list[str]:
        if node.index not in self.stored:
            return []
        return [f"if (here && lane == 0 && blockIdx.x == 0) {self.array(node)}[i] = {self.name('r', node)};"]

    # A walk -------------------------------------------------------------------------------------------------------

    def _walk(self, stage: int, *, sums: list[Node] | None = None, last: bool = False) -> list[str]:
        """Return the lines for the elements of a thread: all that the walk needs is computed from the start."""
        wanted: set[int] = set()
        taken = sums if sums is not None else []
        if last:
            wanted = {i for i in self.stored if self.kinds.get(i) == "full"}
            taken = [*self.columns, *(n for n in self.afters if self._of_the_domain(n))]
        wanted |= {base_of(n.inputs[0]).index for n in taken} & set(self.kinds)
        for node in reversed(self.loop.nodes):
            if node.index in wanted and self.kinds[node.index] == "full":
                wanted |= {base_of(o).index for o in node.operands} & set(self.kinds)
        nodes = [n for n in self.loop.nodes if n.index in wanted and self.kinds[n.index] == "full"]
        if not nodes and not taken:
            return []
        width = self.geometry.width
        lines = [self.read(v, kind) for v, kind in self.outside([*nodes, *taken], ("full", "column")).values()]
        written = [n for n in nodes if last and n.index in self.stored]
        lines += [f"{TYPES[n.dtype.name]} {self.name('w', n)}[{width}];" for n in written]
        lines += ["#pragma unroll", f"for (int v = 0; v < {width}; ++v) {{"]
        lines += _in([self.computed(n) for n in nodes])
        lines += _in([f"{self.name('w', n)}[v] = {self.name('r', n)};" for n in written])
        lines += _in([f"if (v < left) {self._fold(n, self.operand(n, n.inputs[0]))}" for n in taken])
        return [*lines, "}", *(self.write(n) for n in written)]

    def _of_the_domain(self, node: Node) -> bool:
        base = base_of(node.inputs[0])
        return self.kinds.get(base.index, "full") == "full"

    def _fold(self, node: Node, x: str) -> str:
        """Return the line that adds an element to a partial sum."""
        kind = self.kinds[node.index]
        total = f"{self.name('t', node)}[k][v]" if kind == "column" else self.name("t", node)
        # A sum over all elements has so many terms that float would lose digits.
        return f"{total} = {_combine(node)}({total}, {f'double({x})' if kind == 'after' else x});"

    # Reductions over rows and over all elements ---------------------------------------------------------------------

    def _parts(self) -> int:
        g, at = self.geometry, 0
        self._offsets = {}
        for node in self.columns:
            self._offsets[node.index] = at
            at += g.tall * self.domain[1]
        for node in self.afters:
            self._offsets[node.index] = at
            at += g.tall * g.strips
        return at

    def _tail(self) -> list[str]:
        self._parts()
        g, n = self.geometry, self.domain[-1] if self.domain else 1
        parts = {i: f"parts + {offset}" for i, offset in self._offsets.items()}
        shape = f"{g.lanes}, {g.columns}, {g.width}"
        lines = [
            f"leave<{g.lanes}>({self.name('t', c)}, {parts[c.index]} + blockIdx.y * {n}LL, {n}, {_combine(c)});"
            for c in self.columns
        ]
        lines += [
            f"leave_one({self.name('t', a)}, {parts[a.index]} + blockIdx.y * {g.strips} + blockIdx.x, {_combine(a)});"
            for a in self.afters
        ]
        if self.columns:
            lines.append(f"if (arrived(counters + blockIdx.x, {g.tall})) {{")
            for c in self.columns:
                how = f"{parts[c.index]}, {g.tall}, {n}, {_combine(c)}, {_start(c)}"
                lines.append(f"  gather_columns<{shape}>({self.array(c)}, {how});")
            lines.append("}")
        if any(kind == "after" for kind in self.kinds.values()):
            lines += [f"if (arrived(counters + {g.strips}, {g.tall * g.strips})) {{", *_in(self._after()), "}"]
        return lines

    def _after(self) -> list[str]:
        """Return the lines of the last block: the reductions over all elements, and scalars computed from them."""
        g = self.geometry
        lines = []
        for node in self.afters:
            each = float(node.inputs[0].size) if node.op == "mean" else 1.0
            ctype = TYPES[node.dtype.name]
            lines.append(
                f"const {ctype} {self.name('r', node)} = {ctype}(gather_one(parts + {self._offsets[node.index]}, "
                f"{g.tall * g.strips}, {_combine(node)}, {_start(node)}) / {each});"
            )
        computed = [n for n in self.loop.nodes if self.kinds[n.index] == "after" and n.op not in SUMS]
        lines += [self.computed(node) for node in computed]
        written = [n for n in (*self.afters, *computed) if n.index in self.stored]
        if self.cost is not None:
            lines.append(f"if (threadIdx.x == 0) {{ costs[*done] = {self.name('r', self.cost)}; *done += 1; }}")
        return lines + [f"if (threadIdx.x == 0) {self.array(node)}[0] = {self.name('r', node)};" for node in written]


_FIRST = "blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0"


def _start(node: Node) -> str:
    return {"max": "-INFINITY", "min": "INFINITY"}.get(node.op, "0.0")


def _combine(node: Node) -> str:
    return {"max": "Larger()", "min": "Smaller()"}.get(node.op, "Plus()")


def _in(lines: list[str]) -> list[str]:
    return [line if line.startswith("#") else f"  {line}" for line in lines]
