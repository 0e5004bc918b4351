"""PyTorch's tensors, on the CPU or a GPU, without its automatic differentiation."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import array_api_compat.torch
import torch

from retroprop.backends.backend import PLAIN, Backend, BackendUnavailableError, Demands, DeviceMemory
from retroprop.backends.cpu import numba_target
from retroprop.backends.cpu.source_program import ReplayedStep
from retroprop.backends.cpu.torch_calls import TorchCalls
from retroprop.backends.cpu.torch_loops import TorchLoops
from retroprop.backends.cuda import switches
from retroprop.backends.cuda.torch_graph import GraphedStep
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.functions.types import Array


class TorchBackend(Backend):
    """PyTorch on one of its devices."""

    library: ClassVar[str] = "torch"

    def __init__(self, device: str) -> None:
        # "cuda" becomes "cuda:0", as its tensors say
        super().__init__(array_api_compat.torch, torch.empty(0, device=device).device)
        if self.device.type == "cpu":
            self.stacked = 24_000.0  # a step of 64-100-10 at 200 rows (3e4) takes twice the time of single ones

    @classmethod
    def open(cls, device: str | None) -> Backend:
        found = cls.devices()
        wanted = device or found[0]
        if wanted not in found and f"{wanted}:0" not in found:
            message = f"PyTorch {torch.__version__} has no device {wanted!r}; it finds {', '.join(found)}."
            raise BackendUnavailableError(message)
        return cls(wanted)

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return (*(f"cuda:{number}" for number in range(n_gpus)), "cpu")

    @classmethod
    def version(cls) -> str:
        return str(torch.__version__)

    def product_name(self) -> str:
        return str(torch.cuda.get_device_name(self.device)) if self.device.type == "cuda" else ""

    def belongs(self, x: Any) -> bool:
        return isinstance(x, torch.Tensor)

    def asarray(self, x: Any, dtype: str | None = None, *, copy: bool | None = None) -> Array:
        # Detached from PyTorch's graph: the derivatives here are ours. Others stay as they are, with their tangents.
        return super().asarray(x.detach() if self.belongs(x) and x.requires_grad else x, dtype, copy=copy)

    def _from_host(self, x: Array, dtype: str | None, copy: bool | None) -> Array:
        # A copy always: a tensor over NumPy's memory would change with it, and read-only memory is refused.
        x = x.astype(dtype or x.dtype, copy=True, order="C")
        return torch.from_numpy(x).to(self.device)

    def ordered_as(self, array: Array, like: Array) -> Array:
        return array if like.is_contiguous() else array.mT.contiguous().mT

    def to_numpy(self, x: Array) -> Array:
        return x.detach().cpu().numpy()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def active(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = torch.no_grad()
        return context

    def memory(self) -> DeviceMemory | None:
        if self.device.type != "cuda":
            return None
        free, total = torch.cuda.mem_get_info(self.device)
        unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return DeviceMemory(free + unused, total, int(torch.cuda.max_memory_allocated(self.device)))

    def out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, (MemoryError, torch.OutOfMemoryError))

    def repeats(self) -> bool:
        return bool(self.device.type == "cpu")

    def capture(
        self, step: Callable[..., Any], *, donate: tuple[int, ...] = (), demands: Demands = PLAIN
    ) -> CapturedStep:
        compiles = self.device.type == "cpu" and numba_target.worthwhile(demands.work)
        target = TorchLoops() if compiles else TorchCalls(self.device)
        replayed = ReplayedStep(step, self.operations(), donate, target)
        replayed.varied, replayed.compiled = demands.varied, compiles
        if self.device.type == "cuda" and donate and switches.enabled("graph"):
            return GraphedStep(replayed, self.device)
        return replayed
