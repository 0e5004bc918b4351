"""Products that may run concurrently with those after them: a gradient, while δ goes on down the layers.

Two instructions must keep their order where one writes memory that the other reads or writes. That alone decides how
long a product may be delayed; it covers memory that the plan reuses early.
"""

from collections.abc import Callable, Container, Sequence

from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.record.graph import Node, base_of

Span = tuple[int, int]


def concurrent_products(
    instructions: Sequence[Instruction], places: Container[int], address: Callable[[Node], int]
) -> dict[int, int]:
    """Return the products that may run concurrently, by place: the place of the instruction that each must precede.

    Only nodes in `places`, by index, count: arguments that are read in place are never written.
    """

    def spans(nodes: Sequence[Node]) -> list[Span]:
        bases = [base for base in map(base_of, nodes) if base.index in places]
        return [(at, at + base.nbytes) for base, at in zip(bases, map(address, bases), strict=True)]

    used = [(spans(one.reads), spans(one.stores)) for one in instructions]
    products = [one.loop is None and one.nodes[0].op == "matmul" for one in instructions]
    found = {}
    for k, (reads, writes) in enumerate(used):
        if products[k]:
            met = (
                at
                for at, (others_read, others_write) in enumerate(used[k + 1 :], start=k + 1)
                if _meet(writes, others_read + others_write) or _meet(reads, others_write)
            )
            until = next(met, len(instructions))
            if any(products[k + 1 : until]):
                found[k] = until
    return found


def _meet(some: Sequence[Span], others: Sequence[Span]) -> bool:
    return any(begin < other_end and other < end for begin, end in some for other, other_end in others)
