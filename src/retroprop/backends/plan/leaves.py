"""Parameters, gradients and optimizer state as joined 1-D arrays: which leaves are placed there, and which stay.

A recorded update runs over joins: 1-D arrays made of all leaves. The plan places the leaves in their join in the first
place, so that nothing is copied; parameters and state stay there from step to step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from retroprop.backends.plan.fusion import Shape
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, base_of
from retroprop.backends.record.recorder import Recording
from retroprop.backends.record.table import GIVEN, POINTWISE, VIEWS


@dataclass
class Leaves:
    """The joins of a recording.

    Attributes
    ----------
    kept : dict
        For an argument that stays where it is from step to step, its position among the results.
    joins : dict
        For a join whose leaves are placed in it, by index, whether they are arguments that stay.
    placed : set of int
        Those leaves, by index.
    in_place : dict
        For a node that overwrites the numbers of a join, by index, that join.
    after : dict
        For such a node, by index, the nodes that must run before it: all that read what it overwrites.
    columns_first : set of int
        The nodes, by index, that are in Fortran order because their Θ is.
    """

    kept: dict[int, int] = field(default_factory=dict)
    joins: dict[int, bool] = field(default_factory=dict)
    placed: set[int] = field(default_factory=set)
    in_place: dict[int, Node] = field(default_factory=dict)
    after: dict[int, set[int]] = field(default_factory=dict)
    columns_first: set[int] = field(default_factory=set)


def placed_leaves(recording: Recording, wanted: Sequence[Node], turns: Callable[[Shape], bool]) -> Leaves:
    """Return which leaves are placed in their joins.

    Parameters
    ----------
    recording : Recording
        The step.
    wanted : sequence of Node
        The nodes its results depend on, in order.
    turns : callable
        Whether a Θ of that shape is in Fortran order where it is joined.
    """
    found = Leaves(kept=_kept(recording))
    joins = [node for node in wanted if node.op == "join"]
    _sort_joins(found, recording, joins)
    if all(join.index in found.joins for join in joins):  # else parameters are copied into a join, in C order
        found.columns_first = _turned(joins, wanted, turns)
    _order_overwrites(found, wanted)
    return found


def _kept(recording: Recording) -> dict[int, int]:
    """Find the donated arguments that a result replaces leaf by leaf: argument -> result."""
    found: dict[int, int] = {}
    if not tree.is_branch(recording.results):
        return found
    for argument in recording.donated:
        given = list(tree.leaves(recording.arguments[argument]))
        for position, result in enumerate(recording.results):
            back = list(tree.leaves(result))
            if given and len(back) == len(given) and all(map(_replaces, back, given)):
                found[argument] = position
                break
    return found


def _sort_joins(found: Leaves, recording: Recording, joins: Sequence[Node]) -> None:
    """Separate the joins whose leaves are placed there from those that copy."""
    stay = {leaf.index for argument in found.kept for leaf in tree.leaves(recording.arguments[argument])}
    uses: dict[int, int] = {}
    for join in joins:
        for leaf in join.operands:
            uses[leaf.index] = uses.get(leaf.index, 0) + 1
    for join in joins:
        given = [leaf.op == "input" and leaf.index in stay for leaf in join.operands]
        made = [leaf.op not in (*GIVEN, *VIEWS, "join") for leaf in join.operands]
        once = all(uses[leaf.index] == 1 for leaf in join.operands)  # a leaf has one place
        if once and (all(given) or all(made)):
            found.joins[join.index] = all(given)
            found.placed |= {leaf.index for leaf in join.operands}
    if not stay <= found.placed:  # all of an argument stays where it is, or nothing
        found.kept = {}
        found.joins = {i: False for i, kept in found.joins.items() if not kept}
        nodes = recording.graph.nodes
        found.placed = {leaf.index for i in found.joins for leaf in nodes[i].operands}


def _turned(joins: Sequence[Node], wanted: Sequence[Node], turns: Callable[[Shape], bool]) -> set[int]:
    """Return, by index, the nodes in Fortran order: a Θ that `turns`, its gradient and state, and their operands.

    A join is read and written as a 1-D array, place by place, so leaves of one position must have one order in all.
    """
    if len({tuple(leaf.shape for leaf in join.operands) for join in joins}) != 1:
        return set()
    found: set[int] = set()
    for leaves in zip(*(join.operands for join in joins), strict=True):
        if leaves[0].ndim == 2 and turns(leaves[0].shape):
            waiting = list(leaves)
            while waiting:
                node = waiting.pop()
                found.add(node.index)
                waiting += [o for o in node.operands if o.shape == node.shape and node.op in POINTWISE]
    # A reshape or an index of such an array would no longer be a view.
    reshaped = any(node.op in ("reshape", "index") and node.inputs[0].index in found for node in wanted)
    return set() if reshaped else found


def _order_overwrites(found: Leaves, wanted: Sequence[Node]) -> None:
    """Note which nodes overwrite parameters or state, and all that reads those: it must run before."""
    for node in wanted:
        if node.op != "overwrite" or not found.joins.get(node.inputs[1].index):
            continue
        new, old = node.inputs
        owned = {old.index, *(leaf.index for leaf in old.operands)}
        readers = {
            n.index
            for n in wanted
            if n.op not in (*VIEWS, "join") and any(base_of(o).index in owned for o in n.operands)
        }
        found.after.setdefault(new.index, set()).update(readers - {new.index})
        found.in_place[new.index] = old


def _replaces(back: Node, given: object) -> bool:
    """Return whether a result is the part of the new numbers that takes the place of `given`."""
    return back.op == "part" and back.inputs[0].op == "overwrite" and overwritten(back) is given


def overwritten(part: Node) -> Node | None:
    """Return the leaf of the old numbers whose place a part of the new ones takes, None if it is no leaf's."""
    offset = 0
    for leaf in part.inputs[0].inputs[1].operands:
        if (offset, leaf.shape) == (part.attributes["offset"], part.shape):
            return leaf  # type: ignore[no-any-return]
        offset += leaf.size
    return None
