"""Peak memory of training steps, as each library reports it."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from retroprop.backends import Backend
from retroprop.bench import ours
from retroprop.bench.results import PeakMemory
from retroprop.bench.workloads import Problem

_STEPS = 3


def measure(backend: Backend, problem: Problem) -> PeakMemory:
    """Return the memory a network in training holds on a backend; the batch is not counted."""
    way = _WAYS.get(_kind(backend))
    if way is None:
        return PeakMemory(backend=str(backend), reason=f"{backend.name} does not report it")
    # A first, unmeasured training: memory of imports and of compilation is not the step's.
    _train(backend, problem)
    peak, transient = way(backend, problem)
    # The batch: class indices become int32; x is used in place by NumPy, and copied by other libraries.
    batch = 4 * problem.y.size + (0 if backend.name == "numpy" else problem.x.nbytes)
    return PeakMemory(backend=str(backend), peak=peak - batch, transient=transient)


def _kind(backend: Backend) -> str:
    cuda = str(backend.device).startswith("cuda")
    return "torch on a GPU" if backend.name == "torch" and cuda else backend.name


def _train(backend: Backend, problem: Problem) -> Callable[[], Any]:
    """Bind a step and run it a few times; return a function that runs it once more."""
    step = ours.step(backend, problem)
    with backend.active():
        for _ in range(_STEPS):
            step.call()
        step.finish()

    def another() -> None:
        with backend.active():
            step.call()
            step.finish()

    return another


def _numpy(backend: Backend, problem: Problem) -> tuple[int, int]:
    """Return the peak and transient bytes of a step, measured by tracemalloc, which sees NumPy's arrays."""
    tracemalloc.start()
    try:
        another = _train(backend, problem)
        another()
        of_numpy = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
        stay = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([of_numpy]).traces)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        another()
        _, within = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return stay + within - before, within - before


def _cupy(backend: Backend, problem: Problem) -> tuple[int, int | None]:
    """Return the size of a memory pool of the step's own: it gives nothing back, so it holds the peak."""
    import cupy

    pool = cupy.cuda.MemoryPool()
    with backend.active(), cupy.cuda.using_allocator(pool.malloc):
        another = _train(backend, problem)
        another()
        total = pool.total_bytes()
        del another
    return int(total), None


def _torch_on_a_gpu(backend: Backend, problem: Problem) -> tuple[int, int]:
    import torch

    device = backend.device
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    another = _train(backend, problem)
    peak = torch.cuda.max_memory_allocated(device) - before
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    another()
    return int(peak), int(torch.cuda.max_memory_allocated(device) - held)


_WAYS: dict[str, Callable[[Backend, Problem], tuple[int, int | None]]] = {
    "numpy": _numpy,
    "cupy": _cupy,
    "torch on a GPU": _torch_on_a_gpu,
}
