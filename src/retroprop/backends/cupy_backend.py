"""CuPy on an NVIDIA GPU."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import array_api_compat.cupy
import cupy

from retroprop.backends.backend import PLAIN, PRECISIONS, Backend, BackendUnavailableError, Demands, DeviceMemory
from retroprop.backends.cuda import switches
from retroprop.backends.cuda.cuda_step import CudaStep
from retroprop.backends.cuda.cupy_runtime import CupyRuntime, compiled, device_name
from retroprop.backends.cuda.pinned import pinned
from retroprop.backends.cuda.products.cupy_products import products_here
from retroprop.backends.host import Staging
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.functions.types import Array

# Needs no header, as no kernel of ours does; CuPy looks for CUDA's all the same.
TRIVIAL_KERNEL = 'extern "C" __global__ void retroprop_kernel() {}\n'


class CupyBackend(Backend):
    """CuPy on the GPU of a given number."""

    library: ClassVar[str] = "cupy"
    precisions: ClassVar[tuple[str, ...]] = PRECISIONS

    def __init__(self, number: int) -> None:
        super().__init__(array_api_compat.cupy, cupy.cuda.Device(number))

    @classmethod
    def open(cls, device: str | None) -> Backend:
        found = cls.devices()
        if not found:
            raise BackendUnavailableError(
                f"CuPy {cupy.__version__} is installed but finds no CUDA device (driver or GPU missing)."
            )
        number = (device or "0").removeprefix("cuda:")
        if number not in found:
            raise BackendUnavailableError(f"CuPy has no device {device!r}; it finds {', '.join(found)}.")
        backend = cls(int(number))
        backend._check_compiler()
        return backend

    def _check_compiler(self) -> None:
        """Raise BackendUnavailableError unless CuPy can compile a kernel: without one nothing trains."""
        try:
            with self.device:
                compiled(TRIVIAL_KERNEL, self.device.id)
        except Exception as error:
            # CUDA headers or NVRTC that are missing, a cache that cannot be written: CuPy has no one class for them.
            major = cupy.cuda.runtime.runtimeGetVersion() // 1000
            reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
            raise BackendUnavailableError(
                f"CuPy {cupy.__version__} finds a CUDA device but cannot compile a kernel for it ({reason}). "
                f"pip install 'retroprop[cuda{major}]' installs CuPy with the CUDA headers and the compiler it needs."
            ) from error

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        try:
            return tuple(map(str, range(cupy.cuda.runtime.getDeviceCount())))
        except cupy.cuda.runtime.CUDARuntimeError:
            return ()

    @classmethod
    def version(cls) -> str:
        return str(cupy.__version__)

    def device_name(self) -> str:
        return str(self.device.id)

    def product_name(self) -> str:
        return device_name(self.device.id)

    def belongs(self, x: Any) -> bool:
        return isinstance(x, cupy.ndarray)

    def _from_host(self, x: Array, dtype: str | None, copy: bool | None) -> Array:
        with self.device:
            return cupy.asarray(x if dtype is None else x.astype(dtype, copy=False))

    def to_numpy(self, x: Array) -> Array:
        return cupy.asnumpy(x)

    def synchronize(self) -> None:
        self.device.synchronize()

    def active(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self.device
        return context

    def memory(self) -> DeviceMemory | None:
        with self.device:
            free, total = cupy.cuda.runtime.memGetInfo()
            pool = cupy.get_default_memory_pool()
            # The pool returns no memory by itself, so that its size is the peak of the process.
            return DeviceMemory(int(free + pool.free_bytes()), int(total), int(pool.total_bytes()))

    def staging(self, shape: tuple[int, int], dtype: Any) -> Staging:
        with self.device:
            return pinned(shape, dtype) or super().staging(shape, dtype)

    def report(self) -> dict[str, str]:
        off = switches.disabled()
        with self.device:
            products = products_here(self.device.id).report
        memory = self.memory()
        assert memory is not None
        free, total, peak = memory.free / 2**30, memory.total / 2**30, memory.peak / 2**20
        return {
            "device": self.product_name(),
            "memory": f"{free:.1f} of {total:.1f} GiB free; the peak of this process is {peak:.0f} MiB",
            "products": products,
            "switched off": ", ".join(off) or "nothing",
        }

    def capture(
        self, step: Callable[..., Any], *, donate: tuple[int, ...] = (), demands: Demands = PLAIN
    ) -> CapturedStep:
        if not switches.enabled("kernels"):
            return super().capture(step, donate=donate, demands=demands)
        with self.device:
            runtime = CupyRuntime(precision=demands.precision, deterministic=demands.deterministic)
            return CudaStep(step, self.operations(), donate, runtime)
