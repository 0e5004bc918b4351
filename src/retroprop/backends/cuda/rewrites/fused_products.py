"""Alternatives to a product and the loop behind it: cublasLt's relu, and one kernel for both.

cublasLt adds a bias and applies relu for nothing. Its epilogues for the backward pass are not used: on an H100 they
double the time of a large product, and their mask of relu is 1 where z is exactly 0, where f′ is 0 here.
A generated kernel computes a small product by tiles and goes on with the loop; by itself it is a product that may be
faster than cublasLt's. What is faster is measured for each layer.
"""

from collections.abc import Sequence

from retroprop.backends.cuda.kernels.operands import MOST_NODES
from retroprop.backends.cuda.kernels.tile_product import LINE, TILE, is_small
from retroprop.backends.cuda.rewrites.bfloat16 import ROUND, part_rounded
from retroprop.backends.cuda.rewrites.product_calls import Choice, ProductCall, harmless, is_product, readers
from retroprop.backends.plan.fusion import Instruction, Loop
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record.graph import Node, Role, base_of
from retroprop.backends.record.recorder import RecordedOperation
from retroprop.backends.record.table import FUSED_REDUCTIONS, GIVEN, VIEWS
from retroprop.functions.activations import ReLU


def with_relu(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with relu as a choice in every forward product that may have it, None if none may.

    cublasLt's relu makes 0 of NaN, so this is done only where less than the highest precision is asked for.
    """
    found = list(instructions)
    for affine in plan.recording.operations:
        # By the type of f, so that no object from outside is taken for relu.
        if affine.role.operation == "affine" and type(affine.role.function) is ReLU:
            place = next((k for k, one in enumerate(found) if is_product(one) and one.nodes[0].role is affine.role), -1)
            call = _relu(plan, found, place, affine) if 0 <= place < len(found) - 1 else None
            if call is not None:
                found[place : place + 2] = [_choice((found[place], found[place + 1]), (call,))]
    return found if len(found) < len(instructions) else None


def with_tiles(most: int, plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with one kernel as a choice for products of at most `most` terms, None without any."""
    found: list[Instruction] = []
    waiting, changed = list(instructions), False
    while waiting:
        one, rest = waiting[0], waiting[1:]
        ways = one.ways if isinstance(one, Choice) else ((one, *rest[:1]), (one,)) if is_product(one) else ()
        tile = next(filter(None, (_tile(plan, instructions, way, most) for way in ways)), None)
        if tile is not None and isinstance(one, Choice):
            one = _choice(*one.ways, (tile,))
        elif tile is not None:
            apart = (one, *rest[: len(tile.nodes) > 1])
            one, rest = _choice(apart, (tile,)), rest[len(apart) - 1 :]
        changed |= tile is not None
        found.append(one)
        waiting = rest
    return found if changed else None


def with_sums(plan: Plan, instructions: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions with ∂J/∂b = Σ_rows δ in the kernels of ∂J/∂Θ = δᵀ a, None where none is one of tiles.

    There a block has read all rows of its part of δ; the loop that computes δ would have to wait for its other blocks.
    """
    found = [one for given in instructions for one in _taken(given)]
    changed = False
    for place, one in enumerate(found):
        if one.loop is None or one.nodes[0].op != "matmul":
            continue
        product = one.nodes[0]
        delta = base_of(product.operands[0])
        made = next((k for k, other in enumerate(found[:place]) if _indices(other.stores) & {delta.index}), None)
        # Of δΘ the first operand is δ itself, in a square form too.
        if made is None or product.operands[0].op != "transpose" or found[made].loop is None:
            continue
        loop = found[made].loop
        assert loop is not None
        totals = [
            node for node in loop.nodes
            if loop.kinds[node.index] == "column" and node.op == "sum" and node.inputs[0] is delta
            and node.dtype == product.dtype and min(readers(found, [node]), default=place) > place
        ]  # fmt: skip
        if totals:
            moved, whole = _indices(totals), one.loop
            rest = tuple([node for node in loop.nodes if node.index not in moved])
            found[made] = Instruction(
                loop=loop._replace(nodes=rest), stores=[n for n in found[made].stores if n.index not in moved]
            )
            whole = whole._replace(
                nodes=(*whole.nodes, *totals),
                kinds=whole.kinds | dict.fromkeys(moved, LINE),
                stages=whole.stages | dict.fromkeys(moved, 0),
            )
            found[place] = Instruction(loop=whole, stores=[*one.stores, *totals])
            changed = True
    return found if changed else None


def _taken(one: Instruction) -> tuple[Instruction, ...]:
    return one.ways[one.taken] if isinstance(one, Choice) and one.taken is not None else (one,)


def _indices(nodes: Sequence[Node]) -> set[int]:
    return {node.index for node in nodes}


def _choice(*ways: tuple[Instruction, ...]) -> Choice:
    stores = {node.index: node for way in ways for one in way for node in one.stores}
    return Choice(node=ways[0][0].nodes[0], stores=list(stores.values()), ways=ways)


def _tile(
    plan: Plan, instructions: Sequence[Instruction], way: tuple[Instruction, ...], most: int
) -> Instruction | None:
    """Return a product, and the loop behind it if there is one, as one loop; None if they cannot be that."""
    if not is_product(way[0]):
        return None
    product, behind = way[0].nodes[0], way[1] if len(way) > 1 else None
    (m, k), n = product.operands[0].shape, product.shape[1]
    whole = Loop(product.shape, (product,), {product.index: "full"}, {product.index: 0})
    if any(o.dtype != product.dtype for o in product.operands) or not is_small(m, k, n, most):
        return None
    if behind is None:
        return Instruction(loop=whole, stores=[product])
    loop = behind.loop
    if loop is None or loop.domain != product.shape or len(loop.nodes) >= MOST_NODES:
        return None
    read = [o for node in loop.nodes for o in node.operands if base_of(o) is product]
    by_rows = any(node.op in FUSED_REDUCTIONS and loop.kinds[node.index] == "row" for node in loop.nodes)
    if not read or any(o is not product for o in read) or (by_rows and n > TILE):
        return None  # not the loop of this product, or a row is longer than a tile
    # What others read of the product itself is stored as well. Other blocks still read the operands.
    others = [k for k in readers(instructions, [product]) if behind not in _parts(instructions[k])]
    wanted = bool(others) or product.index in {base_of(o).index for o in plan.outputs}
    stores = [*([product] if wanted else []), *behind.stores]
    if not harmless(plan, stores, product.operands):
        return None
    kinds, stages = whole.kinds | loop.kinds, whole.stages | loop.stages
    return Instruction(loop=Loop(loop.domain, (product, *loop.nodes), kinds, stages), stores=stores)


def _parts(one: Instruction) -> list[Instruction]:
    return [part for way in one.ways for part in way] if isinstance(one, Choice) else [one]


def _relu(plan: Plan, instructions: list[Instruction], place: int, affine: RecordedOperation) -> ProductCall | None:
    """Return f(product + bias) as a call, None if the product and the loop are not that, or memory forbids it."""
    one, loop = instructions[place : place + 2]
    if loop.loop is None or not _is_rest_of(plan, loop, one.nodes[0], affine.role):
        return None
    (_, a), bias = affine.results, affine.arguments["bias"]
    # a^(l+1) = f(z^(l+1)),  z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l)
    if loop.nodes[-1].op == ROUND:
        # What the next product takes is written in place of float32; then the bias is bfloat16 as well.
        a, bias = loop.nodes[-1], None if bias is None else part_rounded(plan, bias)
    if bias is None and affine.arguments["bias"] is not None:
        return None  # its rounded form is nowhere
    call = ProductCall(
        node=one.nodes[0], stores=[a], result=a, kind="relu" if bias is None else "relu_bias", vector=bias
    )
    # The bare product is no longer stored, so nothing else may read it.
    alone = _indices(loop.stores) == {a.index} and len(readers(instructions, one.nodes)) == 1
    return call if alone and harmless(plan, call.stores, call.reads) else None


def _is_rest_of(plan: Plan, loop: Instruction, product: Node, role: Role) -> bool:
    """Return whether a loop computes the rest of the role of a product and no more.

    A penalty, a mask of dropout or the loss in the same loop are of other roles, and leave the layer as it is.
    """
    rest = {n.index for n in plan.wanted if n.role is role and n.op not in (*VIEWS, *GIVEN) and n is not product}
    return _indices(loop.nodes) == rest
