"""Relu within products, and its derivative with the sums of δ: a rewrite of each product and the loop after it.

Where the loop is what an epilogue of cublasLt does, both are one call. Relu leaves a mask for the way back, a bit a
number; each call is measured by itself beside the two, so that a layer may have one on the way forward and none on the
way back. cublasLt's relu makes 0 of NaN; so this is done only where less than the highest precision is asked for.
"""

from collections.abc import Sequence
from typing import Any

from retroprop.backends.cuda.calls import Call, harmless, is_product, readers
from retroprop.backends.tracing.graph import Node
from retroprop.backends.tracing.plan import Instruction, Plan


def relus(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with every relu and every relu′ that can be in the product before it, None if none is."""
    found: list[Instruction] = []
    masked: set[int] = set()
    place = 0
    while place < len(instructions):
        call = _forward(plan, instructions, place) or _backward(plan, instructions, place, masked)
        found.append(call or instructions[place])
        place += 1 if call is None else 2
        if call is not None and call.kind.startswith("relu"):
            masked.add(call.stores[0].index)
    return found if masked else None


def _forward(plan: Plan, instructions: Sequence[Instruction], place: int) -> Call | None:
    """Return relu(product + bias) as a call that leaves a mask, None if what is there is something else."""
    if not _followed(instructions, place):
        return None
    one, loop = instructions[place : place + 2]
    product, (first, *rest) = one.nodes[0], loop.nodes
    result = loop.stores[0]
    if len(loop.stores) != 1 or result.op != "maximum" or not _is_zero(result.inputs[1]):
        return None
    kind, bias = "relu_aux", None
    if first is not result:
        # z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
        biased = len(rest) == 1 and rest[0] is result and first.op == "add" and result.inputs[0] is first
        others = [i for i in first.operands if i is not product]
        if not biased or len(others) != 1 or not others[0].size == product.shape[1] == others[0].shape[-1]:
            return None
        kind, bias = "relu_aux_bias", others[0]
    elif rest or result.inputs[0] is not product:
        return None
    call = Call(node=product, stores=[result], result=result, kind=kind, vector=bias, mask_of=result, apart=(one, loop))
    return call if harmless(plan, call.stores, product.operands) else None


def _backward(plan: Plan, instructions: Sequence[Instruction], place: int, masked: set[int]) -> Call | None:
    """Return (product ∘ relu′) with its sums over the rows as a call, if a mask of the activation may be there."""
    if not _followed(instructions, place):
        return None
    one, loop = instructions[place : place + 2]
    product, nodes = one.nodes[0], list(loop.nodes)
    if len(nodes) not in (3, 4) or [n.op for n in nodes[:3]] != ["greater", "astype", "multiply"]:
        return None
    greater, cast, delta = nodes[:3]
    a, zero = greater.inputs
    # δ^(l) = δ^(l+1) Θ^(l) ∘ [a > 0]
    is_mask = isinstance(a, Node) and a.index in masked and _is_zero(zero) and cast.inputs[0] is greater
    if not is_mask or {n.index for n in delta.operands} != {product.index, cast.index}:
        return None
    totals = nodes[3:]
    # ∂J/∂b = Σ_rows δ
    if any(n.op != "sum" or n.inputs[0] is not delta or n.attr("axes") != (0,) for n in totals):
        return None
    if {n.index for n in loop.stores} != {n.index for n in (delta, *totals)}:
        return None
    call = Call(
        node=product, stores=[delta, *totals], result=delta, kind="drelu_bgrad" if totals else "drelu",
        vector=totals[0] if totals else None, mask_of=a, apart=(one, loop),
    )  # fmt: skip
    return call if harmless(plan, call.stores, product.operands) else None


def _followed(instructions: Sequence[Instruction], place: int) -> bool:
    """Return whether a product is followed by a loop, the only one to read it."""
    if place + 1 >= len(instructions) or not is_product(instructions[place]) or instructions[place + 1].loop is None:
        return False
    return bool(instructions[place + 1].stores) and readers(instructions, instructions[place].nodes) == [place + 1]


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == 0
