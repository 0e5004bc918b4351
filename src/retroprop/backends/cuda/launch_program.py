"""A plan as launches over fixed memory, which are called one by one or captured as a graph."""

import logging
from collections.abc import Sequence
from typing import Any

from retroprop.backends.cuda.kernels.expressions import TYPES
from retroprop.backends.cuda.kernels.geometry import MOST_BLOCKS, THREADS
from retroprop.backends.cuda.kernels.loop_source import kernel_of
from retroprop.backends.cuda.kernels.operands import STRIDE, OperandLayout, can_loop, fits_loop
from retroprop.backends.cuda.kernels.philox import Drawn, mask_launch
from retroprop.backends.cuda.kernels.plain_kernels import (
    Part,
    advance_source,
    cast,
    copied,
    descent_source,
    factors_source,
    gather_blocks,
    gather_source,
)
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.products.cublaslt import CublasLtError, Epilogue
from retroprop.backends.cuda.products.matrix_layout import mask_bytes, mask_leading
from retroprop.backends.cuda.rewrites import bfloat16
from retroprop.backends.cuda.rewrites.beside import products_beside
from retroprop.backends.cuda.rewrites.casts import taken_casts, taken_rounding
from retroprop.backends.cuda.rewrites.product_calls import DescentInstruction, ProductCall
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.backends.cuda.step_memory import StepMemory
from retroprop.backends.plan.fusion import Instruction, loop_of
from retroprop.backends.plan.plan import Plan, Rules
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError, base_of
from retroprop.backends.record.recorder import Recording
from retroprop.backends.record.table import HOST_ARITHMETIC
from retroprop.backends.replay.program import Program
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
STEPS = 256  # prepared at once: their numbers and their rows are on the device
MANY_ROWS = 2**16  # of a batch, for which fewer are: a timing takes some 40 of them
RULES = Rules(can=can_loop, fits=fits_loop)


def planned(recording: Recording) -> Plan:
    """Plan a recording for kernels and products."""
    return Plan(recording, RULES)


def planned_in_bfloat16(recording: Recording) -> Plan:
    """Plan a recording whose products of float32 take operands in bfloat16."""
    return planned(bfloat16.rounded(recording))


class LaunchProgram(Program):
    """The launches of a plan.

    Parameters
    ----------
    plan : Plan
        What is computed.
    runtime : Runtime
        The device.
    memory : StepMemory
        The memory of the training.
    given : dict
        The arrays that are read in place, by index of the node.
    instructions : sequence of Instruction, optional
        Replace the plan's own, in the same places of memory.
    numbers : sequence of Node
        The numbers that a row of the table holds already.
    drawn : Drawn, optional
        The masks that the first launch draws.

    Attributes
    ----------
    launches : list
        One step, in order: the place of an instruction, and a launch.
    beside : dict
        The instructions that may run beside others, and the one that each must come before.
    block : Array
        The memory of everything that a step does not leave to the next.
    kept : dict
        For an argument that is kept from step to step, by number: the arrays, in the form of the argument.
    table, tick, order, costs : Array
        The differences between the steps of a run: a row of numbers each, the count of steps done, the rows of the
        data, the costs.
    stream : Array
        The Philox key and counter from which the masks of all of them are drawn.
    steps : int
        The number of steps that may be prepared at once.
    numbers : list of Node
        The Python numbers that a row of the table holds.

    Raises
    ------
    NotTraceableError
        If the plan has an instruction that is no kernel, product or copy.
    """

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime,
        memory: StepMemory,
        given: dict[int, Array],
        *,
        instructions: Sequence[Instruction] | None = None,
        numbers: Sequence[Node] = (),
        drawn: Drawn | None = None,
    ) -> None:
        self.instructions = plan.instructions if instructions is None else instructions
        super().__init__(plan, runtime, memory, given)
        self.runtime, self._own, self._given, self._drawn = runtime, memory, given, drawn
        arguments = plan.recording.arguments
        if any(i not in plan.leaves.kept and _nodes(arguments[i]) for i in plan.recording.donated):
            raise NotTraceableError("a donated argument is not replaced by a result in its place.")
        self.numbers = list(numbers)
        self._slots = {node.index: slot for slot, node in enumerate(self.numbers)}
        self.table = memory.own("table", (STEPS, STRIDE), "float64")
        self.tick = memory.own("tick", (), "int64")
        self.cost = self._cost()
        self.rows = self._rows()
        n_rows = 1 if self.rows is None else self.rows.size
        self.steps = STEPS if n_rows <= MANY_ROWS else min(STEPS, 64)
        self.order = memory.own("order", (self.steps, n_rows), "int64")
        if instructions is None:
            runtime.clear(self.order)  # timings run before there is an order, whose rows must be valid all the same
        self.launches: list[tuple[int, Launch]] = []
        self.stream = memory.own("stream", (3,), "uint64")
        if drawn is not None:
            masks = [(one, self.array(plan.graph.nodes[i])) for i, one in drawn.layers.items()]
            self.launches.append((-1, mask_launch(runtime, drawn.form, masks, self.stream, self.tick)))
        self.costs = None if self.cost is None else memory.own("costs", (STEPS,), self.cost.dtype)
        self._ticked = False
        self._factors: Array | None = None
        self._masks: set[int] = set()  # the activations, by index, whose masks the backward pass can read
        self.beside = products_beside(self.instructions, plan.places, self._address) if runtime.forks else {}
        waiting = list(self.instructions)
        while waiting:
            at = len(self.instructions) - len(waiting)
            self.launches += [(at, launch) for launch in self._lowered(waiting)]
        if self.cost is not None and self.costs is not None and not self._ticked:
            text = advance_source(TYPES[self.cost.dtype.name])
            ends = runtime.kernel(text, (1, 1, 1), 1, [self.costs, self.array(self.cost), self.tick])
            self.launches.append((len(self.instructions), ends))

    # Memory ---------------------------------------------------------------------------------------------------------

    def _address(self, node: Node) -> int:
        return self.runtime.address(self.array(node))

    # Differences of steps -------------------------------------------------------------------------------------------

    def _cost(self) -> Node | None:
        """Return the one result without axes, None if there is none or more than one."""
        single = [node for node in self.plan.outputs if not node.shape and node.dtype.name in ("float32", "float64")]
        return single[0] if len(single) == 1 and single[0].op not in ("input", "constant") else None

    def _rows(self) -> Node | None:
        """Return the argument with the numbers of the gathered rows, None if nothing is gathered."""
        found = {node.inputs[1].index: node.inputs[1] for node in self.plan.wanted if node.op == "gather"}
        if len(found) > 1 or any(node.op != "input" or node.ndim != 1 for node in found.values()):
            raise NotTraceableError("rows are gathered in more ways than one.")
        return next(iter(found.values()), None)

    def row_of(self, values: dict[int, float]) -> list[float]:
        """Return a row of the table, given the numbers among the arguments by index."""
        values = dict(values)
        for node in self.host_numbers:
            x, y = (values[i.index] if isinstance(i, Node) else i for i in node.inputs)
            values[node.index] = HOST_ARITHMETIC[node.op](x, y)
        return [values[node.index] for node in self.numbers]

    def _slot(self, node: Node) -> int:
        slot = self._slots.setdefault(node.index, len(self._slots))
        if slot == len(self.numbers):
            self.numbers.append(node)
        if slot >= STRIDE:
            raise NotTraceableError(f"a step has more than {STRIDE} numbers that change.")
        return slot

    # Launches -------------------------------------------------------------------------------------------------------

    def _lowered(self, waiting: list[Instruction]) -> list[Launch]:
        """Take the next instruction, or several gathers, and return its launches."""
        beside = len(self.instructions) - len(waiting) in self.beside
        one = waiting.pop(0)
        if one.loop is not None:
            return [self._loop(one)]
        if isinstance(one, ProductCall):
            return self._called(one, beside=beside)
        if isinstance(one, DescentInstruction):
            return [self._descended(one)]
        node = one.nodes[0]
        if node.op == "matmul" and node.ndim == 2:
            return [self._product(node, beside=beside)]
        if node.op == "gather":
            gathers = [node]
            while waiting and waiting[0].loop is None and waiting[0].nodes[0].op == "gather":
                gathers.append(waiting.pop(0).nodes[0])
            casts = taken_casts(self.plan, gathers, waiting)
            made = [casts.get(one.index, one) for one in gathers]
            return [self._gather(gathers, made, taken_rounding(self.plan, made, waiting))]
        if node.op in ("join", "stack"):
            return self._joined(node)
        if not node.shape and can_loop(node):
            loop = loop_of([node])
            if loop is not None:
                return [self._loop(Instruction(loop=loop, stores=[node]))]
        raise NotTraceableError(f"{node.op} of shape {node.shape} is not launched.")

    def _product(self, node: Node, *, beside: bool) -> Launch:
        first, second = (self.array(operand) for operand in node.operands)
        return self.runtime.product(first, second, self.array(node), beside=beside)

    def _called(self, one: ProductCall, *, beside: bool) -> list[Launch]:
        """Return the launches of a call: one, or a product and a kernel where that is allowed and faster."""
        if not one.apart:
            return [self._call(one, beside=beside)]
        assert one.mask_of is not None
        product, loop = one.apart
        apart = [self._product(product.nodes[0], beside=False), self._loop(loop)]
        if one.mask_of is not one.result and one.mask_of.index not in self._masks:
            return apart  # there is no mask to read
        try:
            together = self._call(one, beside=False)
        except CublasLtError as error:
            log.info("a product is followed by a kernel: %s", error)
            return apart
        if self.runtime.fastest((apart, [together])) == 0:
            return apart
        self._masks.add(one.mask_of.index)
        return [together]

    def _call(self, one: ProductCall, *, beside: bool) -> Launch:
        first, second = (self.array(operand) for operand in one.nodes[0].operands)
        assert one.result is not None
        epilogue = None if one.kind == "none" else self._epilogue(one)
        factors = None if one.eta is None else self._factors_of(one.eta, one.result)
        return self.runtime.product(first, second, self.array(one.result), epilogue, factors=factors, beside=beside)

    def _epilogue(self, one: ProductCall) -> Epilogue:
        """Return the epilogue of a product, with the addresses of what it reads and writes."""
        found = Epilogue(one.kind, bias=0 if one.vector is None else self._address(one.vector))
        if one.mask_of is not None:
            rows, columns = one.mask_of.shape
            room = self._own.piece(f"mask {one.mask_of.index} {one.mask_of.shape}", mask_bytes(columns, rows))
            return found._replace(aux=self.runtime.address(room), aux_leading=mask_leading(columns))
        return found if one.aux is None else found._replace(aux=self._address(one.aux), aux_leading=one.aux.shape[1])

    def _factors_of(self, eta: Node, theta: Node) -> Array:
        """Return the factors of the products that are updates, which the first launch of a step computes."""
        if self._factors is None:
            # A timing before there is a step must do all the work: with a factor of 0 cublasLt would skip it.
            self._factors = self.runtime.constant([-1e-3, 1.0], theta.dtype)
            text = factors_source(TYPES[theta.dtype.name], f"*tick * {STRIDE} + {self._slot(eta)}")
            arguments = [self._factors, self.table, self.tick]
            self.launches.insert(0, (-1, self.runtime.kernel(HEAD + text, (1, 1, 1), 1, arguments)))
        return self._factors

    def _descended(self, one: DescentInstruction) -> Launch:
        first, size = one.stores[0], sum(node.size for node in one.stores)
        flat = [self.array(nodes[0]).reshape(-1) for nodes in (one.stores, one.grads)]
        row = f"(*tick - {int(self._ticked)}) * {STRIDE} + {self._slot(one.eta)}"
        blocks = (min(-(-size // THREADS), MOST_BLOCKS), 1, 1)
        text = descent_source(TYPES[first.dtype.name], size, row)
        return self.runtime.kernel(HEAD + text, blocks, THREADS, [*flat, self.table, self.tick])

    def _loop(self, one: Instruction) -> Launch:
        kernel = kernel_of(one, self._seen, self._slot, cost=self.cost, ticked=self._ticked)
        arguments = [self.array(node) for node in kernel.arrays]
        arguments += [self.table, self.tick] if kernel.numbers else []
        if kernel.counters:
            # Kernels of one stream run one after another, so that all share the memory of partial sums.
            arguments += [self._own.parts(kernel.parts), self._own.counters(kernel.counters)]
        if kernel.closes and self.costs is not None:
            arguments += [self.costs, self.tick]
            self._ticked = True
        return self.runtime.kernel(HEAD + kernel.text, kernel.geometry.grid, THREADS, arguments)

    def _seen(self, node: Node) -> OperandLayout:
        array = self.array(node)
        address = self.runtime.address(array)
        return OperandLayout(address, tuple(s // node.dtype.itemsize for s in array.strides), address)

    def _gather(self, gathers: Sequence[Node], made: Sequence[Node], rounded: Node | None) -> Launch:
        """Return the launch that gathers rows, casts them where asked, and rounds the parameters as well."""
        assert self.rows is not None
        parts, arrays = [], [self.order, self.tick]
        for node, result in zip(gathers, made, strict=True):
            n = node.size // max(node.shape[0], 1)
            arrays += [self.array(node.inputs[0]), self.array(result)]
            if result is node:
                parts.append(copied(n * node.dtype.itemsize, [self.runtime.address(a) for a in arrays[-2:]]))
            else:
                parts.append(self._cast(n, node, result, *arrays[-2:]))
        if rounded is not None:
            arrays += [self.array(rounded.inputs[0]), self.array(rounded)]
            parts.append(self._cast(rounded.size, rounded.inputs[0], rounded, *arrays[-2:], whole=True))
        text = gather_source(self.rows.size, parts)
        blocks = (gather_blocks(self.rows.size, parts), len(parts), 1)
        return self.runtime.kernel(HEAD + text, blocks, THREADS, arrays)

    def _cast(self, n: int, node: Node, result: Node, source: Array, target: Array, *, whole: bool = False) -> Part:
        by = bfloat16.ROUND if result.op == bfloat16.ROUND else ""
        addresses = self.runtime.address(source), self.runtime.address(target)
        return cast(n, node.dtype, result.dtype, addresses, by, whole=whole)

    def _joined(self, node: Node) -> list[Launch]:
        whole, at, launches = self.array(node).reshape(-1), 0, []
        for leaf in node.operands:
            launches.append(self.runtime.copy(whole[at : at + leaf.size], self.array(leaf).reshape(-1)))
            at += leaf.size
        return launches

    def run(self, *, forked: bool = False) -> None:
        """Launch one step; `forked`, within a graph, with concurrent products where they may be."""
        waited: list[tuple[int, Launch]] = []
        for at, launch in self.launches:
            for until, join in waited:
                if until <= at:
                    join()
            waited = [one for one in waited if one[0] > at]
            if forked and at in self.beside:
                waited.append((self.beside[at], self.runtime.beside(launch)))
            else:
                launch()
        for _, join in waited:
            join()

    def rewritten(self, instructions: Sequence[Instruction]) -> "LaunchProgram":
        """Return the program of other instructions in the same memory."""
        return LaunchProgram(
            self.plan, self.runtime, self._own, self._given,
            instructions=instructions, numbers=self.numbers, drawn=self._drawn,
        )  # fmt: skip

    def results(self) -> Any:
        """Return the results of the last step, in their form; kept arguments come back as they are."""
        own = {number: self.kept[argument] for argument, number in self.plan.leaves.kept.items()}
        results = self.plan.recording.results

        def leaf(node: Node) -> Array:
            array = self.array(node)
            return array if node.shape else self.runtime.copied(array)

        if not tree.is_branch(results):
            return leaf(results)
        parts = [own[i] if i in own else tree.mapped(part, leaf) for i, part in enumerate(results)]
        return tuple(parts) if type(results) is tuple else type(results)(*parts)


def given_nodes(plan: Plan) -> dict[int, Node]:
    """Return the arrays among the arguments, by index, that are read in place: all but row numbers and kept ones."""
    kept = {leaf.index for i in plan.leaves.kept for leaf in _nodes(plan.recording.arguments[i])}
    rows = {node.inputs[1].index for node in plan.wanted if node.op == "gather"}
    read = {base_of(o).index for node in plan.wanted for o in node.operands} | {base_of(o).index for o in plan.outputs}
    inputs = {node.index: node for node in plan.graph if node.op == "input"}
    return {i: node for i, node in inputs.items() if i in read and i not in kept and i not in rows}


def _nodes(argument: Any) -> list[Node]:
    return [leaf for leaf in tree.leaves(argument) if isinstance(leaf, Node)]
