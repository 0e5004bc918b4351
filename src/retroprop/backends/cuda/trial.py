"""The fastest way to do a step that does what its plan says: nothing is taken that was not seen to do so.

One step is done as the plan has it, with bare products, launch by launch. All else begins from the same state and has
to leave the same: each rewrite that puts more into the products, one after another, before it is measured with whole
steps; then the graph. The way that is taken leaves the step done; where none is, what the launches left comes back.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy

from retroprop.backends.cuda.launch_program import LaunchProgram
from retroprop.backends.cuda.rewrites.descent import descended
from retroprop.backends.cuda.rewrites.gelu import gelus
from retroprop.backends.cuda.rewrites.product_calls import Rewrite
from retroprop.backends.cuda.rewrites.relu import relus
from retroprop.backends.cuda.rewrites.sums import summed
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.backends.plan.fusion import base_of
from retroprop.backends.record import tree
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
# How far two ways with operands that are rounded may be apart: a sum is of numbers rounded or not, and what is rounded
# once more falls on one side or the other.
TOLERANCES = {"tf32": 1e-2, "bf16": 4e-2}


class Way(NamedTuple):
    """A program, and whether its graph has products beside others."""

    program: LaunchProgram
    forked: bool


class NoWayError(RuntimeError):
    """No graph is to be had, or none did what the launches did; the message says why."""


class Trial:
    """One step, done in several ways from the same state.

    Parameters
    ----------
    program : LaunchProgram
        The plan as it is; its arguments are in place.
    runtime : Runtime
        The device.
    """

    def __init__(self, program: LaunchProgram, runtime: Runtime) -> None:
        self._program, self._runtime = program, runtime
        self._state, self._left = state_of(program), left_by(program)
        self._before: list[Array] = []
        self._after: list[Array] = []
        self._allowed: list[float] = []
        self._ran = False

    def found(self) -> tuple[Way, Launch]:
        """Return the way to do steps and its graph; the graph has done one.

        Raises
        ------
        NoWayError
            If there is none; `settle` then leaves one step done.
        MemoryError
            If there is no room for the copies, likewise.
        """
        self._before = self._copies(self._state)
        self._program.run()  # compiles and loads what is not yet, which no graph may do
        self._ran = True
        self._after = self._copies([*self._state, *self._left])
        begun = [*self._before, *[None] * len(self._left)]
        self._allowed = list(map(self._may_differ, self._after, begun))
        plain = best = Way(self._program, self._forks(self._program))
        for rewrite in rewrites_for(self._runtime):
            best = self._better(best, rewrite)
        return self._graph(best, plain)

    def settle(self) -> None:
        """Leave what one step of launches leaves."""
        if not self._ran:
            self._program.run()
        self._restore([*self._state, *self._left], self._after)

    def undo(self) -> None:
        """Leave the state as it was before the step, as far as anything was done."""
        self._restore(self._state, self._before)

    # Ways -------------------------------------------------------------------------------------------------------------

    def _forks(self, program: LaunchProgram) -> bool:
        """Return whether a step is faster with products beside others."""
        ways: list[list[Launch]] = [[partial(program.run, forked=True)], [program.run]]
        return bool(program.beside) and self._runtime.fastest(ways) == 0

    def _better(self, best: Way, rewrite: Rewrite) -> Way:
        """Return the way with more in its products, if it does the same in less time."""
        program = best.program
        instructions = rewrite(program.plan, program.instructions)
        if instructions is None:
            return best
        try:
            other = program.rewritten(instructions)
            if not self._does(other.run):
                log.warning("%s did not do what is done without, and is left out.", rewrite.__name__)
                return best
            found = Way(other, self._forks(other))
            self.undo()  # and its tick: what is measured may do some 40 steps of those prepared
            ways: list[list[Launch]] = [[partial(way.program.run, forked=way.forked)] for way in (best, found)]
            return found if self._runtime.fastest(ways) == 1 else best
        except Exception as error:
            # No algorithm for it, as a rule; whatever it is, there is a way without.
            log.info("%s is left out: %s: %s", rewrite.__name__, type(error).__name__, error)
            return best

    def _graph(self, best: Way, plain: Way) -> tuple[Way, Launch]:
        """Return the first way whose graph does what the launches did, the best before those with less in them."""
        reasons: list[str] = []
        for way in _distinct([best, best._replace(forked=False), plain, plain._replace(forked=False)]):
            try:
                graph = self._runtime.captured(partial(way.program.run, forked=way.forked))
                if self._does(graph):
                    if reasons:
                        log.warning("a faster graph is left out: %s", reasons[0])
                    return way, graph
                reasons.append("a graph did not do what its launches do")
            except MemoryError:
                raise
            except Exception as error:
                reasons.append(f"{type(error).__name__}: {error}")
        raise NoWayError(reasons[0])

    # What a step leaves -----------------------------------------------------------------------------------------------

    def _does(self, step: Launch) -> bool:
        """Do a step from the state there was, and return whether it leaves what it should."""
        self.undo()
        self._runtime.clear(self._program.block)  # where all that is not written would still be right
        step()
        found = [*self._state, *self._left]
        apart = [self._runtime.distance(array, after) for array, after in zip(found, self._after, strict=True)]
        return all(not far or far <= most for far, most in zip(apart, self._allowed, strict=True))

    def _may_differ(self, after: Array, before: Array | None) -> float:
        """Return how far an array may be from what the launches left, all its numbers together.

        Of what stays it is the change that counts, Σ|x_after − x_before|, as parameters are much larger than that. Not
        the largest difference: Adam's first update is ±η whatever the gradient, so that where the gradient is nearly 0
        the sign is as it may be.
        """
        dtype = numpy.dtype(str(after.dtype))
        if dtype.kind != "f":
            return 0.0
        eps, whole = float(numpy.finfo(dtype).eps), self._runtime.distance(after)
        change = whole if before is None else self._runtime.distance(after, before)
        rounded = TOLERANCES.get(self._runtime.precision, 0.0) if dtype.itemsize == 4 else 0.0
        return float(max(4.0 * eps**0.5, rounded) * change + 4.0 * eps * whole)

    def _copies(self, arrays: Sequence[Array]) -> list[Array]:
        return [self._runtime.copied(array) for array in arrays]

    def _restore(self, arrays: Sequence[Array], values: Sequence[Array]) -> None:
        for array, value in zip(arrays, values, strict=False):  # there may be no values yet
            self._runtime.copy(array, value)()


def state_of(program: LaunchProgram) -> list[Array]:
    """Return the arrays that a step changes for good."""
    return [*(leaf for kept in program.kept.values() for leaf in tree.leaves(kept)), program.tick]


def left_by(program: LaunchProgram) -> list[Array]:
    """Return the arrays of the results that do not stay; those of arguments handed back are not among them."""
    plan, results = program.plan, program.plan.recording.results
    stay = plan.kept.values()
    parts = [part for i, part in enumerate(results) if i not in stay] if tree.is_branch(results) else [results]
    nodes = [node for part in parts for node in tree.leaves(part)]
    return [program.array(node) for node in nodes if base_of(node).index in plan.places]


def rewrites_for(runtime: Runtime) -> list[Rewrite]:
    """Return what may be put into products on a device, in the order in which it is tried."""
    epilogues: list[Rewrite] = [relus, gelus, summed] if runtime.epilogues else []
    found = [*epilogues, descended] if runtime.descends else epilogues
    return found if runtime.measures else []


def _distinct(ways: Sequence[Way]) -> Iterator[Way]:
    seen: list[tuple[int, bool]] = []
    for way in ways:
        if (key := (id(way.program), way.forked)) not in seen:
            seen.append(key)
            yield way
