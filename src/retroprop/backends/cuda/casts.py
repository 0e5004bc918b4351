"""Casts that come with the rows of a batch: of the data, and of parameters that products take in bfloat16."""

from collections.abc import Sequence

from retroprop.backends.cuda.rewrites.bfloat16 import ROUND
from retroprop.backends.cuda.rewrites.product_calls import harmless, readers
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of


def taken_casts(plan: Plan, gathers: Sequence[Node], waiting: list[Instruction]) -> dict[int, Node]:
    """Take the casts that follow gathers and are all that reads them; return them by index of the gather.

    Rows are gathered before anything else is done, so that a cast that comes with them comes before nothing.
    """
    found: dict[int, Node] = {}
    while waiting and all(node.op in ("astype", ROUND) for node in waiting[0].nodes):
        one = waiting[0]
        # One read and one store: each node of the loop casts the one before it.
        if len(one.reads) != 1 or len(one.stores) != 1 or not any(one.reads[0] is node for node in gathers):
            break
        rows = one.reads[0]
        if len(readers(plan.instructions, [rows])) > 1 or any(base_of(o) is rows for o in plan.outputs):
            break
        found[rows.index] = waiting.pop(0).stores[0]
    return found


def taken_rounding(plan: Plan, made: Sequence[Node], waiting: list[Instruction]) -> Node | None:
    """Take the rounding of all parameters if it is next, and the same kernel may do it."""
    if not waiting or [node.op for node in waiting[0].nodes] != [ROUND]:
        return None
    (node,) = waiting[0].nodes
    stays = plan.leaves.joins.get(node.inputs[0].index, False)
    # It is written earlier than planned, when the plan may still use its memory for the batch.
    if not stays or not harmless(plan, [node], made):
        return None
    waiting.pop(0)
    return node
