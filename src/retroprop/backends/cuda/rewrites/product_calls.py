"""Products that are more than a product, as instructions: what else one call of cublasLt does, and to what.

A rewrite is a pass over the instructions of a plan that puts such calls in the place of a product and the loop beside
it. The places in memory stay the plan's, so a rewrite looks whether they allow another order. Which rewrites are used
is found out with whole steps: see `trial`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of

# The instructions in place of those given, None where there is nothing to be done, or memory does not allow it.
Rewrite = Callable[[Plan, Sequence[Instruction]], list[Instruction] | None]


@dataclass(eq=False)
class ProductCall(Instruction):
    """A product with what it does besides.

    Attributes
    ----------
    result : Node
        What it writes in place of the product.
    kind : str
        A name of `cublaslt.EPILOGUES`.
    vector : Node or None
        The bias, or where its gradient goes.
    aux : Node or None
        The argument of gelu, written on the way forward and read on the way back.
    mask_of : Node or None
        The activation whose mask is relu's aux, likewise.
    eta : Node or None
        The learning rate η, where the result is θ ← θ − η (product); None where it is the product.
    apart : tuple of Instruction
        A product and a loop that do the same, and are done if they are the faster; none where there is no choice.
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
    """θ ← θ − η g of a row of numbers, some leaves of the join that `node` replaces.

    Attributes
    ----------
    grads : list of Node
        The gradients of `stores`, one behind the other as those are.
    eta : Node
        The learning rate η.
    """

    grads: list[Node] = field(default_factory=list)
    eta: Any = None

    @cached_property
    def reads(self) -> list[Node]:
        return [*self.stores, *self.grads]


def harmless(plan: Plan, writes: Iterable[Node], reads: Iterable[Node]) -> bool:
    """Return whether none of the numbers that are written lie where one that is read does."""
    read = [_span(plan, node) for node in reads if base_of(node).index in plan.places]
    for node in writes:
        cell, begin, end = _span(plan, node)
        if any(cell is other and begin < last and first < end for other, first, last in read):
            return False
    return True


def _span(plan: Plan, node: Node) -> tuple[Any, int, int]:
    """Return the memory of a node: the block, None, or a cell that is kept, and where in it."""
    base = base_of(node)
    cell, offset, _ = plan.places[base.index]
    begin = cell.offset + offset * int(base.dtype.itemsize)
    return (None if cell.kept is None else cell), begin, begin + base.nbytes


def readers(instructions: Sequence[Instruction], nodes: Iterable[Node]) -> list[int]:
    """Return the places of the instructions that read one of the nodes, alone or joined to others."""
    wanted = {node.index for node in nodes}

    def reads(node: Node) -> bool:
        base = base_of(node)
        return base.index in wanted or (base.op == "join" and any(leaf.index in wanted for leaf in base.operands))

    return [k for k, one in enumerate(instructions) if any(map(reads, one.reads))]


def among(node: Node, nodes: Iterable[Any]) -> bool:
    """Return whether a node is one of several; to ask `in` would record a comparison."""
    return any(other is node for other in nodes)


def is_product(one: Instruction) -> bool:
    """Return whether an instruction is a product of two matrices and nothing else."""
    return type(one) is Instruction and one.loop is None and one.nodes[0].op == "matmul" and one.nodes[0].ndim == 2
