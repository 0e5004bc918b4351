"""Activations, their derivatives and the sums of δ within products: a rewrite of each layer whose f cublasLt has.

The forward product of such a layer saves relu's mask, one bit an element, or gelu's z; the backward product reads it.
cublasLt's relu makes 0 of NaN, so this is done only where less than the highest precision is asked for.

Relu of float32 is a choice: each call is timed by itself against the product and the loop it replaces, so that a layer
may have one in the forward pass and none in the backward pass. Relu of bfloat16 writes what the next product takes, in
place of float32 and a kernel that rounds it, and then a bias is bfloat16 as well; ∂J/∂b is left to the product that is
∂J/∂Θ, whose result is float32. For it and for gelu both products of a layer are calls, or neither is.
"""

from collections.abc import Sequence
from typing import NamedTuple

from retroprop.backends.cuda.rewrites.bfloat16 import ROUND, part_rounded
from retroprop.backends.cuda.rewrites.product_calls import ProductCall, harmless, is_product, readers
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, Role
from retroprop.backends.record.recorder import RecordedOperation
from retroprop.backends.record.table import GIVEN, VIEWS
from retroprop.functions.activations import Activation, GELUTanh, ReLU

Recorded = RecordedOperation | None
LEADING = 8  # cublasLt needs row lengths of z divisible by this


class Kinds(NamedTuple):
    """The epilogues of an activation, forward and backward, and whether they save a mask rather than z."""

    forward: str
    backward: str
    masks: bool


# By the type of f, so that no object from outside is taken for one of these.
EPILOGUES: dict[type[Activation], Kinds] = {
    ReLU: Kinds("relu_aux", "drelu", masks=True),
    GELUTanh: Kinds("gelu_aux", "dgelu", masks=False),
}


def with_epilogues(f: type[Activation], plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with every f and f′ that can be in the product before it, None if none is."""
    found, recorded = list(instructions), plan.recording.operations
    others = {one.role[:2]: one for one in recorded}
    for affine in recorded:
        if affine.role.operation != "affine" or type(affine.role.function) is not f:
            continue
        behind = [others.get((name, affine.role.layer)) for name in ("delta", "gradient")]
        forward = _forward(plan, found, affine)
        back = [] if forward is None else _backward(plan, found, forward, *behind)
        if forward is None or not (back or forward.apart):
            continue
        for call in (forward, *back):
            place = next(k for k, one in enumerate(found) if one.nodes[0] is call.nodes[0])
            found[place : place + (1 if call.kind == "bgradb" else 2)] = [call]
    return found if len(found) < len(instructions) else None


def _forward(plan: Plan, instructions: list[Instruction], affine: RecordedOperation) -> ProductCall | None:
    """Return f(product + bias) as a call that saves a mask or z."""
    (z, a), bias, kinds = affine.results, affine.arguments["bias"], EPILOGUES[type(affine.role.function)]
    pair = _pair(plan, instructions, affine.role, [])
    if pair is None:
        return None
    one, loop = pair
    product, rounds = one.nodes[0], loop.nodes[-1].op == ROUND
    # a^(l+1) = f(z^(l+1)),  z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
    if rounds:
        a, bias = loop.nodes[-1], None if bias is None else part_rounded(plan, bias)
    if bias is None and affine.arguments["bias"] is not None:
        return None  # its rounded form is nowhere
    kind = kinds.forward + ("" if bias is None else "_bias")
    if kinds.masks:
        apart = () if rounds else (one, loop)
        call = ProductCall(node=product, stores=[a], result=a, kind=kind, vector=bias, mask_of=a, apart=apart)
        allowed = _indices(loop.stores) == {a.index}
    else:
        call = ProductCall(node=product, stores=[z, a], result=a, kind=kind, vector=bias, aux=z)
        allowed = not rounds and z.index in plan.places and not z.shape[1] % LEADING and harmless(plan, [a], [z])
    # The bare product is no longer stored (unless it is z), so nothing else may read it.
    lost = product is z or len(readers(instructions, one.nodes)) == 1
    return call if allowed and lost and harmless(plan, call.stores, call.reads) else None


def _backward(
    plan: Plan, instructions: list[Instruction], forward: ProductCall, delta: Recorded, gradient: Recorded
) -> list[ProductCall]:
    """Return product ∘ f′ with its sums over the rows as a call, in bfloat16 as two; none if it is not that."""
    if delta is None or gradient is None:
        return []
    totals = [node for node in gradient.results[1:] if node is not None]  # ∂J/∂b = Σ_rows δ
    pair = _pair(plan, instructions, delta.role, totals)
    if pair is None or delta.arguments["mask"] is not None or len(readers(instructions, pair[0].nodes)) != 1:
        return []
    one, loop = pair
    # Nothing else may read the other values that the forward loop stored: the calls do not write them.
    before = instructions[1 + next(k for k, other in enumerate(instructions) if other.nodes[0] is forward.nodes[0])]
    left = [node for node in before.stores if node.index not in _indices(forward.stores)]
    if any(instructions[k] is not before and instructions[k] is not loop for k in readers(instructions, left)):
        return []
    product, kind = one.nodes[0], EPILOGUES[type(delta.role.function)].backward
    rounded = [node for node in loop.nodes if node.op == ROUND]
    (result,) = rounded or [delta.results]
    if _indices(loop.stores) != _indices([result, *totals]):
        return []
    # δ^(l) = (δ^(l+1) Θ^(l)) ∘ f′(z^(l)), of which the mask or z is what f′ needs
    call = ProductCall(
        node=product, stores=[result], result=result, kind=kind, aux=forward.aux, mask_of=forward.mask_of,
        apart=(one, loop) if forward.apart else (),
    )  # fmt: skip
    calls: list[ProductCall | None] = [call]
    if rounded:
        calls += [_with_sums(instructions, gradient.role, total) for total in totals]
    elif totals:
        call.kind, call.stores, (call.vector,) = kind + "_bgrad", [result, *totals], totals
    allowed = [call for call in calls if call is not None and harmless(plan, call.stores, call.reads)]
    return allowed if len(allowed) == len(calls) else []


def _with_sums(instructions: list[Instruction], gradient: Role, total: Node) -> ProductCall | None:
    """Return the product ∂J/∂Θ = δᵀ a with ∂J/∂b = Σ_rows δ, None if that comes too late."""
    place = _product(instructions, gradient)
    if place is None or min(readers(instructions, [total]), default=place) < place:
        return None
    node = instructions[place].nodes[0]
    return ProductCall(node=node, stores=[node, total], result=node, kind="bgradb", vector=total)


def _pair(
    plan: Plan, instructions: list[Instruction], role: Role, sums: list[Node]
) -> tuple[Instruction, Instruction] | None:
    """Return the product of a role and the loop after it, if that computes the rest of the role, `sums`, no more."""
    place = _product(instructions, role)
    if place is None or place + 1 == len(instructions):
        return None
    one, loop = instructions[place : place + 2]
    # A penalty, a mask of dropout or the loss in the same loop are of other roles, and leave the layer as it is.
    rest = [n for n in plan.wanted if n.role is role and n.op not in (*VIEWS, *GIVEN) and n is not one.nodes[0]]
    return (one, loop) if loop.loop is not None and _indices(loop.nodes) == _indices([*rest, *sums]) else None


def _product(instructions: list[Instruction], role: Role) -> int | None:
    """Return the place of the product of a role, None if it has none that is an instruction by itself."""
    return next((k for k, one in enumerate(instructions) if is_product(one) and one.nodes[0].role is role), None)


def _indices(nodes: Sequence[Node]) -> set[int]:
    return {node.index for node in nodes}
