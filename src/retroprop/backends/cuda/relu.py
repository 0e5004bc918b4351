"""Relu and its derivative within products whose results are bfloat16: a rewrite of each layer between two of them.

What the next product takes in bfloat16 is written so by this one, in place of float32 and a kernel that rounds it. The
bias is then of the kind of the result, and so is rounded as well; the sums of δ, ∂J/∂b, are left to the product that is
∂J/∂Θ, whose result is float32. Relu leaves a mask for the way back, a bit a number, so that both ways of a layer are
calls, or neither is. Where results are float32 nothing is rounded between products, and `epilogues` has these.
"""

from collections.abc import Sequence

from retroprop.backends.cuda.bfloat16 import ROUND, WIDEN, part_rounded
from retroprop.backends.cuda.calls import Call, among, harmless, is_product, readers
from retroprop.backends.tracing.fusion import base_of
from retroprop.backends.tracing.graph import Node
from retroprop.backends.tracing.plan import Instruction, Plan


def relus(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with every relu that can be in the products around it, None if there is none."""
    found = list(instructions)
    ways = [_forward(plan, found, k) for k in range(len(found) - 1)]
    for forward in [way for way in ways if way is not None]:
        calls = next((b for k in range(len(found) - 1) if (b := _backward(plan, found, k, forward))), [])
        for call in [forward, *calls] if calls else []:
            place = next(k for k, one in enumerate(found) if one.nodes[0] is call.nodes[0])
            found[place : place + (1 if call.kind == "bgradb" else 2)] = [call]
    return found if len(found) < len(instructions) else None


def _forward(plan: Plan, instructions: list[Instruction], place: int) -> Call | None:
    """Return relu(product + bias), rounded, as a call that leaves a mask."""
    one, loop = instructions[place : place + 2]
    ops = [node.op for node in loop.nodes]
    if not is_product(one) or loop.loop is None or ops not in (["add", "maximum", ROUND], ["maximum", ROUND]):
        return None
    (product,), (first, *_), (relu, a) = one.nodes, loop.nodes, loop.nodes[-2:]
    bias = None
    # z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
    if first.op == "add":
        others = [i for i in first.operands if i is not product]
        bias = part_rounded(plan, others[0]) if len(others) == 1 and others[0].size == product.shape[1] else None
        if bias is None:
            return None
    # a^(l+1) = max(z^(l+1), 0)
    z = product if bias is None else first
    chained = relu.inputs[0] is z and _is_zero(relu.inputs[1]) and a.inputs[0] is relu and among(a, loop.stores)
    if not chained or len(loop.stores) > 1 or readers(instructions, [product]) != [place + 1]:
        return None
    kind = "relu_aux" if bias is None else "relu_aux_bias"
    call = Call(node=product, stores=[a], result=a, kind=kind, vector=bias, masked=a)
    return call if harmless(plan, [a], call.reads) else None


def _backward(plan: Plan, instructions: list[Instruction], place: int, forward: Call) -> list[Call]:
    """Return product ∘ relu′, rounded, as a call, and the gradient with its sums as another; none if it is not that."""
    one, loop = instructions[place : place + 2]
    ops = [node.op for node in loop.nodes]
    chain = [WIDEN, "greater", "astype", "multiply", ROUND]
    if not is_product(one) or loop.loop is None or ops not in (chain, [*chain, "sum"]):
        return []
    (product,), (a, positive, mask, exact, delta) = one.nodes, loop.nodes[:5]
    # δ^(l) = δ^(l+1) Θ^(l) ∘ [a^(l) > 0]
    chained = a.inputs[0] is forward.result and positive.inputs[0] is a and _is_zero(positive.inputs[1])
    chained = (
        chained and mask.inputs[0] is positive and {n.index for n in exact.operands} == {product.index, mask.index}
    )
    if not chained or delta.inputs[0] is not exact or readers(instructions, [product]) != [place + 1]:
        return []
    call = Call(node=product, stores=[delta], result=delta, kind="drelu", masked=forward.result)
    if not harmless(plan, [delta], call.reads):
        return []
    total = loop.nodes[5] if len(ops) == 6 else None
    if total is None:
        return [call] if [node.index for node in loop.stores] == [delta.index] else []
    # ∂J/∂Θ = δᵀ a, ∂J/∂b = Σ_rows δ
    sums = total.inputs[0] is exact and total.attr("axes") == (0,) and total.ndim == 1
    stored = {node.index for node in loop.stores} == {delta.index, total.index}
    at = next((k for k in readers(instructions, [delta]) if _is_gradient(instructions[k], delta)), None)
    if not sums or not stored or at is None or min(readers(instructions, [total]), default=at) < at:
        return []
    gradient = instructions[at].nodes[0]
    summed = Call(node=gradient, stores=[gradient, total], result=gradient, kind="bgradb", vector=total)
    return [call, summed] if harmless(plan, [total], instructions[at].reads) else []


def _is_gradient(one: Instruction, delta: Node) -> bool:
    """Return whether an instruction is a product whose first operand is δᵀ."""
    return is_product(one) and one.nodes[0].inputs[0].op == "transpose" and base_of(one.nodes[0].inputs[0]) is delta


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0
