"""Instructions for cublasLt calls that do more than a product, and the checks that rewrites share.

A rewrite is a pass over the instructions of a plan that replaces a product and the loop beside it by such a call.
Places in memory stay as planned, so that a rewrite checks whether they allow the new order. The trial decides with
whole steps which rewrites are used.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of

# Returns the new instructions, None where there is nothing to rewrite, or memory does not allow it.
Rewrite = Callable[[Plan, Sequence[Instruction]], list[Instruction] | None]


@dataclass(eq=False)
class ProductCall(Instruction):
    """A product with an epilogue.

    It writes `result` instead of the product; `kind` is a name of `cublaslt.EPILOGUES`, `vector` a bias.
    """

    result: Node | None = None
    kind: str = "none"
    vector: Node | None = None

    @cached_property
    def reads(self) -> list[Node]:
        return [*self.nodes[0].operands, *([] if self.vector is None else [self.vector])]


@dataclass(eq=False)
class Choice(Instruction):
    """Several ways to do the same, of which the fastest on the device is taken, once; the first is always possible.

    Where nothing is measured, it is the last. `stores` and `reads` are those of all ways; `taken` is the place of the
    chosen one.
    """

    ways: tuple[tuple[Instruction, ...], ...] = ()
    taken: int | None = None

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple([node for one in self.ways[0] for node in one.nodes])

    @cached_property
    def reads(self) -> list[Node]:
        own = {node.index for node in self.nodes}
        found = {o.index: o for way in self.ways for one in way for o in one.reads if base_of(o).index not in own}
        return list(found.values())


def harmless(plan: Plan, writes: Iterable[Node], reads: Iterable[Node]) -> bool:
    """Return whether no node that is written overlaps in memory with one that is read."""
    read = [_span(plan, node) for node in reads if base_of(node).index in plan.places]
    return not any(
        cell is other and begin < last and first < end
        for cell, begin, end in (_span(plan, node) for node in writes)
        for other, first, last in read
    )


def _span(plan: Plan, node: Node) -> tuple[Any, int, int]:
    """Return the memory of a node: its cell if that is kept, None for the block, and the first and last byte in it."""
    base = base_of(node)
    cell, offset, _ = plan.places[base.index]
    begin = cell.offset + offset * int(base.dtype.itemsize)
    return (None if cell.kept is None else cell), begin, begin + base.nbytes


def readers(instructions: Sequence[Instruction], nodes: Iterable[Node]) -> list[int]:
    """Return the places of the instructions that read one of the nodes, by itself or as a leaf of a join."""
    wanted = {node.index for node in nodes}

    def reads(node: Node) -> bool:
        base = base_of(node)
        return base.index in wanted or (base.op == "join" and any(leaf.index in wanted for leaf in base.operands))

    return [k for k, one in enumerate(instructions) if any(map(reads, one.reads))]


def is_product(one: Instruction) -> bool:
    """Return whether an instruction is a product of two matrices and nothing else."""
    return type(one) is Instruction and one.loop is None and one.nodes[0].op == "matmul" and one.nodes[0].ndim == 2
