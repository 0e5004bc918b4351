"""JAX, on the CPU, a GPU or a TPU."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import lru_cache, partial
from typing import Any, ClassVar

import jax
import jax.numpy
import numpy

from retroprop.backends.backend import PLAIN, PRECISIONS, Backend, BackendUnavailableError, Demands, DeviceMemory
from retroprop.backends.masks import Masks
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.backends.split_rows import SplitRows, replicated
from retroprop.core.operations import Operations, overridden
from retroprop.functions.types import Array, Device, DType


def _found() -> dict[str, Device]:
    """Return JAX's devices by the name a user gives: its default platform first, the CPU last."""
    try:
        devices = list(jax.devices())
    except (RuntimeError, AssertionError) as error:
        message = f"JAX {jax.__version__} is installed but finds no device ({error})."
        raise BackendUnavailableError(message) from error
    if jax.default_backend() != "cpu":
        with suppress(RuntimeError):  # JAX_PLATFORMS may leave the CPU out
            devices += jax.devices("cpu")
    return {f"{'cuda' if d.platform == 'gpu' else d.platform}:{d.id}": d for d in devices}


class JaxBackend(Backend):
    """JAX on one of its devices, or on several of one kind, each of which has all arrays.

    On several, each computes its part of the rows of a batch, and XLA adds up the gradients: see `SplitRows`.
    """

    library: ClassVar[str] = "jax"
    precisions: ClassVar[tuple[str, ...]] = PRECISIONS

    def __init__(self, devices: tuple[Device, ...], spelled: str) -> None:
        super().__init__(jax.numpy, devices[0] if len(devices) == 1 else replicated(devices))
        self._devices, self._spelled = devices, spelled

    @property
    def platform(self) -> str:
        """The kind of its devices: "cpu", "gpu" or "tpu"."""
        return str(self._devices[0].platform)

    @classmethod
    def open(cls, device: str | None) -> Backend:
        found = _found()
        wanted = device or next(iter(found))
        if wanted.endswith("*"):
            kind = wanted.removesuffix("*").removesuffix(":") or next(iter(found)).partition(":")[0]
            if several := tuple(one for name, one in found.items() if name.partition(":")[0] == kind):
                return cls(several, f"{kind}:*")
        wanted = wanted if ":" in wanted else f"{wanted}:0"
        if wanted not in found:
            message = f"JAX {jax.__version__} has no device {device!r}; it finds {', '.join(found)}."
            raise BackendUnavailableError(message)
        return cls((found[wanted],), wanted)

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return tuple(_found())

    @classmethod
    def version(cls) -> str:
        return str(jax.__version__)

    def device_name(self) -> str:
        return self._spelled

    def dtype(self, name: str) -> DType:
        if name == "float64" and not jax.config.jax_enable_x64:
            raise TypeError(
                "JAX computes in float32 unless its x64 switch is on: call "
                'jax.config.update("jax_enable_x64", True) at the start of the program (or set '
                'JAX_ENABLE_X64=1), or ask for dtype="float32".'
            )
        return getattr(jax.numpy, name)

    def product_name(self) -> str:
        n, kind = len(self._devices), "" if self.platform == "cpu" else str(self._devices[0].device_kind)
        return kind if n == 1 else f"{n} x {kind or 'processor'}"

    def belongs(self, x: Any) -> bool:
        return isinstance(x, jax.Array)

    def owns(self, x: Any) -> bool:
        # A tracer of `jit`, `vmap` or `grad` has no device: its function runs where the arguments are.
        return self.belongs(x) and (self.is_traced(x) or x.devices() == set(self._devices))

    def is_traced(self, x: Any) -> bool:
        return isinstance(x, jax.core.Tracer)

    def _from_host(self, x: Array, dtype: str | None, copy: bool | None) -> Array:
        if dtype is not None:
            self.dtype(dtype)
        # Waited for: JAX reads NumPy's memory later than this call, and the caller may write to it meanwhile.
        return jax.block_until_ready(jax.device_put(x.astype(dtype or x.dtype, copy=True), self.device))

    def to_numpy(self, x: Array) -> Array:
        return numpy.asarray(x)

    def synchronize(self) -> None:
        # A device runs what it is given in order, so the end of this is the end of all before it.
        jax.block_until_ready(jax.device_put(0.0, self.device) + 0.0)

    def active(self) -> AbstractContextManager[Any]:
        stack = ExitStack()
        stack.enter_context(jax.default_device(self._devices[0]))
        # On a GPU or TPU a float32 product is otherwise rounded to TF32 or bfloat16 first.
        stack.enter_context(jax.default_matmul_precision("highest"))
        return stack

    def memory(self) -> DeviceMemory | None:
        reported: dict[str, int] = ({} if self.platform == "cpu" else self._devices[0].memory_stats()) or {}
        if not {"bytes_limit", "bytes_in_use", "peak_bytes_in_use"} <= set(reported):
            return None
        total = reported["bytes_limit"]
        return DeviceMemory(total - reported["bytes_in_use"], total, reported["peak_bytes_in_use"])

    def out_of_memory(self, error: Exception) -> bool:
        return super().out_of_memory(error) or "RESOURCE_EXHAUSTED" in str(error)

    def check_demands(self, demands: Demands, dtype: str) -> None:
        if self.platform == "cpu" and demands.precision in PRECISIONS[1:]:
            raise ValueError(
                f"precision={demands.precision!r} needs a GPU or TPU: {self} computes in the dtype it is given."
            )
        super().check_demands(demands, dtype)

    def repeats(self) -> bool:
        return self.platform == "cpu" and len(self._devices) == 1

    def operations(self) -> Operations:
        """Return the operations, which divide the rows of a batch among several devices."""
        plain = super().operations()
        return plain if len(self._devices) == 1 else SplitRows(self.xp, self.device)

    def capture(
        self, step: Callable[..., Any], *, donate: tuple[int, ...] = (), demands: Demands = PLAIN
    ) -> CapturedStep:
        own = type(self.operations()) is SplitRows
        capture = CompiledStep if overridden(self.operations()) and not own else _compiled
        return capture(self, step, donate, demands.precision)


# Rows times parameters up to which a scan is faster on a CPU: XLA computes the products within a scan on one thread. On
# two cores 784-256-256-10 at 128 rows (3e7) took 0.7 of the time of calls, 784-1024-1024-10 at 1024 (2e9) 1.8 times it.
SMALL = 10**8
# Bytes of masks that one scan is given: JAX has no 64-bit words without its x64 switch, so the host draws them.
MASK_BYTES = 2**25


class CompiledStep(CapturedStep):
    """A step compiled by XLA; it holds no buffers, so trainings share it and compile once."""

    runs: ClassVar[bool] = True

    def __init__(self, backend: JaxBackend, step: Callable[..., Any], donate: tuple[int, ...], precision: str) -> None:
        super().__init__(step, backend.operations(), donate)
        self._on_cpu, self._precision = backend.platform == "cpu", precision
        self._one = jax.jit(partial(step, self._operations), donate_argnums=donate)
        self._many = jax.jit(self._scanned, donate_argnums=donate)

    def __call__(self, *arguments: Any) -> Any:
        with self._rounded():
            return self._one(*arguments)

    def run(
        self, parameters: Any, state: Any, hypers: Any, data: Any, rows: Array, masks: Masks | None = None
    ) -> tuple[Any, Any, Array] | None:
        """Do a step for each of `hypers` within one `scan`."""
        if self._on_cpu and rows.shape[1] * sum(leaf.size for leaf in jax.tree.leaves(parameters)) > SMALL:
            return None
        # Each takes the dtype of the parameters, as a Python number in a formula does.
        dtype = jax.tree.leaves(parameters)[0].dtype
        columns = tuple(numpy.asarray(column, dtype) for column in zip(*hypers, strict=True))
        most, costs = len(hypers) if masks is None else _steps_at_once(masks), []
        with self._rounded():
            for at in range(0, len(hypers), most):
                numbers, some = tuple(column[at : at + most] for column in columns), rows[at : at + most]
                drawn = None if masks is None else _drawn(masks.after(at), len(some))
                parameters, state, cost = self._many(parameters, state, numbers, data, some, drawn)
                costs.append(cost)
        return parameters, state, costs[0] if len(costs) == 1 else jax.numpy.concatenate(costs)

    def _rounded(self) -> AbstractContextManager[Any]:
        """Return the context of a lower precision of products, if that is demanded; `active` sets the highest."""
        if self._precision == "highest":
            return nullcontext()
        context: AbstractContextManager[Any] = jax.default_matmul_precision(_PRECISION[self._precision])
        return context

    def _scanned(
        self, parameters: Any, state: Any, hypers: Any, data: Any, rows: Array, drawn: Any
    ) -> tuple[Any, Any, Array]:
        kept, scales = (None, ()) if drawn is None else drawn

        def step(carried: Any, each: Any) -> Any:
            hyper, some, kept = each
            # mask/(1−p)
            masks = kept and tuple(None if k is None else k * s for k, s in zip(kept, scales, strict=True))
            parameters, state, cost, *_ = self._step(self._operations, *carried, hyper, data, some, masks)
            return (parameters, state), cost

        (parameters, state), costs = jax.lax.scan(step, (parameters, state), (hypers, rows, kept))
        return parameters, state, costs


def _steps_at_once(masks: Masks) -> int:
    """Return for how many steps the masks fit into memory: a power of two, so that runs have few lengths."""
    layers, m, _ = masks.form
    bytes_of_a_step = m * sum(one.n for one in layers if one is not None)
    return int(2 ** (max(MASK_BYTES // bytes_of_a_step, 1).bit_length() - 1))


def _drawn(masks: Masks, steps: int) -> tuple[Any, Any]:
    """Return for each hidden layer which neurons are kept, (steps, m, n_l), and 1/(1−p); None without dropout."""
    layers, m, dtype = masks.form
    after = [masks.step + t for t in range(steps)]
    kept = tuple(one and numpy.stack([masks.stream.kept(one, t, m) for t in after]) for one in layers)
    return kept, tuple(one and numpy.asarray(one.scale, dtype) for one in layers)


_compiled = lru_cache(maxsize=32)(CompiledStep)
# JAX's own "bfloat16" means TF32 on a GPU; the name of an algorithm is unambiguous.
_PRECISION = {"tf32": "tensorfloat32", "bf16": "BF16_BF16_F32"}
