"""Gelu and its derivative within products: a rewrite of each layer between two products whose f is `gelu_tanh`.

cublasLt's gelu is that form. On the way forward it leaves z^(l), on the way back it reads it: so both ways of a layer
are calls, or neither is, and what the loops handed on besides is neither written nor read.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from retroprop.backends.cuda.rewrites.product_calls import ProductCall, among, harmless, is_product, readers
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node
from retroprop.backends.record.symbols import Symbols
from retroprop.functions.activations import GELUTanh

LEADING = 8  # numbers, of which z's rows must be a multiple


def gelus(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with every gelu that can be in the products around it, None if there is none."""
    found = list(instructions)
    ways = [_forward(plan, found, k) for k in range(len(found) - 1)]
    for forward in [way for way in ways if way is not None]:
        backward = next(
            (b for k in range(len(found) - 1) if (b := _backward(plan, found, k, forward)) is not None), None
        )
        if backward is None:
            continue
        for call in (forward, backward):
            place = next(k for k, one in enumerate(found) if one.nodes[0] is call.nodes[0])
            found[place : place + 2] = [call]
    return found if len(found) < len(instructions) else None


def _forward(plan: Plan, instructions: list[Instruction], place: int) -> ProductCall | None:
    """Return gelu(product + bias) as a call that leaves z."""
    one, loop = instructions[place : place + 2]
    if not is_product(one) or loop.loop is None:
        return None
    product, first = one.nodes[0], loop.nodes[0]
    biased = first.op == "add" and among(product, first.operands)
    # z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
    z, bias = (first, next((i for i in first.operands if i is not product), None)) if biased else (product, None)
    a = next((node for node in loop.stores if _is(node, _formulas()[0], z)), None)
    if a is None or z.shape[1] % LEADING or (biased and (bias is None or bias.size != z.shape[1])):
        return None
    if biased and readers(instructions, [product]) != [place + 1]:
        return None
    kind = "gelu_aux_bias" if biased else "gelu_aux"
    call = ProductCall(node=product, stores=[z, a], result=a, kind=kind, vector=bias, aux=z)
    apart = harmless(plan, [a], [z]) and harmless(plan, [z, a], product.operands)
    return call if apart and z.index in plan.places else None


def _backward(plan: Plan, instructions: list[Instruction], place: int, forward: ProductCall) -> ProductCall | None:
    """Return product ∘ gelu′(z) and its sums as a call, if nothing else reads what the loop on the way forward left."""
    one, loop = instructions[place : place + 2]
    z = forward.aux
    if not is_product(one) or loop.loop is None or z is None:
        return None
    product = one.nodes[0]
    delta = next((n for n in loop.nodes if n.op == "multiply" and among(product, n.operands)), None)
    others = [] if delta is None else [n for n in delta.operands if n is not product]
    # δ^(l) = (δ^(l+1) Θ^(l)) ∘ f′(z^(l))
    if delta is None or len(others) != 1 or not _is(others[0], _formulas()[1], z):
        return None
    totals = [n for n in loop.stores if n is not delta]
    sums = all(n.op == "sum" and n.inputs[0] is delta and n.attributes["axes"] == (0,) and n.ndim == 1 for n in totals)
    if not among(delta, loop.stores) or len(totals) > 1 or not sums or readers(instructions, [product]) != [place + 1]:
        return None
    before = next(k for k, other in enumerate(instructions) if other.nodes[0] is forward.nodes[0])
    left = [n for n in instructions[before + 1].stores if n is not forward.result and n is not z]
    if any(k not in (before + 1, place + 1) for k in readers(instructions, left)):
        return None
    kind = "dgelu_bgrad" if totals else "dgelu"
    call = ProductCall(
        node=product, stores=[delta, *totals], result=delta, kind=kind, vector=totals[0] if totals else None, aux=z
    )
    return call if harmless(plan, call.stores, [*product.operands, z]) else None


@lru_cache(maxsize=1)
def _formulas() -> tuple[Node, Node]:
    """Return gelu and its derivative, as recorded of a z."""
    xp = Symbols()
    z = xp.graph.given("input", (2, 3), "float32")
    gelu = GELUTanh()
    return gelu.value(z, xp), gelu.derivative(z, gelu.value(z, xp), xp)


def _is(value: Any, formula: Any, z: Node) -> bool:
    """Return whether a node is a formula of z."""
    if not isinstance(formula, Node):
        return type(value) is type(formula) and value == formula
    if not isinstance(value, Node):
        return False
    if formula.op == "input":
        return value is z
    alike = (
        value.op == formula.op and value.attributes == formula.attributes and len(value.inputs) == len(formula.inputs)
    )
    return alike and all(_is(v, f, z) for v, f in zip(value.inputs, formula.inputs, strict=True))
