"""A plan as launches over fixed memory, which are called one by one or as a CUDA graph."""

import logging
from collections.abc import Sequence
from copy import copy
from itertools import accumulate
from typing import Any

from retroprop.backends.cuda.casts import taken_casts, taken_rounding
from retroprop.backends.cuda.kernels import plain_kernels as plain
from retroprop.backends.cuda.kernels.geometry import THREADS
from retroprop.backends.cuda.kernels.loop_source import CudaLoopSource
from retroprop.backends.cuda.kernels.operands import STRIDE, TYPES, OperandLayout, can_loop, fits_loop
from retroprop.backends.cuda.kernels.philox import Drawn, mask_launch
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.products.cublaslt import CublasLtError, Epilogue
from retroprop.backends.cuda.rewrites.bfloat16 import ROUND
from retroprop.backends.cuda.rewrites.product_calls import Choice, ProductCall
from retroprop.backends.cuda.runtime import Launch
from retroprop.backends.cuda.step_memory import StepMemory
from retroprop.backends.plan.fusion import Instruction, loop_of
from retroprop.backends.plan.plan import Plan, Rules
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError, base_of
from retroprop.backends.record.table import HOST_ARITHMETIC
from retroprop.backends.replay.program import Program
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
STEPS = 256  # prepared at once: their numbers and their rows are on the device
# Above this batch size fewer steps are prepared, to limit memory; a timing of two programs runs 66.
MANY_ROWS, STEPS_OF_MANY_ROWS = 2**16, 72
RULES = Rules(can=can_loop, fits=fits_loop)


class LaunchProgram(Program):
    """The launches of a plan.

    `given` are the arrays that are read in place, by index of the node; `drawn` are masks that the first launch draws.

    Attributes
    ----------
    instructions, launches : sequence
        One step, in order: the plan's or a rewrite's.
    table, tick, order, costs, stream : Array
        The differences between the steps of a run: a row of `numbers` each, the count of steps done, the rows of the
        data, the costs, and the Philox key and counter of the masks. As many as `steps` may be prepared at once.
    state, left : list of Array
        The arrays that a step changes for good, and those of its results that no later step reads.
    """

    workspace: StepMemory

    def __init__(self, plan: Plan, workspace: StepMemory, given: dict[int, Array], drawn: Drawn | None = None) -> None:
        super().__init__(plan, workspace.runtime, workspace, given)
        self.runtime, self._drawn = workspace.runtime, drawn
        recording, leaves = plan.recording, plan.leaves
        if any(i not in self.kept and _nodes(recording.arguments[i]) for i in recording.donated):
            raise NotTraceableError("a donated argument is not replaced by a result in its place.")
        self.numbers: list[Node] = []
        self._slots: dict[int, int] = {}
        self._cost, self.rows = plan.cost, plan.rows
        n_rows = 1 if self.rows is None else self.rows.size
        self.steps = STEPS if n_rows <= MANY_ROWS else min(STEPS, STEPS_OF_MANY_ROWS)
        array = workspace.named_array
        self.table, self.tick = array("table", (STEPS, STRIDE), "float64"), array("tick", (), "int64")
        self.order, self.stream = array("order", (self.steps, n_rows), "int64"), array("stream", (3,), "uint64")
        self.runtime.clear(self.order)  # timings run before rows are given: 0 is a valid row index
        self.costs = None if self._cost is None else array("costs", (STEPS,), self._cost.dtype)
        self.state = [*(leaf for kept in self.kept.values() for leaf in tree.leaves(kept)), self.tick]
        results = recording.results if tree.is_branch(recording.results) else (recording.results,)
        passing = tuple([part for i, part in enumerate(results) if i not in leaves.kept.values()])
        self.left = [self.array(node) for node in tree.leaves(passing) if base_of(node).index in plan.places]
        self._lower(plan.instructions)

    def rewritten(self, instructions: Sequence[Instruction]) -> "LaunchProgram":
        """Return the program of other instructions in the same places of memory."""
        other = copy(self)
        other._lower(instructions)
        return other

    # Steps ------------------------------------------------------------------------------------------------------------

    def row_of(self, values: dict[int, float]) -> list[float]:
        """Return a row of the table, given the numbers among the arguments by index."""
        values = dict(values)
        for node in self.host_numbers:
            x, y = (values[i.index] if isinstance(i, Node) else i for i in node.inputs)
            values[node.index] = HOST_ARITHMETIC[node.op](x, y)
        return [values[node.index] for node in self.numbers]

    def run(self) -> None:
        """Launch one step."""
        for launch in self.launches:
            launch()

    def results(self) -> Any:
        """Return the results of the last step, in their form; kept arguments come back as they are."""
        return self.returned(lambda node: self.array(node) if node.shape else self.runtime.copied(self.array(node)))

    # Launches ---------------------------------------------------------------------------------------------------------

    def _lower(self, instructions: Sequence[Instruction]) -> None:
        """Make the launches of the instructions."""
        # `_ticked`: a kernel has advanced the tick, so that later kernels of the step read the table's previous row.
        self.instructions, self._ticked = instructions, False
        launches: list[Launch] = []
        waiting = list(instructions)
        while waiting:
            launches += self._lowered(waiting)
        if self._drawn is not None:
            masks = [(one, self.array(self.plan.graph.nodes[i])) for i, one in self._drawn.layers.items()]
            launches.insert(0, mask_launch(self.runtime, self._drawn.form, masks, self.stream, self.tick))
        # Without a loop that ends with the cost a kernel of its own stores it, and counts the step.
        if self._cost is not None and not self._ticked:
            text = plain.advance_source(TYPES[self._cost.dtype])
            arguments = [self.costs, self.array(self._cost), self.tick]
            launches.append(self._kernel(text, 1, arguments, threads=1))
        self.launches = launches

    def _lowered(self, waiting: list[Instruction]) -> list[Launch]:
        """Take the next instruction, or several gathers, and return its launches."""
        one = waiting.pop(0)
        if isinstance(one, Choice):
            return self._chosen(one)
        if one.loop is not None:
            return [self._loop(one)]
        if isinstance(one, ProductCall):
            return [self._call(one)]
        node = one.nodes[0]
        if node.op == "matmul" and node.ndim == 2:
            return [self._product(node, node)]
        if node.op == "gather":
            gathers = [node]
            while waiting and waiting[0].nodes[0].op == "gather":
                gathers.append(waiting.pop(0).nodes[0])
            casts = taken_casts(self.plan, gathers, waiting)
            made = [casts.get(one.index, one) for one in gathers]
            return [self._gather(gathers, made, taken_rounding(self.plan, made, waiting))]
        if node.op in ("join", "stack"):
            return self._joined(node)
        if not node.shape and can_loop(node) and (loop := loop_of([node])) is not None:
            return [self._loop(Instruction(loop=loop, stores=[node]))]
        raise NotTraceableError(f"{node.op} of shape {node.shape} is not launched.")

    def _kernel(self, text: str, blocks: Any, arguments: Sequence[Any], threads: int = THREADS) -> Launch:
        grid = blocks if isinstance(blocks, tuple) else (blocks, 1, 1)
        return self.runtime.kernel(HEAD + text, grid, threads, arguments)

    def _address(self, node: Node) -> int:
        return self.runtime.address(self.array(node))

    def _product(self, node: Node, result: Node, epilogue: Epilogue | None = None) -> Launch:
        first, second = (self.array(operand) for operand in node.operands)
        return self.runtime.product(first, second, self.array(result), epilogue)

    def _chosen(self, one: Choice) -> list[Launch]:
        """Return the launches of the fastest way, measured once."""
        ticked = self._ticked

        def launches(way: Sequence[Instruction]) -> list[Launch]:
            self._ticked = ticked  # each way may hold the loop that counts the step
            return [launch for part in way for launch in self._lowered([part])]

        if one.taken is None:
            ways = {0: launches(one.ways[0])}
            for place, way in enumerate(one.ways[1:], start=1):
                try:
                    ways[place] = launches(way)
                except (CublasLtError, NotTraceableError) as error:
                    log.info("a product and its loop are not one launch: %s", error)
            one.taken = list(ways)[self.runtime.fastest(list(ways.values())) if self.runtime.measures else -1]
        return launches(one.ways[one.taken])

    def _call(self, one: ProductCall) -> Launch:
        assert one.result is not None
        bias = 0 if one.vector is None else self._address(one.vector)
        return self._product(one.nodes[0], one.result, Epilogue(one.kind, bias))

    def _loop(self, one: Instruction) -> Launch:
        rounds = self.runtime.precision != "highest"
        kernel = CudaLoopSource(
            one, self._layout, self._slot, cost=self._cost, ticked=self._ticked, rounds=rounds
        ).kernel()
        arguments = [self.array(node) for node in kernel.arrays]
        arguments += [self.table, self.tick] if kernel.numbers else []
        if kernel.counters:
            # Kernels of one stream run one after another, so that all share the memory of partial sums.
            arguments += [self.workspace.parts(kernel.parts), self.workspace.counters(kernel.counters)]
        if kernel.closes and self.costs is not None:
            arguments += [self.costs, self.tick]
            self._ticked = True
        return self._kernel(kernel.text, kernel.geometry.grid, arguments)

    def _layout(self, node: Node) -> OperandLayout:
        array, item = self.array(node), node.dtype.itemsize
        address = self.runtime.address(array)
        return OperandLayout(address, tuple([s // item for s in array.strides]), address)

    def _slot(self, node: Node) -> int:
        """Return the column of a number in the table."""
        slot = self._slots.setdefault(node.index, len(self._slots))
        if slot == len(self.numbers):
            self.numbers.append(node)
        if slot >= STRIDE:
            raise NotTraceableError(f"a step has more than {STRIDE} numbers that change.")
        return slot

    def _gather(self, gathers: Sequence[Node], made: Sequence[Node], rounded: Node | None) -> Launch:
        """Return the launch that gathers rows, casts them where asked, and rounds the parameters as well."""
        assert self.rows is not None
        pairs = [(node.inputs[0], result) for node, result in zip(gathers, made, strict=True)]
        pairs += [] if rounded is None else [(rounded.inputs[0], rounded)]
        parts, arrays = [], [self.order, self.tick]
        for node, result in pairs:
            source, target = self.array(node), self.array(result)
            addresses, whole = (self.runtime.address(source), self.runtime.address(target)), result is rounded
            n = result.size // (1 if whole else max(result.shape[0], 1))
            if result.op == "gather":
                parts.append(plain.copied(n * result.dtype.itemsize, addresses))
            else:
                by = ROUND if result.op == ROUND else ""
                parts.append(plain.cast(n, node.dtype, result.dtype, addresses, by, whole=whole))
            arrays += [source, target]
        blocks = plain.gather_blocks(self.rows.size, parts), len(parts), 1
        return self._kernel(plain.gather_source(self.rows.size, parts), blocks, arrays)

    def _joined(self, node: Node) -> list[Launch]:
        whole, ends = self.array(node).reshape(-1), accumulate(leaf.size for leaf in node.operands)
        leaves = [(self.array(leaf).reshape(-1), end) for leaf, end in zip(node.operands, ends, strict=True)]
        return [self.runtime.copy(whole[end - leaf.size : end], leaf) for leaf, end in leaves]


def given_nodes(plan: Plan) -> dict[int, Node]:
    """Return the arrays among the arguments, by index, that are read in place: all but row numbers and kept ones."""
    kept = {leaf.index for i in plan.leaves.kept for leaf in _nodes(plan.recording.arguments[i])}
    rows = {node.inputs[1].index for node in plan.wanted if node.op == "gather"}
    read = {base_of(o).index for node in plan.wanted for o in node.operands} | {base_of(o).index for o in plan.outputs}
    return {node.index: node for node in plan.graph if node.op == "input" and node.index in read - kept - rows}


def _nodes(argument: Any) -> list[Node]:
    return [leaf for leaf in tree.leaves(argument) if isinstance(leaf, Node)]
