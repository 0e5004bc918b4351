"""Products that may run concurrently with those after them: a gradient, while δ goes on down the layers.

Two instructions must keep their order where one writes memory that the other reads or writes. That alone decides how
long a product may be delayed; it covers memory that the plan reuses early.
"""

from collections.abc import Callable, Container, Sequence

from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.record.graph import Node, base_of

Span = tuple[int, int]


def products_beside(
    instructions: Sequence[Instruction], places: Container[int], address: Callable[[Node], int]
) -> dict[int, int]:
    """Return the products that may run beside others, by place: the place of the instruction each must precede.

    Parameters
    ----------
    instructions : sequence of Instruction
        In order.
    places : container of int
        The nodes, by index, that are in memory of the plan.
    address : callable
        Returns the address of a node's array.
    """

    def spans(nodes: Sequence[Node]) -> list[Span]:
        # Arguments that are read in place are never written.
        bases = [base_of(node) for node in nodes if not node.weak and base_of(node).index in places]
        return [(address(base), address(base) + base.nbytes) for base in bases]

    reads = [spans(one.reads) for one in instructions]
    writes = [spans(one.stores) for one in instructions]
    found = {}
    for k, one in enumerate(instructions):
        if not _is_product(one):
            continue
        until = k + 1
        while until < len(instructions) and not (
            _meet(writes[k], reads[until]) or _meet(writes[k], writes[until]) or _meet(reads[k], writes[until])
        ):
            until += 1
        if any(map(_is_product, instructions[k + 1 : until])):
            found[k] = until
    return found


def _is_product(one: Instruction) -> bool:
    return one.loop is None and one.nodes[0].op == "matmul"


def _meet(some: Sequence[Span], others: Sequence[Span]) -> bool:
    return any(begin < other_end and other < end for begin, end in some for other, other_end in others)
