"""A recorded step in order, with a place for every array."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from retroprop.backends.plan.fusion import Instruction, Loop, Shape, casts_data, crossing, fuse, written_last
from retroprop.backends.plan.leaves import Leaves
from retroprop.backends.plan.places import Cell, Place, settle
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError, base_of, reached
from retroprop.backends.record.recorder import Recording
from retroprop.backends.record.table import GIVEN, VIEWS


class Rules(NamedTuple):
    """The rules of a target for its plans.

    Attributes
    ----------
    can : callable
        Whether a node may be computed in a loop.
    fits : callable
        Whether a loop is one the target wants.
    fortran : callable
        Whether a matrix of that shape is in Fortran order.
    theta_fortran : callable
        Whether a Θ of that shape, its gradient and its state are, where they are joined.
    """

    can: Callable[[Node], bool] = lambda node: False
    fits: Callable[[Loop], bool] = lambda loop: False
    fortran: Callable[[Shape], bool] = lambda shape: False
    theta_fortran: Callable[[Shape], bool] = lambda shape: False


class Plan:
    """A recording in order, with a place for every array, by the rules of a target.

    Attributes
    ----------
    outputs, wanted : list of Node
        The results, and every node they depend on, in the order of the record.
    leaves : Leaves
        Which leaves are placed in the joins of the update, and which arguments stay.
    instructions : list of Instruction
        In order; `places` are by index of the node.
    copied : list of Node
        The arguments that are copied into the block first.
    nbytes : int
        The size of the block.
    """

    def __init__(self, recording: Recording, rules: Rules) -> None:
        self.recording, self.graph, self._rules = recording, recording.graph, rules
        self.outputs: list[Node] = tree.leaves(recording.results)
        self._returned = {base_of(node).index for node in self.outputs}
        self.wanted = reached(self.outputs)
        self.leaves = Leaves(recording, self.wanted, rules.theta_fortran)
        self.instructions = self._ordered(fuse(self.wanted, self.leaves.after, rules.can, rules.fits))
        self._stores()
        self.places: dict[int, Place] = {}
        self.copied: list[Node] = []
        self._cells: list[Cell] = []
        self._place_joins()
        self._place_instructions()
        self.nbytes = settle([cell for cell in self._cells if cell.kept is None])

    @cached_property
    def cost(self) -> Node | None:
        """The one result without axes, None if there is none or more than one."""
        single = [node for node in self.outputs if not node.shape and node.dtype.name in ("float32", "float64")]
        return single[0] if len(single) == 1 and single[0].op not in ("input", "constant") else None

    @cached_property
    def rows(self) -> Node | None:
        """The argument with the numbers of the gathered rows, None if nothing is gathered."""
        found = {node.inputs[1].index: node.inputs[1] for node in self.wanted if node.op == "gather"}
        if len(found) > 1 or any(node.op != "input" or node.ndim != 1 for node in found.values()):
            raise NotTraceableError("rows are gathered in more ways than one.")
        return next(iter(found.values()), None)

    # Order ---------------------------------------------------------------------------------------------------

    def _ordered(self, loops: list[Loop]) -> list[Instruction]:
        """Return loops and single nodes in an order in which each finds its operands, close to that of the record."""
        # A join whose leaves are placed in it needs no call, and views and arguments are there already.
        covered = self.leaves.joins.keys() | {node.index for loop in loops for node in loop.nodes}
        calls = [n for n in self.wanted if n.op not in (*GIVEN, *VIEWS) and not n.weak and n.index not in covered]
        instructions = [*(Instruction(loop=loop) for loop in loops), *(Instruction(node=node) for node in calls)]
        instructions.sort(key=lambda one: one.nodes[0].index)
        needs = self._dependencies(instructions)
        done: set[int] = set()
        order: list[Instruction] = []
        waiting = list(range(len(instructions)))
        while waiting:
            ready = next((k for k in waiting if needs[k] <= done), None)
            if ready is None:
                raise NotTraceableError("the step reads what it overwrites.")
            order.append(instructions[ready])
            done.add(ready)
            waiting.remove(ready)
        return order

    def _dependencies(self, instructions: list[Instruction]) -> list[set[int]]:
        """Return for each instruction the positions of those that must run before it."""
        maker = {node.index: k for k, one in enumerate(instructions) for node in one.nodes}
        needs = []
        for k, one in enumerate(instructions):
            sources = set(one.sources)
            for i in one.sources & self.leaves.joins.keys():  # no instruction makes it: it is there when its leaves are
                sources.update(leaf.index for leaf in self.graph.nodes[i].operands)
            for node in one.nodes:
                sources |= self.leaves.after.get(node.index, set())
            needs.append({maker[i] for i in sources if i in maker} - {k})
        return needs

    def _stores(self) -> None:
        """Find which nodes of the loops others read, and how the loops walk."""
        read = self._returned.union(self.leaves.placed, *(one.sources for one in self.instructions))
        for one in self.instructions:
            one.stores = [n for n in one.nodes if one.loop is None or n.index in read]
            if one.loop is None:
                continue
            shaped = {i.index for n in one.nodes for i in (n, *n.operands) if i.shape == one.loop.domain}
            one.by_columns = self._rules.fortran(one.loop.domain) or bool(shaped & self.leaves.fortran)
            if one.by_columns:
                one.stores += crossing(one)  # a whole column lies between two walks over a row

    # Places --------------------------------------------------------------------------------------------------

    def _cell(self, nbytes: int, *, kept: int | None = None) -> Cell:
        self._cells.append(Cell(nbytes, kept=kept))
        return self._cells[-1]

    def _place_joins(self) -> None:
        """Place each join as one cell, its leaves one after another in it; an array that replaces it has its place."""
        n_kept = 0
        for index, kept in self.leaves.joins.items():
            join = self.graph.nodes[index]
            home = self._cell(join.nbytes, kept=n_kept if kept else None)
            n_kept += kept
            self.places[index], offset = Place(home), 0
            for leaf in join.operands:
                self.places[leaf.index] = Place(home, offset, leaf.index in self.leaves.fortran)
                offset += leaf.size
        for new, old in self.leaves.in_place.items():
            self.places[new] = self.places[old.index]

    def _place_instructions(self) -> None:
        """Place the result of each instruction, and record the first and last use of each cell."""
        last = {i: at for at, one in enumerate(self.instructions) for i in one.sources}
        last |= dict.fromkeys(self._returned, len(self.instructions))
        for at, one in enumerate(self.instructions):
            # Parameters and gradients have their places in the joins, which nothing else may take.
            ending = {i for i in one.sources if last[i] == at} - self.leaves.placed
            for node in one.stores:
                if node.index not in self.places:
                    reused = self._reused(one, node, ending)
                    self.places[node.index] = reused or Place(self._cell(node.nbytes), 0, self._in_fortran(node))
                self.places[node.index].cell.touch(at)
            for node in one.reads:
                base = base_of(node)
                if base.op == "input" and one.loop is not None and base.index not in self.places:
                    # A loop is compiled for one kind of array; an argument may be strided or read-only.
                    self.places[base.index] = Place(self._cell(base.nbytes), 0, self._in_fortran(base))
                    self.places[base.index].cell.touch(0)
                    self.copied.append(base)
                if base.index in self.places:
                    self.places[base.index].cell.touch(at)
            if one.loop is not None:
                one.scratch = {i: self._cell(nbytes) for i, nbytes in self._scratch(one).items()}
                for some in one.scratch.values():
                    some.touch(at)
        for i in self._returned & self.places.keys():
            self.places[i].cell.touch(len(self.instructions))

    def _in_fortran(self, node: Node) -> bool:
        """Return whether a node is in Fortran order, as no data and no result of a library in C order is."""
        by_rows = node.op in ("gather", "matmul") or casts_data(node)
        by_shape = not by_rows and self._rules.fortran(node.shape)
        return by_shape or node.index in self.leaves.fortran

    def _scratch(self, one: Instruction) -> dict[int, int]:
        """Return the values a loop keeps to itself, and their bytes: of one row between two walks, or one a row."""
        assert one.loop is not None
        if one.by_columns:
            stored = {node.index for node in one.stores}
            rows = [n for n in one.loop.nodes if one.loop.kinds[n.index] == "row" and n.index not in stored]
            return {node.index: node.nbytes for node in rows}
        return {node.index: node.nbytes // max(node.shape[0], 1) for node in crossing(one)}

    def _reused(self, one: Instruction, node: Node, ending: set[int]) -> Place | None:
        """Return the place of an operand that is read here for the last time, if `node` may overwrite it."""
        if one.loop is None and node.op not in _IN_PLACE:
            return None
        places = self.places
        taken = {(id(places[s.index].cell), places[s.index].offset) for s in one.stores if s.index in places}
        # The one written last: a product's result is in the cache, and an activation may be in another core's as well,
        # which a write would have to invalidate.
        for operand in sorted(one.reads, key=lambda read: -base_of(read).index):
            here = places.get(operand.index)
            if here is None or here.cell.kept is not None or operand.op == "join":
                continue
            free = operand.index in ending and (id(here.cell), here.offset) not in taken
            # Through a view the same numbers would be read at another place of the walk, after they were overwritten.
            viewed = any(read is not operand and base_of(read) is operand for read in one.reads)
            same = (operand.shape, operand.dtype) == (node.shape, node.dtype)
            same = same and here.fortran == self._in_fortran(node)
            if free and same and not viewed and (one.loop is None or written_last(one.loop, operand, node)):
                return here
        return None


# Functions of a library that may write where they read.
_IN_PLACE = {
    "add", "subtract", "multiply", "divide", "negative", "abs", "square", "sqrt", "exp", "expm1", "log", "log1p",
    "tanh", "maximum", "minimum",
}  # fmt: skip
