"""Gradient descent within the products of the gradients: Θ ← Θ − η δᵀ a is one call, and ∂J/∂Θ is never written.

A rewrite, for SGD without momentum. Each Θ is overwritten once everything that reads it has run, so that its product
moves behind that of the δ below, if that one does not write where this one reads, as it may where f′ has no need of a;
the other parameters follow in a kernel. A penalty λ is no factor 1 − η λ of Θ here: in
float32 that would round away the digits of an η λ as small as they are.
"""

from collections.abc import Sequence

from retroprop.backends.cuda.rewrites.product_calls import (
    DescentInstruction,
    ProductCall,
    among,
    harmless,
    is_product,
    readers,
)
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of


def descended(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with the update in the products, None if there is none to be put there."""
    updates = [one for one in instructions if _is_descent(plan, one)]
    if len(updates) != 1:
        return None
    (update,) = updates
    scaled, new = update.nodes
    grad, eta = (scaled.inputs[k] for k in ((1, 0) if scaled.inputs[0].weak else (0, 1)))
    old = new.inputs[0]
    if (
        grad.op != "join"
        or plan.leaves.joins.get(grad.index, True)
        or readers(instructions, [grad, *grad.operands]) != [instructions.index(update)]
    ):
        return None
    found = [one for one in instructions if one is not update]
    rest: list[list[tuple[Node, Node]]] = [[]]  # leaves that lie one behind the other
    for theta, gradient in zip(old.operands, grad.operands, strict=True):
        if gradient.op == "matmul" and _moved(plan, found, (theta, old), gradient, eta):
            rest.append([])
        else:
            rest[-1].append((theta, gradient))
    if len(rest) == 1:
        return None
    for leaves in filter(None, rest):
        thetas, gradients = zip(*leaves, strict=True)
        found.append(DescentInstruction(node=new, stores=list(thetas), grads=list(gradients), eta=eta))
    return found


def _is_descent(plan: Plan, one: Instruction) -> bool:
    """Return whether a loop is θ ← θ − η g, number by number, in the place of θ."""
    if one.loop is None or [node.op for node in one.nodes] != ["multiply", "subtract"]:
        return False
    scaled, new = one.nodes
    old = plan.leaves.in_place.get(new.index)
    rates = [i for i in scaled.inputs if isinstance(i, Node) and i.weak]
    ordered = old is not None and new.inputs[0] is old and new.inputs[1] is scaled
    return ordered and len(rates) == 1 and len(scaled.operands) == 2


def _moved(plan: Plan, instructions: list[Instruction], theta: tuple[Node, Node], gradient: Node, eta: Node) -> bool:
    """Make the product of a gradient the update of Θ, behind all that reads Θ; return whether that can be."""
    place = next((k for k, one in enumerate(instructions) if one.loop is None and one.nodes[0] is gradient), None)
    if place is None:
        return False
    one = instructions[place]
    call = ProductCall(
        node=gradient, stores=[theta[0]], result=theta[0], eta=eta,
        kind=one.kind if isinstance(one, ProductCall) else "none",
        vector=one.vector if isinstance(one, ProductCall) else None,
    )  # fmt: skip
    behind = max([place, *readers(instructions, theta)])
    # A loop stays behind the product it works on: δ goes on down the layers before an update.
    follows = behind + 1 < len(instructions) and behind > place and is_product(instructions[behind])
    if follows and among(instructions[behind].nodes[0], map(base_of, instructions[behind + 1].reads)):
        behind += 1
    between = [node for other in instructions[place + 1 : behind + 1] for node in other.stores]
    if not harmless(plan, between, gradient.operands):
        return False
    instructions.insert(behind + 1, call)
    del instructions[place]
    return True
