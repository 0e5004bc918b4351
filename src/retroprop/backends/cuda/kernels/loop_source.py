"""A loop of the plan as one fused CUDA kernel: read once, computed in registers, written once, reduced on the way.

Over a 1-D domain each thread takes several adjacent elements with one load. In a matrix a group of 1 to 32 threads
takes a row, so that reductions of a row (the maximum and the sum of softmax) are exchanged within a warp. A later walk
over a row computes anew what an earlier one computed, which costs less than storing it. Everything is written in the
last walk, so that an output may overwrite an operand. Reductions over rows and over all elements go through memory:
each block leaves its partial sums, and the last block to arrive adds them, always in one order.
"""

from collections.abc import Sequence
from typing import NamedTuple

from retroprop.backends.cuda.kernels.geometry import THREADS, Geometry
from retroprop.backends.cuda.kernels.operands import MOST_KEPT, TYPES, LayoutOf, Operands, Slot
from retroprop.backends.cuda.kernels.tile_product import PLAIN, ROUNDED, TILE, operand
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.record.graph import Node, base_of
from retroprop.backends.record.table import FUSED_REDUCTIONS


class Kernel(NamedTuple):
    """A kernel and how it is launched.

    Its first arguments are the `arrays`; then, if it has `numbers`, the table of numbers (double *) and the tick, the
    row of the table (long long *); then, if it has `counters`, memory for `parts` partial sums (double *) and the
    counters (unsigned *, all 0); then, if it `closes`, the costs of the run and the tick again: it stores the step's
    cost and advances the tick.
    """

    text: str
    arrays: tuple[Node, ...]
    numbers: tuple[Node, ...]
    parts: int
    counters: int
    closes: bool
    geometry: Geometry


class CudaLoopSource(Operands):
    """The source of the kernel of a loop and the nodes it stores, given the layouts of arrays and the slots of numbers.

    The kernel that ends with the `cost` of the step stores it for the run, and advances the tick, unless one before has
    `ticked`. A matrix product among the nodes is computed by tiles, with `rounds` by operands of float32 in TF32.
    """

    def __init__(
        self,
        one: Instruction,
        layout_of: LayoutOf,
        slot: Slot,
        *,
        cost: Node | None = None,
        ticked: bool = False,
        rounds: bool = False,
    ) -> None:
        super().__init__(one, layout_of, slot, ticked=ticked)
        self.rounds = rounds and self.product is not None and self.product.dtype.name == "float32"
        ends = cost is not None and cost.index in self.stored and self.kinds[cost.index] == "after"
        self.cost = cost if ends else None
        self.columns = [node for node in self._of("column") if node.op in FUSED_REDUCTIONS]
        self.afters = [node for node in self._of("after") if node.op in FUSED_REDUCTIONS]
        # The partial sums of the blocks, one array after another.
        self.n_parts, g = 0, self.geometry
        self.parts: dict[int, str] = {}
        for node in (*self.columns, *self.afters):
            self.parts[node.index] = f"parts + {self.n_parts}"
            self.n_parts += g.tall * (self.domain[1] if self.kinds[node.index] == "column" else g.strips)

    def kernel(self) -> Kernel:
        """Return the kernel."""
        g, body = self.geometry, [*self._tile(), *self._before()]
        body += [f"{TYPES[n.dtype]} {self.name('t', n)}[{g.columns}][{g.width}];" for n in self.columns]
        body += [f"begin({self.name('t', n)}, {_START[n.op]});" for n in self.columns]
        body += [f"double {self.name('t', n)} = {_START[n.op]};" for n in self.afters]
        body += self._flat() if len(self.domain) != 2 else self._matrix()
        tail = self._tail()
        given = [f"{TYPES[node.dtype]} *{name}" for name, node in self.arrays.values()]
        given += ["const double *table", "const long long *tick"] if self.numbers else []
        given += ["double *parts", "unsigned *counters"] if tail else []
        given += [f"{TYPES[self.cost.dtype]} *costs", "long long *done"] if self.cost is not None else []
        head = f'extern "C" __global__ void __launch_bounds__({THREADS}) retroprop_kernel({", ".join(given)}) {{'
        text = "\n".join([head, *_in([*self.head.values(), *body, *tail]), "}\n"])
        if self.product is not None:
            text = (ROUNDED if self.rounds else PLAIN) + text
        arrays, numbers = tuple([node for _, node in self.arrays.values()]), tuple(self.numbers.values())
        return Kernel(text, arrays, numbers, self.n_parts, g.strips + 1 if tail else 0, self.cost is not None, g)

    def _of(self, kind: str) -> list[Node]:
        return [node for node in self.nodes if self.kinds[node.index] == kind]

    def _tile(self) -> list[str]:
        """Return the lines that compute the product's element of each thread; all threads take part."""
        if self.product is None:
            return []
        (a, b), ctype = self.product.operands, TYPES[self.product.dtype]
        (m, k), n, item = a.shape, b.shape[1], int(self.product.dtype.itemsize)
        (over_a, along_a), (along_b, over_b) = self.layout(a).strides, self.layout(b).strides
        reads_a, apart_a = operand((m, k), (over_a, along_a), self.layout(a).address, item, lines=2)
        lines_b = 2 if self.rounds else 4
        reads_b, apart_b = operand((n, k), (over_b, along_b), self.layout(b).address, item, lines=lines_b)
        call = f"{'rounded_' if self.rounds else ''}tile<{str(bool(self.totals)).lower()}, {reads_a}, {reads_b}>"
        given = f"{self.array(a)}, {apart_a}LL, {self.array(b)}, {apart_b}LL, {m}, {k}, {n}, line_sum"
        lines = [f"{ctype} line_sum;", f"const {ctype} {self.name('r', self.product)} = {call}({given});"]
        place = f"blockIdx.y * {TILE}LL + threadIdx.x / {TILE}"
        first = f"blockIdx.x == 0 && threadIdx.x % {TILE} == 0 && {place} < {m}"
        return lines + [f"if ({first}) {self.array(total)}[{place}] = line_sum;" for total in self.totals]

    # Scalars ----------------------------------------------------------------------------------------------------------

    def _before(self) -> list[str]:
        """Return the lines that read and compute scalars before the first element."""
        lines = [
            f"const {TYPES[value.dtype]} {self.name('q', value)} = {self.array(value)}[0];"
            for value, _ in self.outside(self.nodes, ("before",))
        ]
        first = "blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0"
        for node in self._of("before"):
            lines += [self.computed(node), *self._stored(node, first, "0")]
        return lines

    def _stored(self, node: Node, where: str, at: str) -> list[str]:
        """Return the line by which one thread stores a scalar, if others read it."""
        stored = node.index in self.stored
        return [f"if ({where}) {self.array(node)}[{at}] = {self.name('r', node)};"] if stored else []

    # A 1-D domain -----------------------------------------------------------------------------------------------------

    def _flat(self) -> list[str]:
        size, width = self.domain[0] if self.domain else 1, self.geometry.width
        walk = self._last_walk()
        if not walk:
            return []
        first = f"(blockIdx.x * {THREADS}LL + threadIdx.x) * {width}"
        head = f"for (long long at = {first}; at < {size}; at += gridDim.x * {THREADS * width}LL) {{"
        return [head, f"  const long long left = {size}LL - at;", *_in(walk), "}"]

    # A matrix ---------------------------------------------------------------------------------------------------------

    def _matrix(self) -> list[str]:
        g, rows = self.geometry, self.domain[0]
        lines = ["const long long i = first + line;", f"const bool here = i < {rows};"]
        for value, _ in self.outside([*self._of("row"), *self._of("full")], ("row",)):
            ctype, read = TYPES[value.dtype], f"{self.array(value)}[i * {self.layout(value).strides[0]}]"
            lines.append(f"const {ctype} {self.name('q', value)} = here ? {read} : {ctype}(0);")
        for stage in range(max(self.stages.values()) + 1):
            for node in self._of("row"):  # scalars of a row that are known before this walk
                if node.op not in FUSED_REDUCTIONS and self.stages[node.index] == stage:
                    lines += [self.computed(node), *self._stored(node, _LEADER, "i")]
            # A row is reduced in the walk that computes its summands.
            sums = [n for n in self._of("row") if n.op in FUSED_REDUCTIONS]
            sums = [n for n in sums if self.stages.get(base_of(n.inputs[0]).index, 0) == stage]
            if sums:
                lines += [f"{TYPES[n.dtype]} {self.name('t', n)} = {_START[n.op]};" for n in sums]
                lines += self._columns(self._walk([], sums))
            for node in sums:
                ended = f"across<{g.lanes}>({self.name('t', node)}, {_COMBINE[node.op]})"
                lines.append(f"const {TYPES[node.dtype]} {self.name('r', node)} = {ended};")
                lines += self._stored(node, _LEADER, "i")
        last = self._last_walk()
        lines += self._columns(last) if last else []
        for node in self.afters:
            base = base_of(node.inputs[0])
            if self.kinds.get(base.index) == "row":
                lines.append(f"if ({_LEADER}) {self._fold(node, self.name('r', base))}")
        return [
            f"const int lane = threadIdx.x % {g.lanes}, line = threadIdx.x / {g.lanes};",
            f"for (long long first = blockIdx.y * {g.rows}LL; first < {rows}; first += gridDim.y * {g.rows}LL) {{",
            *_in(lines),
            "}",
        ]

    def _columns(self, walk: list[str]) -> list[str]:
        """Return a walk over the columns of a thread's row."""
        g = self.geometry
        unroll = ["#pragma unroll"] if g.columns <= MOST_KEPT else []
        return [
            *unroll,
            f"for (int k = 0; k < {g.columns}; ++k) {{",
            f"  const long long j = (blockIdx.x * {g.lanes * g.columns}LL + k * {g.lanes} + lane) * {g.width};",
            f"  const long long left = here ? {self.domain[1]}LL - j : 0;",
            "  if (left > 0) {",
            *_in(_in(walk)),
            "  }",
            "}",
        ]

    # A walk -----------------------------------------------------------------------------------------------------------

    def _last_walk(self) -> list[str]:
        """Return the lines of the walk that writes, and adds to the sums over rows and over all elements."""
        whole = [n for n in self.afters if self.kinds.get(base_of(n.inputs[0]).index, "full") == "full"]
        nodes = [*([] if self.product is None else [self.product]), *self._of("full")]
        return self._walk([n for n in nodes if n.index in self.stored], [*self.columns, *whole])

    def _walk(self, written: Sequence[Node], taken: Sequence[Node]) -> list[str]:
        """Return the lines for the elements of a thread: all that the walk needs is computed from the start."""
        wanted = {n.index for n in written} | {base_of(n.inputs[0]).index for n in taken}
        nodes: list[Node] = []
        for node in reversed(self._of("full")):
            if node.index in wanted:
                wanted |= {base_of(o).index for o in node.operands}
                nodes.insert(0, node)
        if not written and not taken:
            return []
        width = self.geometry.width
        lines = [self.read(value, kind) for value, kind in self.outside([*nodes, *taken], ("full", "column"))]
        lines += [f"{TYPES[n.dtype]} {self.name('w', n)}[{width}];" for n in written]
        lines += ["#pragma unroll", f"for (int v = 0; v < {width}; ++v) {{"]
        lines += _in([self.computed(n) for n in nodes])
        lines += _in([f"{self.name('w', n)}[v] = {self.name('r', n)};" for n in written])
        lines += _in([f"if (v < left) {self._fold(n, self.operand(n, n.inputs[0]))}" for n in taken])
        return [*lines, "}", *map(self.write, written)]

    def _fold(self, node: Node, x: str) -> str:
        """Return the line that adds an element to a partial sum."""
        kind = self.kinds[node.index]
        total = f"{self.name('t', node)}[k][v]" if kind == "column" else self.name("t", node)
        # A sum over all elements has so many terms that float would lose digits.
        return f"{total} = {_COMBINE[node.op]}({total}, {f'double({x})' if kind == 'after' else x});"

    # Reductions over rows and over all elements -----------------------------------------------------------------------

    def _tail(self) -> list[str]:
        g, n, lines = self.geometry, self.domain[-1] if self.domain else 1, []
        for c in self.columns:
            part = f"{self.parts[c.index]} + blockIdx.y * {n}LL"
            lines.append(f"leave<{g.lanes}>({self.name('t', c)}, {part}, {n}, {_COMBINE[c.op]});")
        for a in self.afters:
            part = f"{self.parts[a.index]} + blockIdx.y * {g.strips} + blockIdx.x"
            lines.append(f"leave_one({self.name('t', a)}, {part}, {_COMBINE[a.op]});")
        if self.columns:
            lines.append(f"if (arrived(counters + blockIdx.x, {g.tall})) {{")
            for c in self.columns:
                how = f"{self.parts[c.index]}, {g.tall}, {n}, {_COMBINE[c.op]}, {_START[c.op]}"
                lines.append(f"  gather_columns<{g.lanes}, {g.columns}, {g.width}>({self.array(c)}, {how});")
            lines.append("}")
        if self._of("after"):
            lines += [f"if (arrived(counters + {g.strips}, {g.tall * g.strips})) {{", *_in(self._after()), "}"]
        return lines

    def _after(self) -> list[str]:
        """Return the lines of the last block: the reductions over all elements, and scalars computed from them."""
        lines, many = [], self.geometry.tall * self.geometry.strips
        for node in self.afters:
            each = float(node.inputs[0].size) if node.op == "mean" else 1.0
            total = f"gather_one({self.parts[node.index]}, {many}, {_COMBINE[node.op]}, {_START[node.op]})"
            ctype = TYPES[node.dtype]
            lines.append(f"const {ctype} {self.name('r', node)} = {ctype}({total} / {each});")
        computed = [node for node in self._of("after") if node.op not in FUSED_REDUCTIONS]
        lines += [self.computed(node) for node in computed]
        if self.cost is not None:
            lines.append(f"if (threadIdx.x == 0) {{ costs[*done] = {self.name('r', self.cost)}; *done += 1; }}")
        return lines + [line for n in (*self.afters, *computed) for line in self._stored(n, "threadIdx.x == 0", "0")]


_LEADER = "here && lane == 0 && blockIdx.x == 0"  # the thread that writes the scalars of a row
_START = {"sum": "0.0", "mean": "0.0", "max": "-INFINITY", "min": "INFINITY"}  # by the operations of `FUSED_REDUCTIONS`
_COMBINE = {"sum": "Plus()", "mean": "Plus()", "max": "Larger()", "min": "Smaller()"}


def _in(lines: Sequence[str]) -> list[str]:
    return [line if line.startswith("#") else f"  {line}" for line in lines]
