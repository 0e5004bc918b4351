"""What a product can do besides: bias and relu on the way forward, relu's derivative and the sums of δ on the way back.

A pass over the instructions of a plan. A product and the loop after it are one call of cublasLt where the loop is what
an epilogue does, and where its result lies in the place of the product's. Relu leaves a mask for the way back, a bit a
number. cublasLt's relu makes 0 of NaN; so this is done only where less than the highest precision is asked for.
"""

from typing import NamedTuple

from retroprop.backends.tracing.fusion import base_of
from retroprop.backends.tracing.graph import Node
from retroprop.backends.tracing.plan import Instruction, Plan


class Fused(NamedTuple):
    """A product with what it does besides.

    Attributes
    ----------
    kind : str
        A name of `cublaslt.EPILOGUES`.
    result : Node
        What it writes in place of the product.
    bias : Node or None
        The bias, or where its gradient goes.
    mask_of : Node
        The activation whose mask is written or read.
    """

    kind: str
    result: Node
    bias: Node | None
    mask_of: Node


def forward_of(plan: Plan, product: Node, one: Instruction) -> Fused | None:
    """Return relu(product + bias) as one call, None if the loop is something else."""
    if one.loop is None or len(one.stores) != 1 or not _in_place(plan, product, one.stores[0]):
        return None
    (result,) = one.stores
    first, *rest = one.nodes
    if result.op != "maximum" or not _is_zero(result.inputs[1]):
        return None
    if first is result and not rest:
        return Fused("relu_aux", result, None, result) if result.inputs[0] is product else None
    # z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
    if len(rest) == 1 and rest[0] is result and result.inputs[0] is first and first.op == "add":
        others = [i for i in first.operands if i is not product]
        if len(others) == 1 and others[0].size == product.shape[1] == others[0].shape[-1]:
            return Fused("relu_aux_bias", result, others[0], result)
    return None


def backward_of(plan: Plan, product: Node, one: Instruction, masked: set[int], at: int) -> Fused | None:
    """Return (product ∘ relu′) with its sums over the rows as one call, None if the loop is something else.

    Parameters
    ----------
    plan : Plan
        Of the step.
    product : Node
        δ^(l+1) Θ^(l).
    one : Instruction
        The loop that follows.
    masked : set of int
        The activations, by index, whose masks are there.
    at : int
        The place of the product among the instructions.
    """
    nodes = list(one.nodes)
    if one.loop is None or len(nodes) not in (3, 4) or [n.op for n in nodes[:3]] != ["greater", "astype", "multiply"]:
        return None
    greater, cast, delta = nodes[:3]
    a, zero = greater.inputs
    # δ^(l) = δ^(l+1) Θ^(l) ∘ [a > 0]
    is_mask = isinstance(a, Node) and a.index in masked and _is_zero(zero) and cast.inputs[0] is greater
    if not is_mask or {n.index for n in delta.operands} != {product.index, cast.index}:
        return None
    if not _in_place(plan, product, delta):
        return None
    if len(nodes) == 3:
        return Fused("drelu", delta, None, a) if [n.index for n in one.stores] == [delta.index] else None
    # ∂J/∂b = Σ_rows δ
    total = nodes[3]
    sums = total.op == "sum" and total.inputs[0] is delta and total.attr("axes") == (0,)
    # Its memory must be its own before the product: the plan gave it away only from the loop on.
    early = total.index in plan.places and plan.places[total.index].cell.first <= at
    stored = {n.index for n in one.stores} == {delta.index, total.index}
    return Fused("drelu_bgrad", delta, total, a) if sums and early and stored else None


def _in_place(plan: Plan, product: Node, result: Node) -> bool:
    """Return whether a result lies where the product does, and nobody else reads the product."""
    readers = [n for n in plan.wanted if any(base_of(o).index == product.index for o in n.operands)]
    here = plan.places.get(product.index)
    return here is not None and here == plan.places.get(result.index) and len(readers) == 1


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0
