"""The sums of δ^(L) over its rows, ∂J/∂b of the last layer, within the product that is ∂J/∂Θ of it: a rewrite."""

from collections.abc import Sequence

from retroprop.backends.cuda.rewrites.bfloat16 import ROUND
from retroprop.backends.cuda.rewrites.product_calls import ProductCall, among, harmless, is_product, readers
from retroprop.backends.plan.fusion import base_of, loop_of
from retroprop.backends.plan.plan import Instruction, Plan
from retroprop.backends.record.graph import Node


def summed(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with the sums in the product, None if there are none of that kind.

    The product is δᵀ a, so that cublasLt's B is δᵀ, and its sums along k are those over the rows of δ, as rounded as
    the product takes it.
    """
    for place, one in enumerate(instructions):
        if not is_product(one):
            continue
        delta = one.nodes[0].inputs[0]
        if delta.op != "transpose":
            continue
        # The first gradient on the way back: that of the last layer.
        made = next((k for k, other in enumerate(instructions) if among(base_of(delta), other.stores)), None)
        exact = base_of(delta).inputs[0] if base_of(delta).op == ROUND else base_of(delta)
        total = None if made is None else _sum_of(instructions[made], exact)
        if made is None or total is None or min(readers(instructions, [total]), default=place) < place:
            return None
        # ∂J/∂Θ = δᵀ a, ∂J/∂b = Σ_rows δ
        call = ProductCall(
            node=one.nodes[0], stores=[*one.stores, total], result=one.nodes[0], kind="bgradb", vector=total
        )
        if not harmless(plan, [total], one.reads):
            return None
        found = list(instructions)
        found[made], found[place] = _without(instructions[made], total), call
        return found
    return None


def _sum_of(one: Instruction, delta: Node) -> Node | None:
    """Return the sum of δ over its rows, if a loop makes it for others only, and something else as well."""
    if one.loop is None:
        return None
    sums = [n for n in one.nodes if n.op == "sum" and n.inputs[0] is delta and n.attr("axes") == (0,) and n.ndim == 1]
    alone = len(sums) == 1 and among(sums[0], one.stores)
    alone = alone and not any(among(sums[0], node.operands) for node in one.nodes)
    return sums[0] if alone else None


def _without(one: Instruction, total: Node) -> Instruction:
    loop = loop_of([node for node in one.nodes if node is not total])
    assert loop is not None  # less than what one loop does is done by one
    return Instruction(loop=loop, stores=[node for node in one.stores if node is not total])
