"""Instructions for cublasLt calls that do more than a product, and the checks that rewrites share.

A rewrite is a pass over the instructions of a plan that replaces a product and the loop beside it by such a call.
Places in memory stay as planned, so that a rewrite checks whether they allow the new order. `trial` decides with whole
steps which rewrites are used.
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

    Attributes
    ----------
    result : Node
        The node it writes instead of the product.
    kind : str
        A name of `cublaslt.EPILOGUES`.
    vector : Node or None
        The bias, or the node of its gradient.
    aux : Node or None
        The argument of gelu, written in the forward pass and read in the backward pass.
    mask_of : Node or None
        The activation whose mask is relu's aux, likewise.
    eta : Node or None
        The learning rate η, where the result is θ ← θ − η (product); None where it is the product.
    apart : tuple of Instruction
        A product and a loop that do the same, and are taken if they are faster; empty where there is no choice.
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
    """θ ← θ − η g over adjacent leaves of the join that `node` replaces.

    Attributes
    ----------
    grads : list of Node
        The gradients of `stores`, adjacent in the same order.
    eta : Node
        The learning rate η.
    """

    grads: list[Node] = field(default_factory=list)
    eta: Any = None

    @cached_property
    def reads(self) -> list[Node]:
        return [*self.stores, *self.grads]


def harmless(plan: Plan, writes: Iterable[Node], reads: Iterable[Node]) -> bool:
    """Return whether no node that is written overlaps in memory with one that is read."""
    read = [_span(plan, node) for node in reads if base_of(node).index in plan.places]
    for node in writes:
        cell, begin, end = _span(plan, node)
        if any(cell is other and begin < last and first < end for other, first, last in read):
            return False
    return True


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


def among(node: Node, nodes: Iterable[Any]) -> bool:
    """Return whether a node is one of several; the operator `in` would record a comparison."""
    return any(other is node for other in nodes)


def is_product(one: Instruction) -> bool:
    """Return whether an instruction is a product of two matrices and nothing else."""
    return type(one) is Instruction and one.loop is None and one.nodes[0].op == "matmul" and one.nodes[0].ndim == 2
