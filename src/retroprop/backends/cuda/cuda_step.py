"""A step on the GPU: recorded, laid out as launches, and replayed as a graph that passed a trial."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy

from retroprop.backends.cuda.kernels.operands import STRIDE
from retroprop.backends.cuda.kernels.philox import drawn_of, form_with_masks, recorded_form, stream_of
from retroprop.backends.cuda.launch_program import RULES, LaunchProgram, given_nodes
from retroprop.backends.cuda.products.cublaslt import CublasLtError
from retroprop.backends.cuda.rewrites.bfloat16 import rounded
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.backends.cuda.step_memory import StepMemory
from retroprop.backends.cuda.trial import NoWayError, Trial
from retroprop.backends.masks import Masks
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node
from retroprop.backends.record.recorder import Recording
from retroprop.backends.replay.captured_step import RecordedStep
from retroprop.core.operations import Operations
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
UNROLLED = 8  # steps in one graph, where a run has at least twice as many


class CudaStep(RecordedStep["Replay"]):
    """One training's step on a GPU, called one by one, or `run` many at a time.

    Parameters
    ----------
    step, operations, donate
        As for `CapturedStep`.
    runtime : Runtime
        The device.

    Attributes
    ----------
    draws : bool
        Whether `Masks` may be given instead of arrays: the device draws them.
    """

    runs: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def __init__(
        self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...], runtime: Runtime
    ) -> None:
        super().__init__(step, operations, donate)
        self._runtime, self._memory = runtime, StepMemory(runtime)
        self._last: Replay | None = None

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
    ) -> tuple[Any, Any, Array] | None:
        """Do a step for each of `hypers`, with a row of `rows` each."""
        first = (parameters, state, hypers[0], data, rows[0], masks)
        replay = self._replay(first)
        if replay is None or replay.program.costs is None:
            return None
        replay.take(first)
        costs = replay.room_for_costs(len(hypers))
        numbers = [replay.numbers_of((parameters, state, hyper, data, rows[0], masks)) for hyper in hypers]
        most = replay.program.steps
        for at in range(0, len(hypers), most):
            many = min(most, len(hypers) - at)
            replay.begin(numbers[at : at + many], rows[at : at + many], masks and masks.after(at))
            replay.steps(many)
            self._runtime.copy(costs[at : at + many], replay.program.costs[:many])()
        parameters, state = replay.program.results()[:2]
        return parameters, state, costs

    def _replay(self, arguments: tuple[Any, ...]) -> "Replay | None":
        """Return the replay for arguments of this form, None where there is none."""
        if self._last is not None and self._last.fits(arguments):
            return self._last
        form = tuple(map(form_with_masks, arguments))
        self._last = self._program(form, arguments)
        return self._last

    def _lowered(self, form: tuple[Any, ...], arguments: tuple[Any, ...]) -> "Replay":
        if self._runtime.rounds:
            try:
                return self._replay_of(form, arguments, rounded)
            except CublasLtError as error:
                log.warning("products round float32 by themselves: in bfloat16, %s", error)
                self._runtime.rounds = False  # so that it is tried, and reported, once
        return self._replay_of(form, arguments, None)

    def _replay_of(
        self, form: tuple[Any, ...], arguments: tuple[Any, ...], change: Callable[[Recording], Recording] | None
    ) -> "Replay":
        """Return the replay of a recording that may be changed first, as by rounding operands to bfloat16."""
        plan_by = partial(self._planned, recorded_form(form), RULES)
        return Replay(plan_by(change), form, arguments, self._runtime, self._memory, plan_by)


class Replay:
    """A program for arguments of one form, the arrays it reads, and its graphs."""

    def __init__(
        self,
        plan: Plan,
        form: tuple[Any, ...],
        arguments: tuple[Any, ...],
        runtime: Runtime,
        memory: StepMemory,
        exact_plan: Callable[[], Plan],
    ) -> None:
        self._plan, self._form, self._runtime, self._memory = plan, form, runtime, memory
        self._exact_plan = exact_plan
        self._seen: list[Any] = [None] * len(form)
        self._drawn = drawn_of(form, plan.recording.arguments)
        masked = {} if self._drawn is None else self._drawn.layers
        self._wanted = {i: node for i, node in given_nodes(plan).items() if i not in masked}
        self._recorded = [list(tree.leaves(argument)) for argument in plan.recording.arguments]
        self._numbers = {i: nodes for i, nodes in enumerate(self._recorded) if any(map(_is_number, nodes))}
        self._reading = [  # the arguments with arrays that are read in place
            i
            for i, nodes in enumerate(self._recorded)
            if any(isinstance(node, Node) and node.index in self._wanted for node in nodes)
        ]
        self._copied: dict[int, Array] = {}  # by index of the node: the copy of an argument that moves
        self._given: dict[int, Array] = {}
        self._graphs: dict[int, Launch] = {}
        self._captures, self._forked = runtime.graphs, False
        self._begun: tuple[Array | None, Masks | None] = None, None
        self._bind(arguments)

    def fits(self, arguments: tuple[Any, ...]) -> bool:
        """Return whether arguments have the form of this replay; those of the last call need no check."""
        if len(arguments) != len(self._form):
            return False
        return all(
            argument is self.program.kept.get(i, self._seen[i]) or form_with_masks(argument) == self._form[i]
            for i, argument in enumerate(arguments)
        )

    # Arguments ----------------------------------------------------------------------------------------------------

    def _bind(self, arguments: tuple[Any, ...]) -> None:
        """Make the program, reading the arrays of the arguments in place."""
        for index, array in self._arrays(arguments, self._reading):
            known = self._given.get(index)
            if index not in self._copied and known is None and _is_contiguous(array):
                self._given[index] = array
            elif index not in self._copied and (known is None or self._moved(known, array)):
                # It is elsewhere at each call: from now on it is copied to a fixed place.
                node = self._wanted[index]
                self._copied[index] = self._memory.own(f"argument {index}", node.shape, node.dtype)
                self._given[index] = self._copied[index]
        self.program = LaunchProgram(self._plan, self._runtime, self._memory, self._given, drawn=self._drawn)
        self._graphs = {}

    def take(self, arguments: tuple[Any, ...]) -> None:
        """Copy in what the last step did not leave, and bind anew where other arrays have moved."""
        for i, kept in self.program.kept.items():
            if arguments[i] is not kept:
                for target, source in zip(tree.leaves(kept), tree.leaves(arguments[i]), strict=True):
                    self._runtime.copy(target, source)()
        others = [i for i in self._reading if arguments[i] is not self._seen[i]]
        moved = any(
            index not in self._copied and self._moved(self._given[index], array)
            for index, array in self._arrays(arguments, others)
        )
        if moved:
            self._bind(arguments)
        if self._copied:
            for index, array in self._arrays(arguments, self._reading):
                if index in self._copied:
                    self._runtime.copy(self._copied[index], array)()
        self._seen = list(arguments)

    def _arrays(self, arguments: tuple[Any, ...], numbers: Sequence[int]) -> list[tuple[int, Array]]:
        """Return the arrays of some arguments that are read in place, each with the index of its node."""
        return [
            (node.index, array)
            for i in numbers
            for node, array in zip(self._recorded[i], tree.leaves(arguments[i]), strict=True)
            if isinstance(node, Node) and node.index in self._wanted
        ]

    def _moved(self, known: Array, array: Array) -> bool:
        same = known.strides == array.strides and self._runtime.address(known) == self._runtime.address(array)
        return not same

    def numbers_of(self, arguments: tuple[Any, ...]) -> list[float]:
        """Return the Python numbers of a step as a row of the program's table."""
        values: dict[int, float] = {}
        for i, nodes in self._numbers.items():
            for node, value in zip(nodes, tree.leaves(arguments[i]), strict=True):
                if _is_number(node):
                    values[node.index] = float(value)
        return self.program.row_of(values)

    def rows_of(self, arguments: tuple[Any, ...]) -> Array | None:
        """Return the numbers of the gathered rows, as a matrix of one row; None where all rows are taken."""
        rows = self.program.rows
        for recorded, argument in zip(self._plan.recording.arguments, arguments, strict=True):
            if rows is not None and recorded is rows:
                return argument[None, :]
        return None

    # Steps --------------------------------------------------------------------------------------------------------

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
        copy(program.tick, self._memory.zero())()

    def steps(self, many: int) -> None:
        """Do that many steps."""
        if self._captures and 1 not in self._graphs:
            self._try()
            many -= 1
        if self._captures and many >= 2 * UNROLLED and UNROLLED not in self._graphs:
            self._capture(UNROLLED)
        for size in sorted(self._graphs, reverse=True) if self._captures else ():
            while many >= size:
                self._graphs[size]()
                many -= size
        for _ in range(many):
            self.program.run()

    def _capture(self, steps: int) -> None:
        def launches() -> None:
            for _ in range(steps):
                self.program.run(forked=self._forked)

        try:
            self._graphs[steps] = self._runtime.captured(launches)
        except Exception as error:
            self._refuse(f"{type(error).__name__}: {error}")

    def _refuse(self, reason: str) -> None:
        log.warning("steps are launched one by one, not as a graph: %s", reason)
        self._captures, self._graphs = False, {}

    def _try(self) -> None:
        """Do one step, and find the fastest way to do it as a graph that leaves the results of the plan's launches."""
        trial = Trial(self.program, self._runtime, self._exact)
        try:
            (self.program, self._forked), self._graphs[1] = trial.found()
        except (MemoryError, NoWayError) as error:
            short = "there is no memory for a copy to try it on: " if isinstance(error, MemoryError) else ""
            self._refuse(f"{short}{error}")
            trial.settle()
        except BaseException:
            trial.undo()  # an interrupted training has the parameters of its last step, not those of a candidate
            raise

    def _exact(self) -> LaunchProgram:
        """Do the step that was begun without rounding, in memory of its own, and return the program that did."""
        runtime, arguments, (rows, masks) = self._runtime.exact(), tuple(self._seen), self._begun
        plan = self._exact_plan()
        replay = Replay(plan, self._form, arguments, runtime, StepMemory(runtime), self._exact_plan)
        replay.take(arguments)
        replay.begin([replay.numbers_of(arguments)], None if rows is None else rows[:1], masks)
        replay.program.run()
        return replay.program

    def room_for_costs(self, many: int) -> Array:
        """Return an array for the costs of a run."""
        assert self.program.costs is not None
        dtype = numpy.dtype(str(self.program.costs.dtype))
        return self._runtime.array(self._runtime.empty(many * dtype.itemsize), 0, (many,), dtype)


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, Node) and leaf.op == "number"


def _is_contiguous(array: Array) -> bool:
    """Return whether an array is row-major without gaps."""
    step = int(array.dtype.itemsize)
    for n, stride in zip(reversed(array.shape), reversed(array.strides), strict=True):
        if n > 1 and stride != step:
            return False
        step *= n
    return True
