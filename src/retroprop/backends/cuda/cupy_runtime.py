"""The `Runtime` of a GPU: CuPy's memory, streams and compiler, and products by cublasLt, else by CuPy."""

import gc
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from math import inf, prod
from typing import Any

import cupy
import numpy

from retroprop.backends.cuda import switches
from retroprop.backends.cuda.kernels.geometry import BLOCKS, THREADS
from retroprop.backends.cuda.kernels.plain_kernels import distance_source
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.products.cublaslt import WORKSPACE_BYTES, Epilogue, PreparedProduct, alignment
from retroprop.backends.cuda.products.cupy_products import dtype_of, mapped, products_here, rounds_here
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
# Launches in a timed window, several so that the start of their graph counts little, and windows of each candidate.
REPEATS, WINDOWS = 8, 3
# The fastest algorithm of each product, by all that the timing depends on; kept for the life of the process.
_fastest: dict[tuple[Any, ...], str] = {}


class CupyRuntime(Runtime):
    """CuPy on the current device, for one training; if `deterministic`, every call sums in the same order."""

    def __init__(self, *, precision: str = "highest", deterministic: bool = False) -> None:
        self.precision, self._deterministic = precision, deterministic
        device = cupy.cuda.runtime.getDevice()
        self._lt = products_here(device).lt
        self._workspace: Array | None = None
        # CuPy refuses its own products while a stream is captured.
        self.graphs = self._lt is not None and switches.enabled("graph")
        # cublasLt's relu turns NaN into 0, which the highest precision must not.
        self.epilogues = self._lt is not None and precision != "highest" and switches.enabled("epilogue")
        self.tiles = precision != "bf16" and switches.enabled("tiles")
        self.measures = self.graphs and not deterministic and switches.enabled("autotune")
        self.rounds = precision == "bf16" and rounds_here(device)

    def exact(self) -> "CupyRuntime":
        return CupyRuntime(deterministic=self._deterministic)

    # Memory -------------------------------------------------------------------------------------------------------

    def empty(self, nbytes: int) -> Array:
        return cupy.empty(nbytes, cupy.uint8)

    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any, *, fortran: bool = False) -> Array:
        flat = memory[offset : offset + prod(shape) * dtype.itemsize].view(dtype)
        return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)

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
        given = [array.reshape(-1) for array in (first, second) if array is not None]
        text = HEAD + distance_source(numpy.dtype(str(first.dtype)), two=len(given) == 2)
        blocks = max(min(-(-first.size // THREADS), BLOCKS), 1)
        parts = cupy.empty(blocks, "float64")
        kernel = compiled(text, cupy.cuda.runtime.getDevice())
        kernel((blocks, 1, 1), (THREADS, 1, 1), (*given, numpy.int64(first.size), parts))
        return float(parts.get().sum())

    def product(self, first: Array, second: Array, result: Array, epilogue: Epilogue | None = None) -> Launch:
        if self._lt is None:
            if self.precision != "highest" and str(result.dtype) == "float32":
                raise RuntimeError(f"precision {self.precision!r} needs cublasLt, which is not used here.")
            return lambda: cupy.matmul(first, second, out=result)
        if self._workspace is None:
            # Products run one after another, so that they share a workspace.
            self._workspace = self.empty(WORKSPACE_BYTES)
        workspace, lies = self._workspace, mapped(first, second, result)
        addresses, room = (second.data.ptr, first.data.ptr, result.data.ptr), (workspace.data.ptr, WORKSPACE_BYTES)
        call = PreparedProduct(
            self._lt, lies, addresses, dtype_of(first), self.precision, room, result=dtype_of(result),
            epilogue=epilogue, deterministic=self._deterministic,
        )  # fmt: skip
        keep = first, second, result, workspace  # the calls have their addresses only
        calls = [call.with_algorithm(k) for k in range(len(call.algorithms) if self.measures else 1)]
        launches: list[Launch] = [
            lambda one=one, keep=keep: one(cupy.cuda.get_current_stream().ptr)  # type: ignore[misc]
            for one in calls
        ]
        if len(launches) == 1:
            return launches[0]
        kind = "" if epilogue is None else epilogue.kind
        about = dtype_of(first), dtype_of(result), self.precision, kind, *map(alignment, addresses)
        device = device_name(cupy.cuda.runtime.getDevice())
        names = [one.algorithm.name for one in call.algorithms]
        return self._tuned(dict(zip(names, launches, strict=True)), (device, self._lt.version, lies, *about))

    # Timing -----------------------------------------------------------------------------------------------------------

    def _tuned(self, launches: dict[str, Launch], key: tuple[Any, ...]) -> Launch:
        """Return the fastest of the algorithms of a product, timed in place: at its addresses and their alignment."""
        if _fastest.get(key) not in launches:
            times = self._timed([self._repeated([launch]) for launch in launches.values()])
            _fastest[key] = list(launches)[times.index(min(times))]
        return launches[_fastest[key]]

    def fastest(self, ways: Sequence[Sequence[Launch]]) -> int:
        if not self.measures:
            return 0
        times = self._timed([self._repeated(way) for way in ways])
        return times.index(min(times))

    def _repeated(self, launches: Sequence[Launch]) -> Launch | None:
        """Return some launches, repeated, as a graph, so that no gap between them counts; None if they fail."""

        def repeated() -> None:
            for launch in [*launches] * REPEATS:
                launch()

        try:
            for launch in launches:
                launch()  # compiles and loads, which no capture may do
            return self._cuda_graph(repeated)
        except Exception as error:
            log.info("a candidate is left out of a timing: %s: %s", type(error).__name__, error)
            return None

    def _timed(self, graphs: Sequence[Launch | None]) -> list[float]:
        """Return the device's shortest time for each graph in milliseconds, inf for one that fails.

        A window of launches lasts some 10 µs, less than many a disturbance: the shortest of several counts. The windows
        of the candidates alternate, so that a change of the clock rate meets all of them.
        """
        running = {k: graph for k, graph in enumerate(graphs) if graph is not None}
        times = [inf] * len(graphs)
        for window in range(1 + WINDOWS):
            for k, graph in list(running.items()):
                try:
                    found = self._window(graph)
                    times[k] = min(times[k], found) if window else inf  # the first warms up
                except Exception as error:
                    log.info("a candidate is left out of a timing: %s: %s", type(error).__name__, error)
                    times[k] = inf
                    del running[k]
        return times

    def _window(self, graph: Launch) -> float:
        """Return the device's time for one launch of a graph, in milliseconds."""
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        graph()
        end.record()
        end.synchronize()
        return float(cupy.cuda.get_elapsed_time(begin, end))

    # Graphs -----------------------------------------------------------------------------------------------------------

    def graph_of(self, launches: Launch) -> Launch:
        gc.collect()
        return self._cuda_graph(launches)

    def _cuda_graph(self, launches: Launch) -> Launch:
        """Capture the launches of a function."""
        stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
        stream.wait_event(cupy.cuda.get_current_stream().record())
        collects = gc.isenabled()
        # A collection could free memory or unload a module, which invalidates a capture in progress.
        gc.disable()
        try:
            # All memory is allocated already; what CuPy may still ask for comes from a pool that lives with the graph.
            with stream, cupy.cuda.using_allocator(pool.malloc):
                stream.begin_capture()
                try:
                    launches()
                except BaseException:
                    with suppress(Exception):  # the stream must leave capture mode; that it fails again is known
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
        finally:
            if collects:
                gc.enable()
        graph.upload(stream)
        stream.synchronize()
        keep = graph, pool, stream, launches  # whose arrays the graph has the addresses of
        return lambda keep=keep: keep[0].launch()  # type: ignore[misc]  # on the current stream, in order with all else


@lru_cache(maxsize=4096)
def compiled(text: str, device: int) -> Any:
    """Return a kernel, compiled for the device now or read from CuPy's cache on disk.

    CuPy compiles as C++17, and always with `-ftz=true`: kernels flush subnormal numbers of float32 to 0.
    """
    kernel = cupy.RawKernel(text, "retroprop_kernel")
    kernel.compile()
    return kernel


@lru_cache(maxsize=16)
def device_name(device: int) -> str:
    """Return the product name of a device, as "NVIDIA H200"."""
    name = cupy.cuda.runtime.getDeviceProperties(device)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)
