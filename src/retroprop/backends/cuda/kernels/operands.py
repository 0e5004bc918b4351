"""Names and memory accesses in the source of a kernel: its arrays, what it reads of them, and the numbers of a step."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import isfinite, isnan
from typing import Any, NamedTuple

import numpy

from retroprop.backends.cuda.kernels.geometry import geometry_of
from retroprop.backends.cuda.kernels.tile_product import LINE, tiles
from retroprop.backends.cuda.rewrites.bfloat16 import CONVERSIONS
from retroprop.backends.plan.fusion import Instruction, Loop, kind_of
from retroprop.backends.record.graph import Node, base_of, number_dtype
from retroprop.backends.record.table import FUSED_REDUCTIONS, OPERATIONS

_NAMES = {"float32": "float", "float64": "double", "bool": "bool", "int32": "int", "int64": "long long",
          "uint8": "unsigned char", "int8": "signed char", "int16": "short", "uint16": "unsigned short"}  # fmt: skip
TYPES = {numpy.dtype(name): ctype for name, ctype in _NAMES.items()}
MOST_NODES = 200
MOST_KEPT = 16  # elements a thread holds of each sum over rows
STRIDE = 16  # Python numbers a step may have
_ARITHMETIC = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "hypot", "copysign")
# Operations on integers whose results in C are NumPy's.
_WHOLE = ("add", "subtract", "multiply", "maximum", "minimum", "where", "astype")


class OperandLayout(NamedTuple):
    """The place of an operand in memory.

    Operands in the same place have equal keys. The strides are in elements; the address is that of the first element,
    or a power of two that divides it.
    """

    key: Hashable
    strides: tuple[int, ...]
    address: int


LayoutOf = Callable[[Node], OperandLayout]
Slot = Callable[[Node], int]


def can_loop(node: Node) -> bool:
    """Return whether a node may be computed in a kernel."""
    if node.weak or node.ndim > 2 or node.dtype not in TYPES:
        return False
    if node.op in CONVERSIONS:
        return True
    operands = [i.dtype for i in node.operands if not i.weak]
    if any(dtype not in TYPES for dtype in operands):
        return False
    if node.op in FUSED_REDUCTIONS:
        # A "mean" is over all axes; any other is recorded as a sum and a quotient.
        return node.dtype.kind == "f" and operands == [node.dtype]
    if node.op in _ARITHMETIC and any(dtype != node.dtype for dtype in operands):
        return False  # mixed dtypes promote by NumPy's rules, not those of C
    return bool(OPERATIONS[node.op].c) and (node.dtype.kind in "fb" or node.op in _WHOLE)


def fits_loop(loop: Loop) -> bool:
    """Return whether a loop is one kernel."""
    if len(loop.nodes) > MOST_NODES:
        return False
    if len(loop.domain) != 2:
        return True
    columns = "column" in loop.kinds.values()
    rows = any(loop.kinds[node.index] == "row" and node.op in FUSED_REDUCTIONS for node in loop.nodes)
    # With both, a thread holds its share of whole rows in registers.
    return not (rows and columns) or loop.domain[1] <= MOST_KEPT * 32


class Operands:
    """The names in a kernel: x an array, q and s values read, r one computed, t a partial sum, w one to be written.

    Arrays and nodes are numbered within the kernel, by their first use, so that the layers of a network that differ in
    nothing else share one source and are compiled once.
    """

    def __init__(self, one: Instruction, layout_of: LayoutOf, slot: Slot, *, ticked: bool) -> None:
        assert one.loop is not None
        self._row = f"(*tick - 1) * {STRIDE}" if ticked else f"*tick * {STRIDE}"
        self._layout_of, self._slot = layout_of, slot
        self.domain, nodes, self.kinds, self.stages = one.loop
        self.product = next((node for node in nodes if node.op == "matmul"), None)
        # Sums over the rows of what the product's first operand is a transpose of: it reads them in any case.
        self.totals = [node for node in nodes if self.kinds[node.index] == LINE]
        self.nodes = tuple([node for node in nodes if self.kinds[node.index] != LINE and node is not self.product])
        self.stored = {node.index for node in one.stores}
        self.arrays: dict[Hashable, tuple[str, Node]] = {}
        self.numbers: dict[int, Node] = {}
        self.head: dict[str, str] = {}  # the lines that read the numbers of a step, by the name they define
        self._ordinals: dict[int, int] = {}
        self._layouts: dict[int, OperandLayout] = {}
        whole_rows = any(node.op in FUSED_REDUCTIONS and self.kinds[node.index] == "row" for node in self.nodes)
        sums = not {"column", "after"}.isdisjoint(self.kinds.values())
        full = [n for n in self.nodes if n.index in self.stored and self.kinds[n.index] == "full"]
        full += [o for n in self.nodes for o in n.operands if o.shape == self.domain]
        widest = max([int(n.dtype.itemsize) for n in full], default=4)
        geometry = geometry_of(self.domain, widest, whole_rows=whole_rows, sums=sums)
        self.geometry = geometry if self.product is None else tiles(self.domain)

    def name(self, prefix: str, node: Node) -> str:
        """Return the name of a node's value, a letter and its number within the kernel."""
        return f"{prefix}{self._ordinals.setdefault(node.index, len(self._ordinals))}"

    def layout(self, node: Node) -> OperandLayout:
        """Return where a node's array is; the stride is 0 along an axis of length 1, which has no next element."""
        if node.index not in self._layouts:
            found = self._layout_of(node)
            strides = tuple([s if n > 1 else 0 for s, n in zip(found.strides, node.shape, strict=True)]) or (0,)
            self._layouts[node.index] = found._replace(strides=strides)
        return self._layouts[node.index]

    def array(self, node: Node) -> str:
        """Return the name of the argument that is a node's array."""
        key = self.layout(node).key, node.dtype
        if key not in self.arrays:
            self.arrays[key] = (f"x{len(self.arrays)}", node)
        return self.arrays[key][0]

    def operand(self, node: Node, value: Any) -> str:
        """Return the expression of an operand of a node, once it has been read or computed."""
        if isinstance(value, Node) and not value.weak:
            base = base_of(value)
            if base.index in self.kinds:
                return self.name("r", base)
            return self.name("q", value) + ("[v]" if self._kind(value, node) in ("full", "column") else "")
        dtype = number_dtype(node, value)
        if isinstance(value, Node):
            self.numbers[value.index] = value
            name, ctype = f"{self.name('s', value)}_{dtype.name}", TYPES[dtype]
            self.head[name] = f"const {ctype} {name} = {ctype}(table[{self._row} + {self._slot(value)}]);"
            return name
        return f"{TYPES[dtype]}({literal(float(value))})" if dtype.kind == "f" else repr(value).lower()

    def _kind(self, value: Node, node: Node) -> str:
        """Return the kind of an operand from outside, as `kind_of` names it."""
        if node.op in FUSED_REDUCTIONS:
            return "full" if value.shape == self.domain else "row"
        return kind_of(value.shape, node.shape, self.domain) or "before"

    def computed(self, node: Node) -> str:
        """Return the line that computes a node."""
        operands = [self.operand(node, i) for i in node.inputs]
        return f"const {TYPES[node.dtype]} {self.name('r', node)} = {expression(node, operands)};"

    def outside(self, nodes: Iterable[Node], kinds: tuple[str, ...]) -> list[tuple[Node, str]]:
        """Return the operands of some nodes that this kernel does not compute, of the given kinds, with their kind."""
        found: dict[int, tuple[Node, str]] = {}
        for node in nodes:
            for value in node.operands:
                if not value.weak and base_of(value).index not in self.kinds:
                    kind = self._kind(value, node)
                    if kind in kinds:
                        found[value.index] = value, kind
        return list(found.values())

    def read(self, value: Node, kind: str) -> str:
        """Return the line that reads the elements of a thread into q."""
        name = self.name("q", value)
        return f"{TYPES[value.dtype]} {name}[{self.geometry.width}]; load{self._access(name, value, kind)};"

    def write(self, node: Node) -> str:
        """Return the line that writes the elements of a thread from w."""
        return f"store{self._access(self.name('w', node), node, 'full')};"

    def _access(self, name: str, value: Node, kind: str) -> str:
        """Return the arguments of a load or store: one for all elements of a thread, if contiguous and aligned."""
        _, strides, address = self.layout(value)
        width, along, array = self.geometry.width, strides[-1], self.array(value)
        if len(self.domain) != 2:
            place = f"{array} + at * {along}"
        elif kind == "column":
            place = f"{array} + j * {along}"
        else:
            place = f"{array} + i * {strides[0]}LL + j * {along}"
        apart = strides[0] if kind == "full" and len(self.domain) == 2 else 0
        aligned = apart % width == 0 and address % (width * int(value.dtype.itemsize)) == 0
        wide = str(width > 1 and along == 1 and aligned).lower()
        return f"<{wide}>({name}, {place}, {along}, left)"


def literal(value: float) -> str:
    """Return a Python float as a literal."""
    if isfinite(value):
        return repr(value)
    return "NAN" if isnan(value) else "INFINITY" if value > 0.0 else "-INFINITY"


def expression(node: Node, operands: Sequence[str]) -> str:
    """Return a pointwise node as an expression of its operands, by the template of the table."""
    return OPERATIONS[node.op].c.format(*operands, type=TYPES[node.dtype])
