"""The search for the fastest way to do a step, which must leave the same results as the plan's own launches.

One step is done as planned, with bare products, launch by launch. Every other way starts from the same state and has to
leave the same: each rewrite that puts more into the products, one after another, before whole steps of it are timed;
then the graph. The way that is taken leaves the step done; where there is none, the results of the launches come back.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy

from retroprop.backends.cuda.launch_program import LaunchProgram
from retroprop.backends.cuda.rewrites.descent import descended
from retroprop.backends.cuda.rewrites.gelu import gelus
from retroprop.backends.cuda.rewrites.product_calls import Rewrite
from retroprop.backends.cuda.rewrites.relu import relus
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.backends.record import tree
from retroprop.backends.record.graph import base_of
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
# How far apart two ways whose products round their operands may be, as a fraction of what the step changes: a sum is of
# terms rounded or not, and what is rounded twice falls on one side or the other. Adam makes ±η of either.
ROUNDED = 5e-2
# The same as a multiple of the distance from a step without rounding, and the most that is allowed for it. An operand
# that is cut off is in the mean 2.4 times as far from one that is rounded as that one is from the exact.
FARTHER, MOST = 3.0, 0.5
PRECISIONS = ("tf32", "bf16")  # that round


class Way(NamedTuple):
    """A program, and whether its graph runs products concurrently."""

    program: LaunchProgram
    forked: bool


class NoWayError(RuntimeError):
    """No graph is available, or none left the results of the launches; the message says why."""


class Trial:
    """One step, done in several ways from the same state.

    Parameters
    ----------
    program : LaunchProgram
        The plan as it is; its arguments are in place.
    runtime : Runtime
        The device.
    exact : callable
        Does the step in memory of its own with products of the highest precision, from the arguments in place, and
        returns the program that did.
    """

    def __init__(self, program: LaunchProgram, runtime: Runtime, exact: Callable[[], LaunchProgram]) -> None:
        self._program, self._runtime, self._exact = program, runtime, exact
        self._state, self._left = state_of(program), left_by(program)
        self._before: list[Array] = []
        self._after: list[Array] = []
        self._changes: list[float] = []
        self._allowed: list[float] = []
        self._rounded = ROUNDED if runtime.precision in PRECISIONS else 0.0
        self._widened = self._rounded == 0.0
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
        self._program.run()  # compiles and loads kernels, which no capture may do
        self._ran = True
        self._after = self._copies([*self._state, *self._left])
        begun = [*self._before, *[None] * len(self._left)]
        self._changes = list(map(self._change, self._after, begun))
        self._allowed = list(map(self._limit, self._after, self._changes))
        plain = best = Way(self._program, self._forks(self._program))
        for rewrite in rewrites_for(self._runtime):
            best = self._better(best, rewrite)
        return self._graph(best, plain)

    def settle(self) -> None:
        """Leave the results of one step of launches."""
        if not self._ran:
            self._program.run()
        self._restore([*self._state, *self._left], self._after)

    def undo(self) -> None:
        """Leave the state as it was before the step, as far as anything was done."""
        self._restore(self._state, self._before)

    # Ways -------------------------------------------------------------------------------------------------------------

    def _forks(self, program: LaunchProgram) -> bool:
        """Return whether a step is faster with concurrent products."""
        ways: list[list[Launch]] = [[partial(program.run, forked=True)], [program.run]]
        return bool(program.beside) and self._runtime.fastest(ways) == 0

    def _better(self, best: Way, rewrite: Rewrite) -> Way:
        """Return the way with more in its products, if it leaves the same in less time."""
        program = best.program
        instructions = rewrite(program.plan, program.instructions)
        if instructions is None:
            return best
        try:
            other = program.rewritten(instructions)
            if not self._does(other.run):
                log.warning("%s changed the results of a step, and is left out.", rewrite.__name__)
                return best
            found = Way(other, self._forks(other))
            self.undo()  # and its tick: a timing may do some 40 of the steps that are prepared
            ways: list[list[Launch]] = [[partial(way.program.run, forked=way.forked)] for way in (best, found)]
            return found if self._runtime.fastest(ways) == 1 else best
        except Exception as error:
            # As a rule cublasLt has no algorithm for it; whatever it is, the way without is still there.
            log.info("%s is left out: %s: %s", rewrite.__name__, type(error).__name__, error)
            return best

    def _graph(self, best: Way, plain: Way) -> tuple[Way, Launch]:
        """Return the first way whose graph leaves the results of the launches: the best, then simpler ones."""
        reasons: list[str] = []
        for way in _distinct([best, best._replace(forked=False), plain, plain._replace(forked=False)]):
            try:
                graph = self._runtime.captured(partial(way.program.run, forked=way.forked))
                if self._does(graph):
                    if reasons:
                        log.warning("a faster graph is left out: %s", reasons[0])
                    return way, graph
                reasons.append("a graph did not leave the results of its launches")
            except MemoryError:
                raise
            except Exception as error:
                reasons.append(f"{type(error).__name__}: {error}")
        raise NoWayError(reasons[0])

    # Results of a step ------------------------------------------------------------------------------------------------

    def _does(self, step: Launch) -> bool:
        """Do a step from the state before, and return whether it leaves the results of the launches."""
        if self._near(step):
            return True
        if self._widened:
            return False
        self._widen()
        return self._near(step)  # once more, so that it is this step that is done

    def _near(self, step: Launch) -> bool:
        self.undo()
        self._runtime.clear(self._program.block)  # or a result that is never written would still be right
        step()
        return all(not far or far <= most for far, most in zip(self._apart(), self._allowed, strict=True))

    def _apart(self, program: LaunchProgram | None = None) -> list[float]:
        """Return how far the arrays are from those the launches left, of this program or of another of the step."""
        found = [*self._state, *self._left] if program is None else [*state_of(program), *left_by(program)]
        return [self._runtime.distance(array, after) for array, after in zip(found, self._after, strict=True)]

    def _widen(self) -> None:
        """Allow `FARTHER` times the distance to the same step without rounding, where that is more.

        It is done only where the fixed limit does not suffice, as it takes the memory of another training.
        """
        self._widened = True
        self.undo()
        try:
            apart = self._apart(self._exact())
        except Exception as error:
            log.info("a step without rounding is not compared: %s: %s", type(error).__name__, error)
            return
        changed = [
            far / change
            for far, change, after in zip(apart, self._changes, self._after, strict=True)
            if after.dtype.kind == "f" and change > 0.0
        ]
        self._rounded = max(self._rounded, min(FARTHER * max(changed, default=0.0), MOST))
        self._allowed = list(map(self._limit, self._after, self._changes))

    def _change(self, after: Array, before: Array | None) -> float:
        """Return Σ|x_after − x_before| of the state, as parameters are much larger than that; else Σ|x_after|."""
        return self._runtime.distance(after) if before is None else self._runtime.distance(after, before)

    def _limit(self, after: Array, change: float) -> float:
        """Return how far an array may be from the one the launches left, as a sum over its elements.

        The largest difference would not do: Adam's first update is ±η whatever the size of the gradient, so that where
        the gradient is nearly 0 either sign is right. Where products round, one element may have the other sign, which
        is much of a short bias.
        """
        dtype = numpy.dtype(str(after.dtype))
        if dtype.kind != "f":
            return 0.0
        eps = float(numpy.finfo(dtype).eps)
        rounds = self._rounded > 0.0 and dtype.itemsize == 4
        rounded = self._rounded + min(2.0 / max(after.size, 1), 0.5) if rounds else 0.0
        return float(max(4.0 * eps**0.5, rounded) * change + 4.0 * eps * self._runtime.distance(after))

    def _copies(self, arrays: Sequence[Array]) -> list[Array]:
        return [self._runtime.copied(array) for array in arrays]

    def _restore(self, arrays: Sequence[Array], values: Sequence[Array]) -> None:
        for array, value in zip(arrays, values, strict=False):  # there may be no values yet
            self._runtime.copy(array, value)()


def state_of(program: LaunchProgram) -> list[Array]:
    """Return the arrays that a step changes for good."""
    return [*(leaf for kept in program.kept.values() for leaf in tree.leaves(kept)), program.tick]


def left_by(program: LaunchProgram) -> list[Array]:
    """Return the arrays of the results that no later step reads; arguments handed back are not among them."""
    plan, results = program.plan, program.plan.recording.results
    stay = plan.leaves.kept.values()
    parts = [part for i, part in enumerate(results) if i not in stay] if tree.is_branch(results) else [results]
    nodes = [node for part in parts for node in tree.leaves(part)]
    return [program.array(node) for node in nodes if base_of(node).index in plan.places]


def rewrites_for(runtime: Runtime) -> list[Rewrite]:
    """Return the rewrites for a device, in the order in which they are tried."""
    epilogues: list[Rewrite] = [relus, gelus] if runtime.epilogues else []
    found = [*epilogues, descended] if runtime.descends else epilogues
    return found if runtime.measures else []


def _distinct(ways: Sequence[Way]) -> Iterator[Way]:
    seen: list[tuple[int, bool]] = []
    for way in ways:
        if (key := (id(way.program), way.forked)) not in seen:
            seen.append(key)
            yield way
