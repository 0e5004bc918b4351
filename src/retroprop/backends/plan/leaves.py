"""Parameters, gradients and optimizer state as joined 1-D arrays: which leaves are placed there, and which stay.

A recorded update runs over joins: 1-D arrays made of all leaves. The plan places the leaves in their join in the first
place, so that nothing is copied; parameters and state stay there from step to step.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from retroprop.backends.plan.fusion import Shape
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, base_of
from retroprop.backends.record.recorder import Recording
from retroprop.backends.record.table import GIVEN, POINTWISE, VIEWS


class Leaves:
    """The joins among the nodes that a recording's results depend on, and which leaves are placed in them.

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
    fortran : set of int
        The nodes, by index, that are in Fortran order because their Θ is.
    """

    def __init__(self, recording: Recording, wanted: Sequence[Node], theta_fortran: Callable[[Shape], bool]) -> None:
        joins = [node for node in wanted if node.op == "join"]
        self.kept = _kept(recording)
        # The leaves of arguments whose new values take their place: their memory lasts from step to step.
        stay = {leaf.index for argument in self.kept for leaf in tree.leaves(recording.arguments[argument])}
        self.joins = _joined(joins, stay)
        if sum(len(join.operands) for join in joins if self.joins.get(join.index)) < len(stay):
            # All of an argument stays where it is, or nothing.
            self.kept, self.joins = {}, {i: False for i, kept in self.joins.items() if not kept}
        self.placed = {leaf.index for join in joins if join.index in self.joins for leaf in join.operands}
        in_place = len(self.joins) == len(joins)  # else parameters are copied into a join, in C order
        self.fortran = _turned(joins, wanted, theta_fortran) if in_place else set()
        self.in_place: dict[int, Node] = {}
        self.after: dict[int, set[int]] = {}
        self._order_overwrites(wanted)

    def _order_overwrites(self, wanted: Sequence[Node]) -> None:
        """Note which nodes overwrite parameters or state, and all that reads those: it must run before."""
        # A view is no reader: who reads through it counts, with the base it reaches.
        made = [node for node in wanted if node.op not in (*VIEWS, "join")]
        reads = [(node.index, {base_of(operand).index for operand in node.operands}) for node in made]
        for node in wanted:
            if node.op == "overwrite" and self.joins.get(node.inputs[1].index):
                new, old = node.inputs
                owned = {old.index, *[leaf.index for leaf in old.operands]}
                readers = {i for i, read in reads if owned & read}
                self.after.setdefault(new.index, set()).update(readers - {new.index})
                self.in_place[new.index] = old


def _kept(recording: Recording) -> dict[int, int]:
    """Find the donated arguments that a result replaces leaf by leaf: argument -> result."""
    found: dict[int, int] = {}
    results = recording.results if tree.is_branch(recording.results) else ()
    for argument in recording.donated:
        given = tree.leaves(recording.arguments[argument])
        for position, back in enumerate(map(tree.leaves, results)):
            if given and len(back) == len(given) and all(map(_replaces, back, given)):
                found[argument] = position
                break
    return found


def _joined(joins: Sequence[Node], stay: set[int]) -> dict[int, bool]:
    """Return the joins whose leaves are placed there, not copied, and whether the leaves are arguments that stay."""
    found = {}
    uses = Counter(leaf.index for join in joins for leaf in join.operands)
    for join in joins:
        given = all(leaf.op == "input" and leaf.index in stay for leaf in join.operands)
        made = all(leaf.op not in (*GIVEN, *VIEWS, "join") for leaf in join.operands)
        if (given or made) and all(uses[leaf.index] == 1 for leaf in join.operands):  # a leaf has one place
            found[join.index] = given
    return found


def _turned(joins: Sequence[Node], wanted: Sequence[Node], theta_fortran: Callable[[Shape], bool]) -> set[int]:
    """Return, by index, the nodes in Fortran order: such a Θ, its gradient and state, and their operands.

    A join is read and written as a 1-D array, place by place, so leaves of one position must have one order in all.
    """
    if len({tuple(leaf.shape for leaf in join.operands) for join in joins}) != 1:
        return set()
    found: set[int] = set()
    for leaves in zip(*(join.operands for join in joins), strict=True):
        if leaves[0].ndim == 2 and theta_fortran(leaves[0].shape):
            # What is computed elementwise from a leaf in the same order needs no copy between them.
            waiting = list(leaves)
            while waiting:
                node = waiting.pop()
                found.add(node.index)
                waiting += [o for o in node.operands if o.shape == node.shape and node.op in POINTWISE]
    # A reshape or an index of such an array would no longer be a view.
    reshaped = any(node.op in ("reshape", "index") and node.inputs[0].index in found for node in wanted)
    return set() if reshaped else found


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
