"""A step on the GPU: recorded, laid out as launches, and replayed as a graph that passed a trial."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy

from retroprop.backends.cuda.kernels.operands import STRIDE
from retroprop.backends.cuda.kernels.philox import drawn_of, form_with_masks, recorded_form, stream_of
from retroprop.backends.cuda.launch_program import RULES, LaunchProgram, given_nodes
from retroprop.backends.cuda.products.cublaslt import CublasLtError
from retroprop.backends.cuda.rewrites.bfloat16 import rounded
from retroprop.backends.cuda.rewrites.product_calls import Rewrite
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.backends.cuda.step_memory import StepMemory
from retroprop.backends.cuda.ways import CudaTrial, rewrites_for
from retroprop.backends.masks import Masks
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node
from retroprop.backends.record.recorder import Recording
from retroprop.backends.replay.captured_step import RecordedStep
from retroprop.backends.replay.trial import NO_GRAPH
from retroprop.core.operations import Operations
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
UNROLLED = 8  # steps in one graph, where a run has at least twice as many
Change = Callable[[Recording], Recording] | None  # a pass over a recording before it is planned


class CudaStep(RecordedStep["CudaReplay"]):
    """One training's step on a GPU, the device of a runtime, called one by one, or `run` many at a time."""

    runs: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def __init__(
        self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...], runtime: Runtime
    ) -> None:
        super().__init__(step, operations, donate)
        self._runtime, self._memory = runtime, StepMemory(runtime)
        self._last: CudaReplay | None = None

    def __call__(self, *arguments: Any) -> Any:
        replay = self._replay(arguments)
        if replay is None:
            return super().__call__(*(given.drawn() if isinstance(given, Masks) else given for given in arguments))
        replay.take(arguments)
        masks = next((given for given in arguments if isinstance(given, Masks)), None)
        replay.begin([replay.numbers_of(arguments)], replay.rows_of(arguments), masks)
        replay.steps(1)
        return replay.program.results()

    def run(
        self,
        parameters: Any,
        state: Any,
        hypers: Sequence[tuple[float, ...]],
        data: Any,
        rows: Array,
        masks: Masks | None = None,
        sizes: Any = None,
    ) -> tuple[Any, Any, Array] | None:
        """Do consecutive steps: step t uses `hypers[t]` and the row indices `rows[t]`."""
        first = (parameters, state, hypers[0], data, rows[0], masks)
        replay = self._replay(first)
        if replay is None or replay.program.costs is None:
            return None
        replay.take(first)
        runtime, dtype = self._runtime, numpy.dtype(str(replay.program.costs.dtype))
        costs = runtime.array(runtime.empty(len(hypers) * dtype.itemsize), 0, (len(hypers),), dtype)
        numbers = [replay.numbers_of((parameters, state, hyper, data, rows[0], masks)) for hyper in hypers]
        most = replay.program.steps
        for at in range(0, len(hypers), most):
            many = min(most, len(hypers) - at)
            replay.begin(numbers[at : at + many], rows[at : at + many], masks and masks.after(at))
            replay.steps(many)
            runtime.copy(costs[at : at + many], replay.program.costs[:many])()
        parameters, state = replay.program.results()[:2]
        return parameters, state, costs

    def _replay(self, arguments: tuple[Any, ...]) -> "CudaReplay | None":
        """Return the replay for arguments of this form, None where there is none."""
        if self._last is None or not self._last.fits(arguments):
            self._last = self._program(tuple(map(form_with_masks, arguments)), arguments)
        return self._last

    def _lowered(self, form: tuple[Any, ...], arguments: tuple[Any, ...]) -> "CudaReplay":
        plan_by: Callable[[Change], Plan] = partial(self._planned, recorded_form(form), RULES)
        given = form, arguments, self._memory, rewrites_for(self._runtime, self._operations)
        if self._runtime.rounds:
            try:
                return CudaReplay(plan_by, rounded, *given)
            except CublasLtError as error:
                log.warning("products round float32 by themselves: in bfloat16, %s", error)
                self._runtime.rounds = False  # so that it is tried, and reported, once
        return CudaReplay(plan_by, None, *given)


class CudaReplay:
    """A program for arguments of one form, the arrays it reads, and its graphs."""

    def __init__(
        self,
        plan_by: Callable[[Change], Plan],
        change: Change,
        form: tuple[Any, ...],
        arguments: tuple[Any, ...],
        memory: StepMemory,
        rewrites: Mapping[str, Rewrite],
    ) -> None:
        plan = self._plan = plan_by(change)
        self._plan_by, self._form, self._memory, self._rewrites = plan_by, form, memory, rewrites
        self._runtime = memory.runtime
        self._drawn = drawn_of(form, plan.recording.arguments)
        masked = () if self._drawn is None else self._drawn.layers
        read = {i: node for i, node in given_nodes(plan).items() if i not in masked}
        # The leaves of each argument that are read in place, and those that are numbers, by their place in it.
        self._arrays: dict[int, list[tuple[int, Node]]] = {}
        self._numbers: dict[int, list[tuple[int, Node]]] = {}
        for i, argument in enumerate(plan.recording.arguments):
            for k, node in enumerate(tree.leaves(argument)):
                if isinstance(node, Node) and (node.index in read or node.op == "number"):
                    kind = self._arrays if node.index in read else self._numbers
                    kind.setdefault(i, []).append((k, node))
        self._seen: list[Any] = [None] * len(form)
        self._given: dict[int, Array] = {}  # by index of the node: where the program reads an argument
        self._copies: dict[int, Array] = {}  # those of them that are copies, of arguments that move
        self._graphs: dict[int, Launch] = {}
        self._uses_graphs = self._runtime.graphs
        self._begun: tuple[Array | None, Masks | None] = None, None
        self._bind_arguments(arguments, stale=True)
        given = plan.recording.arguments if self.program.rows is not None else ()
        self._rows_at = next((i for i, argument in enumerate(given) if argument is self.program.rows), None)

    def fits(self, arguments: tuple[Any, ...]) -> bool:
        """Return whether arguments have the form of this replay; those of the last call need no check."""
        if len(arguments) != len(self._form):
            return False
        return all(
            argument is self.program.kept.get(i, self._seen[i]) or form_with_masks(argument) == self._form[i]
            for i, argument in enumerate(arguments)
        )

    # Arguments --------------------------------------------------------------------------------------------------------

    def take(self, arguments: tuple[Any, ...]) -> None:
        """Copy in the arrays that the last step did not leave, and read others where they are."""
        self._bind_arguments(arguments)
        self.program.take(arguments, lambda target, source: self._runtime.copy(target, source)())

    def _bind_arguments(self, arguments: tuple[Any, ...], *, stale: bool = False) -> None:
        """Copy arguments that move to where the program reads them; make it anew if it has to read other addresses."""
        address = self._runtime.address
        for i, nodes in self._arrays.items():
            if arguments[i] is self._seen[i] and not self._copies:
                continue  # the same object is at the same address; with copies its elements may be others
            leaves = list(tree.leaves(arguments[i]))
            for k, node in nodes:
                array, known = leaves[k], self._given.get(node.index)
                moved = known is None or known.strides != array.strides or address(known) != address(array)
                if known is None and array.flags.c_contiguous:
                    self._given[node.index], stale = array, True
                elif moved and node.index not in self._copies:
                    # What moved once is likely to move again; each move would cost a new program and trial, as a graph
                    # fixes addresses. From now on it is copied, and so is an array that is not contiguous.
                    copy = self._memory.named_array(f"argument {node.index}", node.shape, node.dtype)
                    self._given[node.index], self._copies[node.index], stale = copy, copy, True
                if node.index in self._copies:
                    self._runtime.copy(self._copies[node.index], array)()
        if stale:
            self.program = LaunchProgram(self._plan, self._memory, self._given, self._drawn)
            self._graphs = {}
        self._seen = list(arguments)

    def numbers_of(self, arguments: tuple[Any, ...]) -> list[float]:
        """Return the Python numbers of a step as a row of the program's table."""
        values: dict[int, float] = {}
        for i, nodes in self._numbers.items():
            leaves = list(tree.leaves(arguments[i]))
            values |= {node.index: float(leaves[k]) for k, node in nodes}
        return self.program.row_of(values)

    def rows_of(self, arguments: tuple[Any, ...]) -> Array | None:
        """Return the numbers of the gathered rows, as a matrix of one row; None where all rows are taken."""
        return None if self._rows_at is None else arguments[self._rows_at][None, :]

    # Steps ------------------------------------------------------------------------------------------------------------

    def begin(self, numbers: list[list[float]], rows: Array | None, masks: Masks | None) -> None:
        """Write the differences of the next steps to the device: numbers, rows, the stream of masks."""
        self._begun = rows, masks
        program, copy, constant = self.program, self._runtime.copy, self._runtime.constant
        if program.numbers:
            table = numpy.zeros((len(numbers), STRIDE))
            table[:, : len(program.numbers)] = numbers
            copy(program.table[: len(numbers)], constant(table, table.dtype))()
        if rows is not None:
            copy(program.order[: rows.shape[0]], rows)()
        if masks is not None:
            stream = stream_of(masks.stream.key, masks.step)
            copy(program.stream, constant(stream, stream.dtype))()
        self._runtime.clear(program.tick)

    def steps(self, many: int) -> None:
        """Do that many steps."""
        if self._uses_graphs and 1 not in self._graphs:
            trial = CudaTrial(self.program, self._rewrites, self._exact)
            found = trial.decided(trial.found)
            self._uses_graphs = found is not None
            if found is not None:
                self.program, self._graphs[1] = found
            many -= 1
        if self._uses_graphs and many >= 2 * UNROLLED and UNROLLED not in self._graphs:
            try:
                self._graphs[UNROLLED] = self._runtime.graph_of(self._unrolled)
            except Exception as error:
                log.warning(NO_GRAPH, f"{type(error).__name__}: {error}")
                self._uses_graphs, self._graphs = False, {}
        for size in sorted(self._graphs, reverse=True):
            while many >= size:
                self._graphs[size]()
                many -= size
        for _ in range(many):
            self.program.run()

    def _unrolled(self) -> None:
        for _ in range(UNROLLED):
            self.program.run()

    def _exact(self, state: Sequence[Array]) -> list[Array]:
        """Return the results of the step that was begun, from a state, without rounding and in memory of its own."""
        runtime, (rows, masks), arguments = self._runtime.exact(), self._begun, tuple(self._seen)
        exact = CudaReplay(self._plan_by, None, self._form, arguments, StepMemory(runtime), {})
        for target, source in zip(exact.program.state, state, strict=True):
            runtime.copy(target, source)()
        exact.begin([exact.numbers_of(arguments)], None if rows is None else rows[:1], masks)
        exact.program.run()
        return [*exact.program.state, *exact.program.left]
