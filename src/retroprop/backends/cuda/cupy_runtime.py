"""The runtime that is a GPU: CuPy's memory, streams and compiler, and products by what `cupy_products` finds."""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from math import inf
from typing import Any

import cupy

from retroprop.backends.cuda import switches, tuning
from retroprop.backends.cuda.products.cublaslt import WORKSPACE_BYTES, Epilogue, PreparedProduct, alignment
from retroprop.backends.cuda.products.cupy_products import contracted, dtype_of, mapped, products_here, rounds_here
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
MOST_ALGORITHMS, REPEATS = 5, 8


class CupyRuntime(Runtime):
    """CuPy on the device that is current, for one training.

    Parameters
    ----------
    precision : str
        "highest", "tf32" or "bf16", of products of float32.
    deterministic : bool
        Whether every call adds in the same order.
    """

    def __init__(self, *, precision: str = "highest", deterministic: bool = False) -> None:
        self.precision, self._deterministic = precision, deterministic
        device = cupy.cuda.runtime.getDevice()
        self._lt, _, contraction = products_here(device)
        # Nobody promises that cuTENSOR adds in one order.
        self._contraction = None if deterministic else contraction
        self._workspaces: dict[bool, Array] = {}
        self._side: Any = None
        self._events: list[Any] = []  # of a capture, for as long as it lasts
        # CuPy refuses its own products within a graph (cupy#6290).
        ours = self._lt is not None or self._contraction is not None
        self.graphs = ours and switches.enabled("graph")
        self.forks = self.graphs and switches.enabled("fork")
        # cublasLt's relu makes 0 of NaN, and ours does not.
        self.epilogues = self._lt is not None and precision != "highest" and switches.enabled("epilogue")
        self.measures = self.graphs and not deterministic and switches.enabled("autotune")
        self.descends = self._lt is not None and self.measures and switches.enabled("update")
        self.rounds = precision == "bf16" and rounds_here(device)

    # Memory -------------------------------------------------------------------------------------------------------

    def empty(self, nbytes: int) -> Array:
        return cupy.empty(nbytes, cupy.uint8)

    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any) -> Array:
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        return memory[offset : offset + nbytes].view(dtype).reshape(shape)

    def address(self, array: Array) -> int:
        return int(array.data.ptr)

    def constant(self, value: Any, dtype: Any) -> Array:
        return cupy.asarray(value, dtype)

    def clear(self, array: Array) -> None:
        array.fill(0)

    # Launches -----------------------------------------------------------------------------------------------------

    def kernel(self, text: str, blocks: tuple[int, int, int], threads: int, arguments: Sequence[Array]) -> Launch:
        function = compiled(text, cupy.cuda.runtime.getDevice())
        given = tuple(arguments)
        return lambda: function(blocks, (threads, 1, 1), given)

    def copy(self, target: Array, source: Array) -> Launch:
        return lambda: cupy.copyto(target, source)

    def copied(self, array: Array) -> Array:
        return array.copy()

    def distance(self, first: Array, second: Array | None = None) -> float:
        if second is None:
            return float(cupy.abs(first).sum(dtype="float64"))
        if first.dtype.kind != "f":
            return float((first != second).sum())
        same = (first == second) | (cupy.isnan(first) & cupy.isnan(second))
        return float(cupy.where(same, 0.0, cupy.abs(first - second)).sum(dtype="float64"))

    def product(
        self,
        first: Array,
        second: Array,
        result: Array,
        epilogue: Epilogue | None = None,
        *,
        factors: Array | None = None,
        beside: bool = False,
    ) -> Launch:
        if self._lt is None:
            return self._by_others(first, second, result)
        if beside not in self._workspaces:
            # Of one stream one product follows another, so that they share it.
            self._workspaces[beside] = self.empty(WORKSPACE_BYTES)
        workspace = self._workspaces[beside]
        call = PreparedProduct(
            self._lt, mapped(first, second, result), (second.data.ptr, first.data.ptr, result.data.ptr),
            dtype_of(first), self.precision, (workspace.data.ptr, WORKSPACE_BYTES), result=dtype_of(result),
            factors=0 if factors is None else factors.data.ptr, epilogue=epilogue, deterministic=self._deterministic,
        )  # fmt: skip
        keep = first, second, result, factors, workspace

        def launch(keep: Any = keep) -> None:
            call(cupy.cuda.get_current_stream().ptr)

        if self.measures:
            aligned = tuple(map(alignment, call.addresses))
            kind = ("" if epilogue is None else epilogue.kind) + ("" if factors is None else " update")
            about = call.product, dtype_of(first), dtype_of(result), self.precision, kind, aligned, WORKSPACE_BYTES
            self._tune(call, launch, (device_name(cupy.cuda.runtime.getDevice()), self._lt.version, *about))
        return launch

    def _tune(self, call: PreparedProduct, launch: Launch, what: tuple[Any, ...]) -> None:
        """Take the fastest of cublasLt's algorithms; its own order of them is right nine times of ten."""
        names = [one.algorithm.name for one in call.algorithms[:MOST_ALGORITHMS]]
        best = tuning.recalled(what)
        if best not in names:  # not measured yet, or the library offers others now
            seconds = []
            for number in range(len(names)):
                call.choose(number)
                seconds.append(self._seconds([launch]))
            best = names[min(range(len(names)), key=seconds.__getitem__)]
            if min(seconds) < inf:
                tuning.remember(what, best)
        call.choose(names.index(best))

    def fastest(self, ways: Sequence[Sequence[Launch]]) -> int:
        if not self.measures:
            return 0
        return min(range(len(ways)), key=[self._seconds(way) for way in ways].__getitem__)

    def _seconds(self, launches: Sequence[Launch]) -> float:
        """Return the device's time for some launches one after another, inf if they fail; as a graph, without gaps."""

        def repeated() -> None:
            for _ in range(REPEATS):
                for launch in launches:
                    launch()

        try:
            for launch in launches:
                launch()
            graph = self._recorded(repeated)
            begin, end = cupy.cuda.Event(), cupy.cuda.Event()
            graph()
            begin.record()
            graph()
            end.record()
            end.synchronize()
            return float(cupy.cuda.get_elapsed_time(begin, end)) / 1e3 / REPEATS
        except Exception as error:
            log.info("one way to a result is left out: %s: %s", type(error).__name__, error)
            return inf

    def _by_others(self, first: Array, second: Array, result: Array) -> Launch:
        if self._contraction is not None:
            return contracted(self._contraction, first, second, result, self.precision)
        if self.precision != "highest" and str(result.dtype) == "float32":
            raise RuntimeError(f"precision {self.precision!r} needs cublasLt or cuTENSOR, and neither is used here.")
        return lambda: cupy.matmul(first, second, out=result)

    def beside(self, launch: Launch) -> Launch:
        if self._side is None:
            self._side = cupy.cuda.Stream(non_blocking=True)
        side, here = self._side, cupy.cuda.get_current_stream()
        forked, done = cupy.cuda.Event(disable_timing=True), cupy.cuda.Event(disable_timing=True)
        self._events += [forked, done]
        forked.record(here)
        side.wait_event(forked)
        with side:
            launch()
            done.record(side)
        return lambda: here.wait_event(done)

    # Graphs -------------------------------------------------------------------------------------------------------

    def captured(self, launches: Launch) -> Launch:
        gc.collect()
        return self._recorded(launches)

    def _recorded(self, launches: Launch) -> Launch:
        stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
        stream.wait_event(cupy.cuda.get_current_stream().record())
        collects = gc.isenabled()
        # What is collected meanwhile might free memory or unload a module, which a capture does not survive.
        gc.disable()
        try:
            # All memory is there already; should CuPy want some, it stays with the graph.
            with stream, cupy.cuda.using_allocator(pool.malloc):
                stream.begin_capture()
                try:
                    launches()
                except BaseException:
                    with suppress(Exception):  # it ends the capture, and says again that it failed
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
        finally:
            self._events.clear()
            if collects:
                gc.enable()
        graph.upload(stream)
        stream.synchronize()
        keep = graph, pool, stream, launches  # whose arrays the graph has the addresses of

        def launch(keep: Any = keep) -> None:
            graph.launch()  # on the stream that is current, in order with all else

        return launch


@lru_cache(maxsize=4096)
def compiled(text: str, device: int) -> Callable[..., None]:
    """Return a kernel, compiled for the device now or read from CuPy's cache on disk."""
    kernel = cupy.RawKernel(text, "retroprop_kernel")  # as C++17, which is CuPy's own choice
    kernel.compile()
    found: Callable[..., None] = kernel
    return found


@lru_cache(maxsize=16)
def device_name(device: int) -> str:
    """Return what a device is called, as "NVIDIA H200"."""
    name = cupy.cuda.runtime.getDeviceProperties(device)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)
