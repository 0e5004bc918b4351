"""Instructions for cublasLt calls that do more than a product, and the checks that rewrites share.

A rewrite is a pass over the instructions of a plan that replaces a product and the loop beside it by such a call.
Places in memory stay as planned, so that a rewrite checks whether they allow the new order. The trial decides with
whole steps which rewrites are used.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of

# Returns the new instructions, None where there is nothing to rewrite, or memory does not allow it.
Rewrite = Callable[[Plan, Sequence[Instruction]], list[Instruction] | None]


@dataclass(eq=False)
class ProductCall(Instruction):
    """A product with an epilogue or an update.

    It writes `result` instead of the product; `kind` is a name of `cublaslt.EPILOGUES`, `vector` a bias or its
    gradient. The forward pass saves gelu's argument in `aux`, or relu's mask (of the activation `mask_of`), for the
    backward pass. With a learning rate `eta` the result is θ ← θ − η (product). The product and the loop in `apart` do
    the same, and are taken if they are faster.
    """

    result: Node | None = None
    kind: str = "none"
    vector: Node | None = None
    aux: Node | None = None
    mask_of: Node | None = None
    eta: Node | None = None
    apart: tuple[Instruction, ...] = ()

    @cached_property
    def reads(self) -> list[Node]:
        read = [*self.nodes[0].operands, self.vector, self.aux, self.result if self.eta is not None else None]
        written = {base_of(node).index for node in self.stores}
        return [n for n in read if n is not None and (base_of(n).index not in written or n is self.result)]


@dataclass(eq=False)
class DescentInstruction(Instruction):
    """θ ← θ − η g over `stores`, adjacent leaves of the join that `node` replaces, and their `grads`, adjacent too."""

    grads: list[Node] = field(default_factory=list)
    eta: Any = None

    @cached_property
    def reads(self) -> list[Node]:
        return [*self.stores, *self.grads]


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
