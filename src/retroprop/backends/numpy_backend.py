"""NumPy on the CPU: the backend that is always available."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

import numpy

from retroprop.backends import host
from retroprop.backends.backend import PLAIN, Backend, BackendUnavailableError, Demands
from retroprop.backends.cpu import numba_target
from retroprop.backends.cpu.native_rules import WIDEST, work_of_many
from retroprop.backends.cpu.native_stack import NativeStack
from retroprop.backends.cpu.native_step import NativeStep
from retroprop.backends.cpu.numba_target import worthwhile_as_a_whole
from retroprop.backends.cpu.numpy_calls import NumpyCalls
from retroprop.backends.cpu.source_program import ReplayedStep
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.operations import overridden
from retroprop.functions.types import Array


class NumpyBackend(Backend):
    """NumPy, whose own namespace follows the standard."""

    library: ClassVar[str] = "numpy"
    cache: ClassVar[int | None] = 2**22
    # 32 networks of 20-50-3 at 128 rows (9e3) took 0.5 of the time of single ones, at 256 rows (2e4) 0.7; of 64-100-10
    # at 200 rows (3e4) 1.1, whose arrays are larger than the caches (one thread of an Intel Xeon).
    stacked = 24_000.0

    def __init__(self) -> None:
        super().__init__(numpy, "cpu")

    @classmethod
    def open(cls, device: str | None) -> Backend:
        if device not in (None, "cpu"):
            raise BackendUnavailableError(f"NumPy has one device, 'cpu', not {device!r}.")
        return cls()

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return ("cpu",)

    @classmethod
    def version(cls) -> str:
        return numpy.__version__

    def device_name(self) -> str:
        return ""

    def owns(self, x: Any) -> bool:
        return isinstance(x, (numpy.ndarray, numpy.generic))

    belongs = owns

    def to_numpy(self, x: Array) -> Array:
        return numpy.asarray(x)

    def ordered_as(self, array: Array, like: Array) -> Array:
        return array if like.flags.c_contiguous else numpy.asfortranarray(array)

    def stacks(self, sizes: Sequence[int], m: int, work: float) -> bool:
        # Compiled steps are done network by network.
        whole = max(sizes) <= WIDEST and worthwhile_as_a_whole(work_of_many(sizes, work))
        return whole or super().stacks(sizes, m, work)

    def report(self) -> dict[str, str]:
        return numba_target.report()

    def active(self) -> AbstractContextManager[Any]:
        return host.quiet()

    def capture(
        self, step: Callable[..., Any], *, donate: tuple[int, ...] = (), demands: Demands = PLAIN
    ) -> CapturedStep:
        operations, compiles = self.operations(), numba_target.worthwhile(demands.work)
        captured: ReplayedStep
        one = demands.one
        work = demands.work if one is None else work_of_many(one.architecture.layer_sizes, demands.work)
        # An operation that is overridden may hold state: it is recorded once.
        if donate and not demands.varied and not overridden(operations) and worthwhile_as_a_whole(work):
            make = NativeStep if one is None else partial(NativeStack, one=one)
            captured = make(step, operations, donate)
        else:
            captured = ReplayedStep(step, operations, donate, numba_target.NumbaLoops() if compiles else NumpyCalls())
        captured.varied, captured.compiled = demands.varied, compiles
        return captured
