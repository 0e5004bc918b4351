"""Products that may run beside what follows them: a gradient, while δ goes on down the layers.

Two instructions must follow one another where one writes memory that the other reads or writes. From that alone it is
found until when a product need not be done; that the plan gives memory away early is in it.
"""

from collections.abc import Callable, Container, Sequence

from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.record.graph import Node, base_of

Span = tuple[int, int]


def products_beside(
    instructions: Sequence[Instruction], places: Container[int], address: Callable[[Node], int]
) -> dict[int, int]:
    """Return products that may run beside others: the place of each, and that of the instruction it must come before.

    Parameters
    ----------
    instructions : sequence of Instruction
        In order.
    places : container of int
        The nodes, by index, that lie in memory of the plan.
    address : callable
        Where the array of a node begins.
    """

    def spans(nodes: Sequence[Node]) -> list[Span]:
        # What is given and stays where it is nobody writes.
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
