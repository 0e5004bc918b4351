"""Names and memory accesses in the source of a kernel: its arrays, what it reads of them, and the numbers of a step."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

from retroprop.backends.cuda.kernels.expressions import TYPES, expression, has_expression, literal
from retroprop.backends.cuda.kernels.geometry import geometry_of
from retroprop.backends.cuda.rewrites.bfloat16 import CONVERSIONS
from retroprop.backends.plan.fusion import Instruction, Loop, kind_of
from retroprop.backends.record.graph import Node, base_of, number_dtype
from retroprop.backends.record.table import SUMS

MOST_NODES = 200
MOST_KEPT = 16  # elements a thread holds of each sum over rows
_ARITHMETIC = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "hypot", "copysign")
STRIDE = 16  # Python numbers a step may have
# Operations on integers whose results in C are NumPy's.
_WHOLE = ("add", "subtract", "multiply", "maximum", "minimum", "where", "astype")


class OperandLayout(NamedTuple):
    """The place of an operand in memory.

    Attributes
    ----------
    key : hashable
        Equal for operands in the same place.
    strides : tuple of int
        In elements.
    address : int
        The address of its first element, or a power of two that divides it.
    """

    key: Hashable
    strides: tuple[int, ...]
    address: int


def can_loop(node: Node) -> bool:
    """Return whether a node may be computed in a kernel."""
    if node.weak or node.ndim > 2 or node.dtype.name not in TYPES:
        return False
    if node.op in CONVERSIONS:
        return True
    operands = [i.dtype for i in node.operands if not i.weak]
    if any(dtype.name not in TYPES for dtype in operands):
        return False
    if node.op in SUMS:
        # A "mean" is over all axes; any other is recorded as a sum and a quotient.
        return node.dtype.kind == "f" and operands == [node.dtype]
    if node.op in _ARITHMETIC and any(dtype != node.dtype for dtype in operands):
        return False  # mixed dtypes promote by NumPy's rules, not those of C
    return has_expression(node) and (node.dtype.kind in "fb" or node.op in _WHOLE)


def fits_loop(loop: Loop) -> bool:
    """Return whether a loop is one kernel."""
    if len(loop.nodes) > MOST_NODES:
        return False
    if len(loop.domain) != 2:
        return True
    columns = any(kind == "column" for kind in loop.kinds.values())
    rows = any(loop.kinds[node.index] == "row" and node.op in SUMS for node in loop.nodes)
    # With both, a thread holds its share of whole rows in registers.
    return not (rows and columns) or loop.domain[1] <= MOST_KEPT * 32


class Operands:
    """The names in a kernel: x an array, q and s values read, r one computed, t a partial sum, w one to be written.

    Arrays and nodes are numbered within the kernel, by their first use, so that the layers of a network that differ in
    nothing else share one source and are compiled once.
    """

    def __init__(
        self, one: Instruction, see: Callable[[Node], OperandLayout], slot: Callable[[Node], int], *, ticked: bool
    ) -> None:
        assert one.loop is not None
        self._row = f"(*tick - 1) * {STRIDE}" if ticked else f"*tick * {STRIDE}"
        self.loop, self._see, self._slot = one.loop, see, slot
        self.kinds, self.stages = one.loop.kinds, one.loop.stages
        self.stored = {node.index for node in one.stores}
        self.domain = one.loop.domain
        self.arrays: dict[Hashable, tuple[str, Node]] = {}
        self.numbers: dict[int, Node] = {}
        self.head: dict[str, str] = {}  # the lines that read the numbers of a step, by the name they define
        self._ordinals: dict[int, int] = {}
        kinds = {"row" if self.kinds[n.index] == "row" else "others" for n in self.loop.nodes if n.op in SUMS}
        sums = any(kind in ("column", "after") for kind in self.kinds.values())
        self.geometry = geometry_of(self.domain, self._itemsize(), whole_rows="row" in kinds, sums=sums)

    def _itemsize(self) -> int:
        full = [n for n in self.loop.nodes if n.index in self.stored and self.kinds[n.index] == "full"]
        full += [o for n in self.loop.nodes for o in n.operands if o.shape == self.domain]
        return max((int(n.dtype.itemsize) for n in full), default=4)

    def name(self, prefix: str, node: Node) -> str:
        """Return the name of a node's value, a letter and its number within the kernel."""
        return f"{prefix}{self._ordinals.setdefault(node.index, len(self._ordinals))}"

    def array(self, node: Node) -> str:
        """Return the name of the argument that is a node's array."""
        seen = self._see(node)
        key = seen.key, node.dtype.name
        if key not in self.arrays:
            self.arrays[key] = (f"x{len(self.arrays)}", node)
        return self.arrays[key][0]

    def operand(self, node: Node, value: Any) -> str:
        """Return the expression of an operand of a node, once it has been read or computed."""
        if isinstance(value, Node) and not value.weak:
            base = base_of(value)
            inside = base.index in self.kinds
            return self.name("r", base) if inside else f"{self.name('q', value)}{self._lane(value, node)}"
        dtype = number_dtype(node, value)
        if isinstance(value, Node):
            self.numbers[value.index] = value
            name, ctype = f"{self.name('s', value)}_{dtype.name}", TYPES[dtype.name]
            self.head[name] = f"const {ctype} {name} = {ctype}(table[{self._row} + {self._slot(value)}]);"
            return name
        return f"{TYPES[dtype.name]}({literal(float(value))})" if dtype.kind == "f" else repr(value).lower()

    def _lane(self, value: Node, node: Node) -> str:
        return "[v]" if self._kind(value, node) in ("full", "column") else ""

    def _kind(self, value: Node, node: Node) -> str:
        """Return the kind of an operand from outside, as `kind_of` names it."""
        if node.op in SUMS:
            return "full" if value.shape == self.domain else "row"
        return kind_of(value.shape, node.shape, self.domain) or "before"

    def computed(self, node: Node) -> str:
        """Return the line that computes a node."""
        operands = [self.operand(node, i) for i in node.inputs]
        value = f"{node.op}({operands[0]})" if node.op in CONVERSIONS else expression(node, operands)
        return f"const {TYPES[node.dtype.name]} {self.name('r', node)} = {value};"

    def outside(self, nodes: Iterable[Node], kinds: tuple[str, ...]) -> dict[int, tuple[Node, str]]:
        """Return the operands of some nodes that this kernel does not compute, of the given kinds."""
        found: dict[int, tuple[Node, str]] = {}
        for node in nodes:
            for value in node.operands:
                if not value.weak and base_of(value).index not in self.kinds:
                    kind = self._kind(value, node)
                    if kind in kinds:
                        found[value.index] = value, kind
        return found

    def read(self, value: Node, kind: str) -> str:
        """Return the line that reads the elements of a thread into q."""
        name = self.name("q", value)
        return (
            f"{TYPES[value.dtype.name]} {name}[{self.geometry.width}]; "
            f"load<{self._wide(value, kind)}>({name}, {self._place(value, kind)}, left);"
        )

    def write(self, node: Node) -> str:
        """Return the line that writes the elements of a thread from w."""
        return f"store<{self._wide(node, 'full')}>({self._place(node, 'full')}, {self.name('w', node)}, left);"

    def _place(self, value: Node, kind: str) -> str:
        """Return the address of the first element a thread reads or writes, and the stride to the next."""
        if len(self.domain) != 2:
            stride = strides_along(self._see(value).strides, value.shape)[0] if value.shape else 1
            return f"{self.array(value)} + at * {stride}, {stride}"
        down, along = strides_along(self._see(value).strides, value.shape)[-2:] if value.ndim == 2 else (0, 0)
        if kind == "column":
            along = strides_along(self._see(value).strides, value.shape)[-1]
            return f"{self.array(value)} + j * {along}, {along}"
        return f"{self.array(value)} + i * {down}LL + j * {along}, {along}"

    def _wide(self, value: Node, kind: str) -> str:
        """Return, as a C++ bool, whether one load may read all elements of a thread: contiguous and aligned."""
        seen = self._see(value)
        width, item = self.geometry.width, int(value.dtype.itemsize)
        strides = strides_along(seen.strides, value.shape)
        apart = strides[0] if kind == "full" and len(self.domain) == 2 else 0
        wide = width > 1 and strides[-1] == 1 and apart % width == 0 and seen.address % (width * item) == 0
        return "true" if wide else "false"


def strides_along(strides: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides with 0 for an axis of length 1, along which there is no next element."""
    return tuple(s if n > 1 else 0 for s, n in zip(strides, shape, strict=True)) if shape else (0,)
