"""What is done in which order, and which array lies where."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from retroprop.backends.plan import leaf_layout as layout
from retroprop.backends.plan.fusion import Loop, Shape, base_of, casts_data, fuse, written_last
from retroprop.backends.plan.placement import Need, place
from retroprop.backends.record import tree
from retroprop.backends.record.graph import VIEWS, Node, NotTraceableError, reached
from retroprop.backends.record.recorder import Recording

GIVEN = ("input", "number", "constant")


@dataclass(eq=False)
class Instruction:
    """One call of a function of the library, or one loop.

    Attributes
    ----------
    node, loop
        Which.
    stores : list of Node
        What it writes for others to read.
    by_columns : bool
        Whether a loop walks over columns, with the rows inside: over matrices that lie columns first.
    scratch : dict
        The memory a loop needs for itself: for a node, by index, a row or a column of numbers.
    """

    node: Node | None = None
    loop: Loop | None = None
    stores: list[Node] = field(default_factory=list)
    by_columns: bool = False
    scratch: dict[int, "Cell"] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What it computes, kept or not."""
        return self.loop.nodes if self.loop is not None else (self.node,)  # type: ignore[return-value]

    @cached_property
    def reads(self) -> list[Node]:
        """The nodes it reads that others made or gave, views as they are read."""
        own = {node.index for node in self.nodes}
        found = {o.index: o for node in self.nodes for o in node.operands if base_of(o).index not in own}
        return list(found.values())


@dataclass(eq=False)
class Cell:
    """A stretch of memory: part of the block, or `kept` from step to step.

    Attributes
    ----------
    nbytes : int
        Its size.
    first, last : int
        The instructions between which it is needed.
    kept : int or None
        Its number among those that keep parameters and state, None for a part of the block.
    offset : int
        Where in the block.
    """

    nbytes: int
    first: int = 1 << 30
    last: int = -1
    kept: int | None = None
    offset: int = 0

    def touch(self, at: int) -> None:
        """Take note that instruction `at` writes or reads it."""
        self.first, self.last = min(self.first, at), max(self.last, at)


class Place(NamedTuple):
    """Where the numbers of a node lie: so many of its dtype into a cell, rows first unless `columns_first`."""

    cell: Cell
    offset: int = 0
    columns_first: bool = False


class Plan:
    """A recording in order, with a place for every array.

    Parameters
    ----------
    recording : Recording
        What is planned.
    can : callable
        Whether a node may be computed in a loop.
    fits : callable
        Whether a loop is one that is wanted.
    columns_first : callable
        Whether a matrix of that shape lies columns first.
    turns : callable
        Whether a Θ of that shape, its gradient and its state do, where they are joined.

    Attributes
    ----------
    graph : Graph
        The record.
    outputs, wanted : list of Node
        The results, and all that they are made of, in the order of the record.
    instructions : list of Instruction
        In order.
    places : dict
        By index of the node.
    turned : set of int
        The nodes, by index, that lie columns first because their Θ does.
    join_kept : dict
        For a join whose leaves lie in it, by index, whether they are arguments that stay.
    placed : set of int
        Those leaves, by index.
    in_place : dict
        For a node, by index, the join whose numbers it overwrites.
    kept : dict
        For an argument that stays where it is from step to step, its place among the results.
    copied : list of Node
        The arguments that are copied into the block first.
    nbytes : int
        The size of the block.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        can: Callable[[Node], bool],
        fits: Callable[[Loop], bool],
        columns_first: Callable[[Shape], bool],
        turns: Callable[[Shape], bool] = lambda shape: False,
    ) -> None:
        self.recording, self.graph, self._columns_first = recording, recording.graph, columns_first
        self.outputs: list[Node] = list(tree.leaves(recording.results))
        self.wanted = reached(self.outputs)
        self.kept = self._kept()
        self._joins()
        self.turned = self._turned(turns)
        after = self._before_overwriting()
        loops = fuse(self.graph, self.wanted, after, can, fits)
        self.instructions = self._ordered(loops, after)
        self._stores()
        self.places: dict[int, Place] = {}
        self.copied: list[Node] = []
        self._settle()

    # Arguments that stay -------------------------------------------------------------------------------------

    def _kept(self) -> dict[int, int]:
        """Find the donated arguments that a result replaces number by number: argument -> result."""
        found: dict[int, int] = {}
        results = self.recording.results
        if not tree.is_branch(results):
            return found
        for argument in self.recording.donated:
            given = list(tree.leaves(self.recording.arguments[argument]))
            for number, result in enumerate(results):
                back = list(tree.leaves(result))
                if given and len(back) == len(given) and all(map(layout.replaces, back, given)):
                    found[argument] = number
                    break
        return found

    def _joins(self) -> None:
        """Sort the joins: `placed` ones, whose leaves are made there, and those that copy."""
        stay = {leaf.index for argument in self.kept for leaf in tree.leaves(self.recording.arguments[argument])}
        joins = [node for node in self.wanted if node.op == "join"]
        uses: dict[int, int] = {}
        for join in joins:
            for leaf in join.operands:
                uses[leaf.index] = uses.get(leaf.index, 0) + 1
        placed: set[int] = set()  # leaves that lie in their join
        self.join_kept: dict[int, bool] = {}
        for join in joins:
            given = [leaf.op == "input" and leaf.index in stay for leaf in join.operands]
            made = [leaf.op not in (*GIVEN, *VIEWS, "join") for leaf in join.operands]
            once = all(uses[leaf.index] == 1 for leaf in join.operands)
            if once and (all(given) or all(made)):
                self.join_kept[join.index] = all(given)
                placed |= {leaf.index for leaf in join.operands}
        if not stay <= placed:  # all of an argument stays where it is, or nothing
            self.kept = {}
            self.join_kept = {i: False for i, kept in self.join_kept.items() if not kept}
        self.placed = {leaf.index for i in self.join_kept for leaf in self.graph.nodes[i].operands}

    def _turned(self, turns: Callable[[Shape], bool]) -> set[int]:
        """Return what lies columns first as its Θ does; nothing where parameters are copied into a row of numbers."""
        joins = [node for node in self.wanted if node.op == "join"]
        return layout.turned(joins, self.wanted, turns) if all(j.index in self.join_kept for j in joins) else set()

    def _before_overwriting(self) -> dict[int, set[int]]:
        """Return, for a node that overwrites parameters or state, everything that reads them."""
        after: dict[int, set[int]] = {}
        self.in_place: dict[int, Node] = {}  # new -> the join it overwrites
        for node in self.wanted:
            if node.op != "overwrite" or not self.join_kept.get(node.inputs[1].index):
                continue
            new, old = node.inputs
            owned = {old.index, *(leaf.index for leaf in old.operands)}
            readers = {
                n.index
                for n in self.wanted
                if n.op not in (*VIEWS, "join") and any(base_of(o).index in owned for o in n.operands)
            }
            after.setdefault(new.index, set()).update(readers - {new.index})
            self.in_place[new.index] = old
        return after

    # Order ---------------------------------------------------------------------------------------------------

    def _ordered(self, loops: list[Loop], after: dict[int, set[int]]) -> list[Instruction]:
        instructions = [Instruction(loop=loop) for loop in loops]
        looped = {node.index for loop in loops for node in loop.nodes}
        for node in self.wanted:
            skipped = node.op in (*GIVEN, *VIEWS) or node.weak or node.index in looped
            if not skipped and not (node.op == "join" and node.index in self.join_kept):
                instructions.append(Instruction(node=node))
        maker = {node.index: k for k, one in enumerate(instructions) for node in one.nodes}
        needs: list[set[int]] = []
        for k, one in enumerate(instructions):
            sources = {base_of(o).index for o in one.reads}
            for i in list(sources):  # a join that is no instruction: the makers of its leaves
                if i in self.join_kept:
                    sources |= {leaf.index for leaf in self.graph.nodes[i].operands}
            for node in one.nodes:
                sources |= after.get(node.index, set())
            needs.append({maker[i] for i in sources if i in maker} - {k})
        done: set[int] = set()
        order: list[Instruction] = []
        waiting = sorted(range(len(instructions)), key=lambda k: instructions[k].nodes[0].index)
        while waiting:
            ready = next((k for k in waiting if needs[k] <= done), None)
            if ready is None:
                raise NotTraceableError("the step reads what it overwrites.")
            order.append(instructions[ready])
            done.add(ready)
            waiting.remove(ready)
        return order

    def _stores(self) -> None:
        """Find which nodes of the loops others read, and how the loops walk."""
        read = {base_of(o).index for one in self.instructions for o in one.reads}
        read |= {base_of(o).index for o in self.outputs} | self.placed
        for one in self.instructions:
            one.stores = [n for n in one.nodes if one.loop is None or n.index in read]
            if one.loop is None:
                continue
            shaped = {i.index for n in one.nodes for i in (n, *n.operands) if i.shape == one.loop.domain}
            one.by_columns = self._columns_first(one.loop.domain) or bool(shaped & self.turned)
            if one.by_columns:
                one.stores += crossing(one)  # a whole column lies between two walks over a row

    # Places --------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Give every node a place, then every cell of the block an offset."""
        cells: list[Cell] = []
        n_kept = 0

        def cell(nbytes: int, *, kept: bool = False) -> Cell:
            nonlocal n_kept
            cells.append(Cell(nbytes, kept=n_kept if kept else None))
            n_kept += kept
            return cells[-1]

        for index, kept in self.join_kept.items():
            join = self.graph.nodes[index]
            home = cell(join.nbytes, kept=kept)
            self.places[index], offset = Place(home), 0
            for leaf in join.operands:
                self.places[leaf.index] = Place(home, offset, leaf.index in self.turned)
                offset += leaf.size
        for new, old in self.in_place.items():
            self.places[new] = self.places[old.index]
        last = self._last_reads()
        end = len(self.instructions)
        for at, one in enumerate(self.instructions):
            for node in one.stores:
                if node.index not in self.places:
                    found = self._reused(one, node, at, last)
                    self.places[node.index] = found or Place(cell(node.nbytes), 0, self._lies(node))
                self.places[node.index].cell.touch(at)
            for node in one.reads:
                base = base_of(node)
                if base.op == "input" and one.loop is not None and base.index not in self.places:
                    # A loop is compiled for one kind of array; what a caller gives may be strided or read-only.
                    self.places[base.index] = Place(cell(base.nbytes), 0, self._lies(base))
                    self.places[base.index].cell.touch(0)
                    self.copied.append(base)
                if base.index in self.places:
                    self.places[base.index].cell.touch(at)
            if one.loop is not None:
                one.scratch = {node.index: cell(nbytes) for node, nbytes in self._scratch(one)}
                for some in one.scratch.values():
                    some.touch(at)
        for node in self.outputs:
            base = base_of(node)
            if base.index in self.places:
                self.places[base.index].cell.touch(end)
        block = [c for c in cells if c.kept is None]
        offsets, self.nbytes = place([Need(c.nbytes, c.first, c.last) for c in block])
        for c, offset in zip(block, offsets, strict=True):
            c.offset = offset

    def _lies(self, node: Node) -> bool:
        """Return whether a node lies columns first: not what a library writes row by row, nor data."""
        by_rows = node.op in ("gather", "matmul") or casts_data(node)
        by_shape = not by_rows and self._columns_first(node.shape)
        return by_shape or node.index in self.turned

    def _scratch(self, one: Instruction) -> list[tuple[Node, int]]:
        """Return what a loop keeps to itself, and its bytes: of a row between two walks, or a number for each row."""
        assert one.loop is not None
        if one.by_columns:
            stored = {node.index for node in one.stores}
            rows = [n for n in one.loop.nodes if one.loop.kinds[n.index] == "row" and n.index not in stored]
            return [(node, node.nbytes) for node in rows]
        return [(node, node.nbytes // max(node.shape[0], 1)) for node in crossing(one)]

    def _last_reads(self) -> dict[int, int]:
        """Return, by index of a node that is stored, the last instruction that reads it."""
        last: dict[int, int] = {}
        for at, one in enumerate(self.instructions):
            for node in one.reads:
                last[base_of(node).index] = at
        for node in self.outputs:
            last[base_of(node).index] = len(self.instructions)
        return last

    def _reused(self, one: Instruction, node: Node, at: int, last: dict[int, int]) -> Place | None:
        """Return the place of an operand that is read here for the last time, if `node` may overwrite it."""
        elementwise = one.loop is not None or node.op in _IN_PLACE
        if not elementwise:
            return None
        taken = {(id(self.places[s.index].cell), self.places[s.index].offset)
                 for s in one.stores if s.index in self.places}  # fmt: skip
        # The one written last: a product's result is in the cache, and an activation may be in another core's as well,
        # which a write would have to call back.
        for operand in sorted(one.reads, key=lambda read: -base_of(read).index):
            here = self.places.get(operand.index)
            free = (
                here is not None
                and here.cell.kept is None
                and operand.index not in self.placed
                and operand.op != "join"
                and last.get(operand.index) == at
                and (id(here.cell), here.offset) not in taken
            )
            seen = any(read is not operand and base_of(read) is operand for read in one.reads)  # as a view, too
            same = not seen and operand.shape == node.shape and operand.dtype == node.dtype
            same = same and here is not None and here.columns_first == self._lies(node)
            if free and same and (one.loop is None or written_last(one.loop, operand, node)):
                return here
        return None


_IN_PLACE = {
    "add", "subtract", "multiply", "divide", "negative", "abs", "square", "sqrt", "exp", "expm1", "log", "log1p",
    "tanh", "maximum", "minimum",
}  # fmt: skip


def crossing(one: Instruction) -> list[Node]:
    """Return the numbers of a row that a later walk over it needs, and that are stored nowhere."""
    if one.loop is None or len(one.loop.domain) != 2:
        return []
    kinds, stages = one.loop.kinds, one.loop.stages
    stored = {node.index for node in one.stores}
    late = {
        o.index
        for node in one.loop.nodes
        for o in node.operands
        if kinds.get(o.index) == "full" and kinds[node.index] == "full" and stages[node.index] > stages[o.index]
    }
    return [node for node in one.loop.nodes if node.index in late and node.index not in stored]
