"""The search for the fastest way to do a step, which must leave the same results as the plan's own launches.

One step is done as planned, with bare products, launch by launch. Every other way starts from the same state and has to
leave the same: each rewrite that puts more into the products, one after another, before whole steps of it are timed;
then the graph. The way that is taken leaves the step done; where there is none, the results of the launches come back.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy

from retroprop.backends.cuda.kernels.tile_product import MOST_TERMS, UNMEASURED
from retroprop.backends.cuda.launch_program import LaunchProgram
from retroprop.backends.cuda.rewrites.fused_products import with_relu, with_sums, with_tiles
from retroprop.backends.cuda.rewrites.product_calls import Rewrite
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.backends.replay.trial import DIFFERS, MeasuredTrial, NoWayError
from retroprop.core.operations import Operations, overridden
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
# Tolerance between two variants with rounded operands, as a fraction of the step's change. Rounding can flip the sign
# of a gradient near 0, and Adam's first step is ±η.
ROUNDED = 5e-2
# The same as a multiple of the distance from a step without rounding, and the most that is allowed for it. An operand
# that is cut off is in the mean 2.4 times as far from one that is rounded as that one is from the exact.
FARTHER, MOST = 3.0, 0.5
Exact = Callable[[Sequence[Array]], Sequence[Array]]


class CudaTrial(MeasuredTrial):
    """The trial of a program of the plan as it is, its arguments in place, and of rewrites by name, in order.

    `exact` does the step in memory of its own with products of the highest precision, from the state given, and returns
    the arrays of its results: the state, then what it leaves besides.
    """

    def __init__(self, program: LaunchProgram, rewrites: Mapping[str, Rewrite], exact: Exact) -> None:
        super().__init__(program.state, partial(self._done, program.run))
        self._program, self._runtime, self._rewrites = program, program.runtime, rewrites
        self._exact = exact if self._runtime.precision != "highest" else None
        self._rounded = ROUNDED if self._exact is not None else 0.0

    def found(self) -> tuple[LaunchProgram, Launch]:
        """Return the program that does steps and its graph, which has done one; `decided` calls it."""
        best = self._program
        for name, rewrite in self._rewrites.items():
            best = self._better(best, name, rewrite)
        reasons: list[str] = []
        # The first program whose graph leaves the results of the launches: the best, then the plan's own.
        for way in dict.fromkeys([best, self._program]):
            try:
                graph = self._runtime.graph_of(way.run)
                if self._does(partial(self._done, graph)):
                    if reasons:
                        log.warning("a faster graph is left out: %s", reasons[0])
                    return way, graph
                reasons.append(DIFFERS)
            except MemoryError:
                raise
            except Exception as error:
                reasons.append(f"{type(error).__name__}: {error}")
        raise NoWayError(reasons[0])

    # Ways -------------------------------------------------------------------------------------------------------------

    def _done(self, step: Launch) -> list[Array]:
        if self._ran:
            # Otherwise a result that this variant fails to write would still hold the correct old values.
            self._runtime.clear(self._program.block)
        step()
        return self._program.left

    def _better(self, best: LaunchProgram, name: str, rewrite: Rewrite) -> LaunchProgram:
        """Return the program with more in its products, if it leaves the same in less time."""
        instructions = rewrite(best.plan, best.instructions)
        if instructions is None:
            return best
        try:
            other = best.rewritten(instructions)
            if not self._does(partial(self._done, other.run)):
                log.warning("%s within products changed the results of a step, and is left out.", name)
                return best
            self._undo()  # and its tick: a timing may do some 40 of the steps that are prepared
            slower = self._runtime.measures and self._runtime.fastest([[best.run], [other.run]]) == 0
            return best if slower else other
        except Exception as error:
            # As a rule cublasLt has no algorithm for it; whatever it is, the way without is still there.
            log.info("%s within products is left out: %s: %s", name, type(error).__name__, error)
            return best

    # Results of a step ------------------------------------------------------------------------------------------------

    def _copied(self, array: Array) -> Array:
        return self._runtime.copied(array)

    def _copy(self, target: Array, source: Array) -> None:
        self._runtime.copy(target, source)()

    def _same(self, arrays: Sequence[Array]) -> bool:
        distance = self._runtime.distance
        apart = list(map(distance, arrays, self._after))
        if self._near(apart):
            return True
        if self._exact is None:
            return False
        # The distance to the same step without rounding is measured only where the fixed limit does not suffice, as it
        # takes the memory of another training.
        exact, self._exact = self._exact, None
        try:
            changed = zip(map(distance, exact(self._before), self._after), self._scales, self._after, strict=True)
            parts = [far / by for far, (by, _), after in changed if after.dtype.kind == "f" and by > 0.0]
            self._rounded = max(self._rounded, min(FARTHER * max(parts, default=0.0), MOST))
        except Exception as error:
            log.info("a step without rounding is not compared: %s: %s", type(error).__name__, error)
        return self._near(apart)

    def _distance(self, array: Array, other: Array | None) -> float:
        return self._runtime.distance(array, other)

    def _tolerated(self, array: Array) -> float:
        """Where products round, one element may have the other sign, which is much of a short bias."""
        rounds = self._rounded > 0.0 and numpy.dtype(str(array.dtype)).itemsize == 4
        return self._rounded + min(2.0 / max(array.size, 1), 0.5) if rounds else 0.0


def rewrites_for(runtime: Runtime, operations: Operations) -> dict[str, Rewrite]:
    """Return the rewrites for a device, by name, in the order in which they are tried.

    Their calls compute what core's own operations do, so that one a backend overrides is no part of any.
    """
    found: dict[str, Rewrite] = {}
    if runtime.measures and runtime.epilogues and not overridden(operations, "affine"):
        found["relu"] = with_relu
    if runtime.tiles:
        found |= {
            "loops": partial(with_tiles, MOST_TERMS if runtime.measures else UNMEASURED),
            "sums of δ": with_sums,
        }
    return found
