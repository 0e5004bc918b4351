"""Relu within products, and its derivative with the sums of δ: a rewrite of each product and the loop after it.

Relu leaves a mask for the way back, a bit a number. cublasLt's relu makes 0 of NaN; so this is done only where less
than the highest precision is asked for. There are two kinds of it, and a plan has one of them:

Products of float32 have results of float32. Each call is measured by itself beside the two, so that a layer may have
one on the way forward and none on the way back.

Products of bfloat16 have results of bfloat16: what the next product takes is written so by this one, in place of
float32 and a kernel that rounds it. The bias is then of the kind of the result, and so is rounded as well; the sums of
δ, ∂J/∂b, are left to the product that is ∂J/∂Θ, whose result is float32. So both ways of a layer are calls, or neither.
"""

from collections.abc import Sequence

from retroprop.backends.cuda.rewrites.bfloat16 import ROUND, WIDEN, part_rounded
from retroprop.backends.cuda.rewrites.product_calls import ProductCall, harmless, is_product, readers
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of

DERIVED = ["greater", "astype", "multiply"]  # what multiplies by relu′


def relus(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with every relu and every relu′ that can be in the product before it, None if none is."""
    found = list(instructions)
    ways = [_forward(plan, found, k) for k in range(len(found) - 1)]
    for forward in [way for way in ways if way is not None]:
        back = next((b for k in range(len(found) - 1) if (b := _backward(plan, found, k, forward))), [])
        if not back and not forward.apart:
            continue
        for call in [forward, *back]:
            place = next(k for k, one in enumerate(found) if one.nodes[0] is call.nodes[0])
            found[place : place + (1 if call.kind == "bgradb" else 2)] = [call]
    return found if len(found) < len(instructions) else None


def _forward(plan: Plan, instructions: list[Instruction], place: int) -> ProductCall | None:
    """Return relu(product + bias) as a call that leaves a mask, None if what is there is something else."""
    if not _followed(instructions, place):
        return None
    one, loop = instructions[place : place + 2]
    (product,), a = one.nodes, loop.nodes[-1]
    rounds = a.op == ROUND
    exact = loop.nodes[:-1] if rounds else loop.nodes
    if [node.op for node in exact] not in (["add", "maximum"], ["maximum"]):
        return None
    z, bias, relu = product, None, exact[-1]
    # z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
    if len(exact) == 2:
        z = exact[0]
        others = [i for i in z.operands if i is not product]
        if len(others) != 1 or not others[0].size == product.shape[1] == others[0].shape[-1]:
            return None
        bias = part_rounded(plan, others[0]) if rounds else others[0]
        if bias is None:
            return None
    # a^(l+1) = max(z^(l+1), 0)
    chained = relu.inputs[0] is z and _is_zero(relu.inputs[1]) and (not rounds or a.inputs[0] is relu)
    if not chained or not _stored(loop, [a]):
        return None
    call = ProductCall(
        node=product, stores=[a], result=a, kind="relu_aux" if bias is None else "relu_aux_bias", vector=bias,
        mask_of=a, apart=() if rounds else (one, loop),
    )  # fmt: skip
    return call if harmless(plan, call.stores, call.reads) else None


def _backward(plan: Plan, instructions: list[Instruction], place: int, forward: ProductCall) -> list[ProductCall]:
    """Return product ∘ relu′ with its sums over the rows as a call, in bfloat16 as two; none if it is not that."""
    a = forward.mask_of
    if a is None or not _followed(instructions, place):
        return []
    one, loop = instructions[place : place + 2]
    (product,), nodes, rounds = one.nodes, list(loop.nodes), a.op == ROUND
    ops = [WIDEN, *DERIVED, ROUND] if rounds else DERIVED
    if [node.op for node in nodes] not in (ops, [*ops, "sum"]):
        return []
    # δ^(l) = δ^(l+1) Θ^(l) ∘ [a^(l) > 0]
    (positive, mask, exact), delta, totals = nodes[rounds : rounds + 3], nodes[len(ops) - 1], nodes[len(ops) :]
    read = positive.inputs[0].inputs[0] if rounds else positive.inputs[0]
    chained = read is a and _is_zero(positive.inputs[1]) and mask.inputs[0] is positive
    chained = chained and {node.index for node in exact.operands} == {product.index, mask.index}
    # ∂J/∂b = Σ_rows δ
    sums = all(n.inputs[0] is exact and n.attributes["axes"] == (0,) and n.ndim == 1 for n in totals)
    if not chained or not sums or not _stored(loop, [delta, *totals]) or (rounds and delta.inputs[0] is not exact):
        return []
    calls: list[ProductCall | None]
    if rounds:
        call = ProductCall(node=product, stores=[delta], result=delta, kind="drelu", mask_of=a)
        calls = [call, *(_with_sums(instructions, delta, total) for total in totals)]
    else:
        call = ProductCall(
            node=product, stores=[delta, *totals], result=delta, kind="drelu_bgrad" if totals else "drelu",
            vector=totals[0] if totals else None, mask_of=a, apart=(one, loop),
        )  # fmt: skip
        calls = [call]
    allowed = [call for call in calls if call is not None and harmless(plan, call.stores, call.reads)]
    return allowed if len(allowed) == len(calls) else []


def _with_sums(instructions: list[Instruction], delta: Node, total: Node) -> ProductCall | None:
    """Return the product ∂J/∂Θ = δᵀ a with ∂J/∂b = Σ_rows δ, None if that comes too late."""
    places = [k for k in readers(instructions, [delta]) if _is_gradient(instructions[k], delta)]
    if not places or min(readers(instructions, [total]), default=places[0]) < places[0]:
        return None
    gradient = instructions[places[0]].nodes[0]
    return ProductCall(node=gradient, stores=[gradient, total], result=gradient, kind="bgradb", vector=total)


def _is_gradient(one: Instruction, delta: Node) -> bool:
    """Return whether an instruction is a product whose first operand is δᵀ."""
    return is_product(one) and one.nodes[0].inputs[0].op == "transpose" and base_of(one.nodes[0].inputs[0]) is delta


def _followed(instructions: Sequence[Instruction], place: int) -> bool:
    """Return whether a product is followed by a loop, the only one to read it."""
    if place + 1 >= len(instructions) or not is_product(instructions[place]) or instructions[place + 1].loop is None:
        return False
    return readers(instructions, instructions[place].nodes) == [place + 1]


def _stored(loop: Instruction, nodes: Sequence[Node]) -> bool:
    """Return whether a loop writes these and nothing else."""
    return {node.index for node in loop.stores} == {node.index for node in nodes}


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0
