"""Parameters, gradients and state as rows of numbers: which leaf lies where in them, and in which order its numbers."""

from collections.abc import Callable, Sequence

from retroprop.backends.plan.fusion import Shape
from retroprop.backends.record.graph import POINTWISE, Node


def turned(joins: Sequence[Node], wanted: Sequence[Node], turns: Callable[[Shape], bool]) -> set[int]:
    """Return, by index, what lies columns first: a Θ that `turns`, its gradient and state, what these are made of.

    The joins are read and written as rows of numbers, place by place, so their leaves must lie alike.
    """
    if len({tuple(leaf.shape for leaf in join.operands) for join in joins}) != 1:
        return set()
    made = (*POINTWISE, "where", "astype")
    found: set[int] = set()
    for leaves in zip(*(join.operands for join in joins), strict=True):
        if leaves[0].ndim == 2 and turns(leaves[0].shape):
            waiting = list(leaves)
            while waiting:
                node = waiting.pop()
                found.add(node.index)
                waiting += [o for o in node.operands if o.shape == node.shape and node.op in made]
    reshaped = any(node.op in ("reshape", "index") and node.inputs[0].index in found for node in wanted)
    return set() if reshaped else found


def replaces(back: Node, given: object) -> bool:
    """Return whether a result is a part of the new numbers that lies where `given` lies in the old ones."""
    return back.op == "part" and back.inputs[0].op == "overwrite" and overwritten(back) is given


def overwritten(part: Node) -> Node | None:
    """Return the leaf of the old numbers whose place a part of the new ones takes, None if it is no leaf's."""
    offset = 0
    for leaf in part.inputs[0].inputs[1].operands:
        if (offset, leaf.shape) == (part.attr("offset"), part.shape):
            return leaf  # type: ignore[no-any-return]
        offset += leaf.size
    return None
