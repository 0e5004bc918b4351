"""Casts that come with the rows of a batch: of the data, and of parameters that products take in bfloat16."""

from collections.abc import Sequence
from itertools import pairwise

from retroprop.backends.cuda.rewrites.bfloat16 import ROUND
from retroprop.backends.cuda.rewrites.product_calls import harmless
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of


def taken_casts(plan: Plan, gathers: Sequence[Node], waiting: list[Instruction]) -> dict[int, Node]:
    """Take the casts that follow gathers and are all that reads them; return them by index of the gather.

    Rows are gathered before anything else is done, so that a cast that comes with them comes before nothing.
    """
    found: dict[int, Node] = {}
    while waiting and (x := _cast_by(plan, waiting[0])) is not None and any(x is node for node in gathers):
        found[x.index] = waiting.pop(0).stores[0]
    return found


def taken_rounding(plan: Plan, made: Sequence[Node], waiting: list[Instruction]) -> Node | None:
    """Take the rounding of all parameters if it is next, and may be written along with what is made of the batch."""
    if not waiting or [node.op for node in waiting[0].nodes] != [ROUND]:
        return None
    (node,) = waiting[0].nodes
    stays = node.inputs[0].op == "join" and plan.leaves.joins.get(node.inputs[0].index, False)
    # Its memory is its own from its own place on, which is behind what is made here.
    if not stays or not harmless(plan, [node], made):
        return None
    waiting.pop(0)
    return node


def _cast_by(plan: Plan, one: Instruction) -> Node | None:
    """Return what an instruction casts, if it does nothing else and nothing else reads it."""
    nodes = one.nodes
    if [node.op for node in nodes] not in (["astype"], [ROUND], ["astype", ROUND]):
        return None
    chained = all(after.inputs[0] is before for before, after in pairwise(nodes))
    if not chained or [node.index for node in one.stores] != [nodes[-1].index]:
        return None
    x = nodes[0].operands[0]
    readers = [n for n in plan.wanted if any(base_of(o) is x for o in n.operands)]
    return x if len(readers) == 1 and not any(base_of(o) is x for o in plan.outputs) else None
