"""Fusion: the pointwise nodes and the sums between two matrix products become few loops.

A loop runs over a domain, the rows and columns of a matrix or a 1-D array. Each of its nodes is of one kind:

* `full`: a value at every place of the domain,
* `row`: a value for each row, as the sum of a row and functions of it,
* `column`: a sum over the rows, complete when the loop is done,
* `before`, `after`: a single value, ready before the first row, or after the last.

Values of a row that need a sum of the same row come in a later stage: the row is walked once a stage.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import NamedTuple

from retroprop.backends.plan.places import Cell
from retroprop.backends.record.graph import Node, base_of
from retroprop.backends.record.table import FUSED_REDUCTIONS, VIEWS

Shape = tuple[int, ...]


class Loop(NamedTuple):
    """Nodes computed by one loop.

    Attributes
    ----------
    domain : tuple of int
        (rows, columns), (elements,), or () where only single values are computed.
    nodes : tuple of Node
        In an order in which they can be computed.
    kinds : dict
        The kind of each, by index: "full", "row", "column", "before" or "after".
    stages : dict
        The walk over a row in which each is computed, by index.
    """

    domain: Shape
    nodes: tuple[Node, ...]
    kinds: dict[int, str]
    stages: dict[int, int]


@dataclass(eq=False)
class Instruction:
    """One call of a function of the library, or one loop.

    Attributes
    ----------
    node, loop
        The one or the other.
    stores : list of Node
        The nodes it writes for others to read.
    by_columns : bool
        Whether a loop walks over columns, with the rows inside: over matrices in Fortran order.
    scratch : dict
        The memory a loop needs for itself: for a node, by index, a 1-D array over a row or a column.
    """

    node: Node | None = None
    loop: Loop | None = None
    stores: list[Node] = field(default_factory=list)
    by_columns: bool = False
    scratch: dict[int, Cell] = field(default_factory=dict)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes it computes, stored or not."""
        return self.loop.nodes if self.loop is not None else (self.node,)  # type: ignore[return-value]

    @cached_property
    def reads(self) -> list[Node]:
        """The nodes it reads that others made or that were given, views as they are read."""
        own = {node.index for node in self.nodes}
        found = {o.index: o for node in self.nodes for o in node.operands if base_of(o).index not in own}
        return list(found.values())

    @cached_property
    def sources(self) -> set[int]:
        """The nodes whose memory it reads, by index."""
        return {base_of(node).index for node in self.reads}


def casts_data(node: Node) -> bool:
    """Return whether a node casts an argument of the step, or rows of it: integers of the data."""
    return node.op == "astype" and base_of(node.inputs[0]).op in ("input", "gather")


def kind_of(shape: Shape, result: Shape, domain: Shape) -> str | None:
    """Return the kind of an operand of `shape` in a pointwise result of shape `result`, None if a loop has none."""
    if shape == domain:
        return "full" if result == domain else None
    if all(n == 1 for n in shape):
        return "before"
    if len(domain) != 2:
        return None
    if result == domain:
        return {(domain[0], 1): "row", (domain[1],): "column", (1, domain[1]): "column"}.get(shape)
    return "row" if shape == result and shape in ((domain[0],), (domain[0], 1)) else None


def loop_of(nodes: Iterable[Node]) -> Loop | None:
    """Return the loop that computes the nodes, None if no single one can."""
    nodes = sorted(nodes, key=lambda node: node.index)
    shapes = [node.inputs[0].shape if node.op in FUSED_REDUCTIONS else node.shape for node in nodes]
    domain = max(shapes, key=lambda shape: (len(shape), prod(shape)))
    if len(domain) > 2:
        return None
    kinds: dict[int, str] = {}
    stages: dict[int, int] = {}
    for node in nodes:
        found = _place(node, domain, kinds, stages)
        if found is None:
            return None
        kinds[node.index], stages[node.index] = found
    return Loop(domain, tuple(nodes), kinds, stages)


def _place(node: Node, domain: Shape, kinds: dict[int, str], stages: dict[int, int]) -> tuple[str, int] | None:
    """Return kind and stage of a node, those before it given."""
    bases = [base_of(operand).index for operand in node.operands]
    stage = max([stages.get(base, 0) for base in bases], default=0)
    inside = {kinds[base] for base in bases if base in kinds}
    if "column" in inside:  # complete only when the loop is done
        return None
    if node.op in FUSED_REDUCTIONS:
        return _reduced(node, domain, kinds, stage)
    kind = kind_of(node.shape, node.shape, domain)
    if kind == "before":
        # A single value may depend on a sum over everything, but on no value of a place or a row.
        return None if {"full", "row"} & inside else ("after" if "after" in inside else "before", 0)
    for base, operand in zip(bases, node.operands, strict=True):
        wanted = kind_of(operand.shape, node.shape, domain)
        # A value of the loop is in a variable, so a view of it at another place cannot be read.
        viewed = base in kinds and not _is_as_it_lies(operand, whole=wanted != "full")
        if wanted is None or viewed or kinds.get(base, wanted) != wanted:
            return None
    return (kind, stage) if kind is not None else None


def _reduced(node: Node, domain: Shape, kinds: dict[int, str], stage: int) -> tuple[str, int] | None:
    (x,), axes = node.operands, node.attributes["axes"]
    if node.shape == domain or (x.op in VIEWS and base_of(x).index in kinds):
        return None  # a value for each row in the form of the domain, or a view of a result of the loop
    if x.shape == domain and kinds.get(x.index, "full") == "full":
        if len(axes) == len(domain):
            return "after", 0
        return ("row", stage + 1) if axes == (1,) else ("column", 0)
    if kinds.get(x.index) == "row" and len(axes) == x.ndim:
        return "after", 0
    return None


def _is_as_it_lies(operand: Node, *, whole: bool) -> bool:
    """Return whether a result of the same loop is read in the order it is made: itself, or reshaped if `whole`."""
    while whole and operand.op == "reshape":
        operand = operand.inputs[0]
    return operand.op not in VIEWS


def fuse(
    wanted: Iterable[Node], after: dict[int, set[int]], can: Callable[[Node], bool], fits: Callable[[Loop], bool]
) -> list[Loop]:
    """Return loops that together compute every node that `can` be computed in one.

    Two loops become one unless another node must run between them: after the one, before the other. For that each node
    knows its ancestors and descendants, as the bits of an integer.

    `wanted` are the nodes that are needed, in the order of the record; `after` names for a node others that must run
    before it without being its operands, by index; `fits` is whether the target wants a loop.
    """
    wanted = [node for node in wanted if node.op not in VIEWS]
    operands = {node.index: [base_of(o).index for o in node.operands] for node in wanted}
    ancestors, descendants = dict.fromkeys(operands, 0), dict.fromkeys(operands, 0)
    for i, own in operands.items():  # in the order of the record, so the ancestors of a source are complete
        for source in {*own, *after.get(i, ())} - {i}:
            ancestors[i] |= ancestors[source] | 1 << source
    for i, own in reversed(operands.items()):
        for source in {*own, *after.get(i, ())} - {i}:
            descendants[source] |= descendants[i] | 1 << i
    group = {i: 1 << i for i in operands}
    loops = {}
    for node in wanted:
        loop = loop_of([node]) if can(node) else None
        if loop is not None and fits(loop):
            loops[group[node.index]] = loop

    def merge(i: int, j: int) -> None:
        a, b = group[i], group[j]
        if a == b or a not in loops or b not in loops:
            return
        both = a | b
        if (descendants[i] & ancestors[j] | descendants[j] & ancestors[i]) & ~both:  # another node lies between them
            return
        loop = loop_of([*loops[a].nodes, *loops[b].nodes])
        if loop is None or not fits(loop):
            return
        del loops[a], loops[b]
        loops[both] = loop
        above, below = ancestors[i] | ancestors[j], descendants[i] | descendants[j]
        for k in operands:
            # The two are one node now: the predecessors and successors of either are those of both.
            if both >> k & 1:
                group[k], ancestors[k], descendants[k] = both, above | both, below | both
            else:
                if ancestors[k] & both:
                    ancestors[k] |= above | both
                if descendants[k] & both:
                    descendants[k] |= below | both

    # A node goes to its last consumer, so the last edges come first: a mask is computed where it is used, and never
    # stored. Then loops that read the same array are merged.
    for i, own in reversed(operands.items()):
        for source in reversed(own):
            merge(source, i)
    readers: dict[int, list[int]] = {}
    for i, own in operands.items():
        for source in own:
            readers.setdefault(source, []).append(i)
    for some in readers.values():
        for one, other in pairwise(some):
            merge(one, other)
    whole = (loop for loop in loops.values() if loop.domain)  # single values alone need no loop
    return sorted(whole, key=lambda loop: loop.nodes[-1].index)


def written_last(loop: Loop, operand: Node, node: Node) -> bool:
    """Return whether a loop writes `node` at a place no earlier than it reads `operand` there."""
    if loop.kinds[node.index] != "full" or operand.shape != loop.domain:
        return False
    readers = [n for n in loop.nodes if any(o.index == operand.index for o in n.operands)]
    if len(loop.domain) == 1 and readers[-1].index > node.index:  # a block is written as soon as it is computed
        return False
    return all(_walk(loop, n) <= loop.stages[node.index] for n in readers)


def _walk(loop: Loop, node: Node) -> int:
    """Return the walk over the row in which a node reads its operands."""
    reduced = node.op in FUSED_REDUCTIONS
    return loop.stages[node.index] - 1 if reduced and loop.kinds[node.index] == "row" else loop.stages[node.index]


def crossing(one: Instruction) -> list[Node]:
    """Return the values of a row that a later walk over it needs, and that are stored nowhere."""
    assert one.loop is not None
    kinds, stages = one.loop.kinds, one.loop.stages
    stored = {node.index for node in one.stores}
    late = {
        o.index
        for node in one.loop.nodes
        for o in node.operands
        if kinds.get(o.index) == kinds[node.index] == "full" and stages[node.index] > stages[o.index]
    }
    return [node for node in one.loop.nodes if node.index in late and node.index not in stored]
