"""Gradient descent within the products of the gradients: Θ ← Θ − η δᵀ a is one call, and ∂J/∂Θ is never written.

A rewrite, for SGD without momentum. Each Θ is overwritten after everything that reads it, so that its product moves
behind that of the δ below, unless that one writes where this one reads, as it may where f′ does not need a; the other
parameters follow in a kernel. A penalty λ is no factor 1 − η λ of Θ here: in float32 that would round away
the digits of an η λ as small as they are.
"""

from collections.abc import Sequence

from retroprop.backends.cuda.rewrites import product_calls as calls
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, base_of


def with_update(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with the update in the products, None if there is none to be put there."""
    updates = [one for one in plan.recording.operations if one.role.operation == "update"]
    if len(updates) != 1 or updates[0].arguments["state"] or len(updates[0].arguments["hyper"]) != 1:
        return None  # a rule with a state, as momentum, or with more than η
    update = next((one for one in instructions if one.loop and one.nodes[-1].role is updates[0].role), None)
    if update is None or [node.op for node in update.nodes] != ["multiply", "subtract"]:
        return None
    # θ ← θ − η g, in the place of θ
    scaled, new = update.nodes
    old, eta = plan.leaves.in_place.get(new.index), next((o for o in scaled.operands if o.weak), None)
    grad = next((o for o in scaled.operands if o.op == "join"), None)
    if eta is None or grad is None or new.inputs[0] is not old or new.inputs[1] is not scaled:
        return None
    if plan.leaves.joins.get(grad.index, True) or (
        calls.readers(instructions, [grad, *grad.operands]) != [list(instructions).index(update)]
    ):
        return None  # the gradients are read by more than the update
    found = [one for one in instructions if one is not update]
    rest: list[list[tuple[Node, Node]]] = [[]]  # adjacent leaves
    for theta, gradient in zip(old.operands, grad.operands, strict=True):
        if gradient.op == "matmul" and _moved(plan, found, [theta, old], gradient, eta):
            rest.append([])
        else:
            rest[-1].append((theta, gradient))
    if len(rest) == 1:
        return None
    for leaves in filter(None, rest):
        thetas, gradients = zip(*leaves, strict=True)
        found.append(calls.DescentInstruction(node=new, stores=list(thetas), grads=list(gradients), eta=eta))
    return found


def _moved(plan: Plan, instructions: list[Instruction], theta: list[Node], gradient: Node, eta: Node) -> bool:
    """Make the product of a gradient the update of Θ, behind all that reads Θ; return whether that can be."""
    place = next((k for k, one in enumerate(instructions) if one.loop is None and one.nodes[0] is gradient), None)
    if place is None:
        return False
    one = instructions[place]
    call = calls.ProductCall(node=gradient, stores=[theta[0]], result=theta[0], eta=eta)
    if isinstance(one, calls.ProductCall):
        call.kind, call.vector = one.kind, one.vector
    behind = max([place, *calls.readers(instructions, theta)])
    # A loop stays behind the product it works on: δ goes on down the layers before an update.
    follows = behind + 1 < len(instructions) and behind > place and calls.is_product(instructions[behind])
    if follows and any(base_of(o) is instructions[behind].nodes[0] for o in instructions[behind + 1].reads):
        behind += 1
    between = [node for other in instructions[place + 1 : behind + 1] for node in other.stores]
    if not calls.harmless(plan, between, gradient.operands):
        return False
    instructions.insert(behind + 1, call)
    del instructions[place]
    return True
