"""A run of the benchmark: every requested network on every available backend, in rows that are timed together."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import retroprop as rp
from retroprop.backends import Backend, BackendInfo
from retroprop.bench import machine, ours, peak_memory, peaks, peers
from retroprop.bench.contestant import Contestant, UnavailableContestantError
from retroprop.bench.processor_load import ProcessorLoad
from retroprop.bench.results import PeakMemory, ResultRow, Results, Skipped, Timing
from retroprop.bench.settings import Settings
from retroprop.bench.timer import Pace, Warm, race, warm_up
from retroprop.bench.workloads import Problem, Workload, draw, parse
from retroprop.training.progress import Line

# The training that is compared with scikit-learn's: 8,000 rows in batches of 200, five epochs.
_FIT = (parse("784-100-10@200"), 8000, 5)
# The work of a timed epoch, in from 2 to 40 batches.
_EPOCH_FLOPS = 2e10
# array_api_strict checks portability; its time means nothing.
_NOT_TIMED = ("array_api_strict",)
# The fraction of a row's progress that its warm-up stands for.
_WARM = 0.4

Tick = Callable[[float, str], None]
Task = Callable[[Pace, Tick], None]
Entry = tuple[str, str, Callable[[], Contestant]]
"""Kind and name of a contestant, and the function that prepares it."""


def run(settings: Settings, progress: Line | None = None) -> Results:
    """Return the results of a run; Ctrl-C ends it with the rows that are done.

    Parameters
    ----------
    settings : Settings
        The networks, backends and peers.
    progress : Line, optional
        A display of the progress.

    Raises
    ------
    ValueError, BackendUnavailableError
        If the name of a backend is unknown, or the backend is not available on this machine.
    """
    try:
        return _Run(settings, progress).all()
    finally:
        if progress is not None:
            progress.stop()


class _Run:
    """One run: its contestants, and the results so far."""

    def __init__(self, settings: Settings, progress: Line | None) -> None:
        if "jax" not in sys.modules:
            # JAX would take three quarters of a GPU's memory at its first array, and leave little to the others.
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        self.settings, self.progress = settings, progress
        self.show(0.0, "looking for array libraries")
        self.libraries = rp.list_backends()
        self.backends = _opened(settings.backends, self.libraries)
        wanted = [peer for peer in peers.PEERS if peer.name in settings.peers]
        self.peers = [peer for peer in wanted if peer.missing() is None]
        names = [str(backend) for backend in self.backends]
        absent = {peer.name: reason for peer in wanted if (reason := peer.missing()) is not None}
        if settings.backends is None:
            absent |= {one.name: one.reason for one in self.libraries if one.reason and one.name not in _NOT_TIMED}
        about = {**machine.describe(), "backends": names, "gpus": machine.gpus(names)}
        self.load, self.results = ProcessorLoad(), Results(machine=about, absent=absent)

    def show(self, share: float, text: str) -> None:
        if self.progress is not None and self.progress.due:
            self.progress.show(share, text, f"{100.0 * share:.0f} %")

    def all(self) -> Results:
        tasks = list(self.tasks())
        pace = replace(self.settings.pace, budget=self.settings.seconds / max(1, len(tasks)))
        interrupted = False
        try:
            for n, (name, task) in enumerate(tasks):

                def tick(share: float, text: str, n: int = n, name: str = name) -> None:
                    self.show((n + share) / len(tasks), f"{name}: {text}")

                task(pace, tick)
        except KeyboardInterrupt:
            interrupted = True
        described = {**self.results.machine, "others": self.load.share()}
        return replace(self.results, machine=described, interrupted=interrupted)

    def tasks(self) -> Iterator[tuple[str, Task]]:
        """Yield the tasks of the run, each with its name."""
        settings = self.settings
        for dtype in settings.dtypes:
            for workload in settings.workloads:
                for optimizer in settings.optimizers:
                    yield f"{workload.name} {optimizer} {dtype}", partial(self.steps, workload, optimizer, dtype)
        whole = [_FIT] if settings.fits else []
        if settings.epochs:
            batches = [(w, min(40, max(2, round(_EPOCH_FLOPS / w.flops)))) for w in settings.workloads]
            whole += [(w, n * w.batch, 1) for w, n in batches]
        for workload, rows, epochs in whole:
            for optimizer in settings.optimizers:
                yield f"fit of {workload.name} {optimizer}", partial(self.fits, workload, optimizer, rows, epochs)
        if settings.roofs:
            for backend in self.backends:
                yield f"peaks of {backend}", partial(self.roof, backend)

    def steps(self, workload: Workload, optimizer: str, dtype: str, pace: Pace, tick: Tick) -> None:
        """Time single steps, and measure their memory."""
        problem = draw(workload, optimizer, dtype)
        entries: list[Entry] = [
            (part, str(backend), partial(ours.prepare, backend, problem, part))
            for backend in self.backends
            for part in self.settings.parts
        ]
        entries += [
            ("peer", peer.called(device), partial(peers.prepare, peer, problem, device))
            for peer, device in self._steppers()
        ]
        row = ResultRow(layer_sizes=list(workload.layer_sizes), batch=workload.batch, optimizer=optimizer, dtype=dtype)
        _time(row, entries, pace, tick)
        if self.settings.memory:
            tick(1.0, "memory")
            here = [backend for backend in self.backends if row.timing("step", str(backend)) is not None]
            row.memory.extend(_memory(backend, problem) for backend in here)
        self.results.rows.append(row)

    def fits(self, workload: Workload, optimizer: str, rows: int, epochs: int, pace: Pace, tick: Tick) -> None:
        """Time whole trainings from host data."""
        dtype = self.settings.dtypes[0]
        problem = draw(workload, optimizer, dtype, rows=rows)
        entries: list[Entry] = [
            ("fit", str(backend), partial(ours.whole_fit, backend, problem, epochs)) for backend in self.backends
        ]
        entries += [
            ("peer", peer.name, partial(peers.prepare, peer, problem, epochs=epochs))
            for peer in self.peers
            if peer.fits
        ]
        row = ResultRow(
            layer_sizes=list(workload.layer_sizes),
            batch=workload.batch,
            optimizer=optimizer,
            dtype=dtype,
            data_rows=rows,
            epochs=epochs,
        )
        _time(row, entries, pace, tick)
        self.results.rows.append(row)

    def roof(self, backend: Backend, pace: Pace, tick: Tick) -> None:
        """Measure the peaks of a backend."""
        tick(0.0, "a large product, a large sum")
        try:
            self.results.roofs.append(peaks.measure(backend, self.settings.dtypes[0], pace))
        except Exception as error:
            self.results.absent[f"peaks of {backend}"] = _reason(error)

    def _steppers(self) -> Iterator[tuple[peers.Peer, str]]:
        for peer in (peers.HAND_WRITTEN, *self.peers):
            if not peer.fits:
                for device in peer.devices(self.libraries):
                    yield peer, device


def _opened(names: tuple[str, ...] | None, libraries: list[BackendInfo]) -> list[Backend]:
    if names is None:
        usable = [info for info in libraries if info.available and info.name not in _NOT_TIMED]
        names = tuple(f"{info.name}:{device}" for info in usable for device in info.devices)
    return [rp.get_backend(name) for name in names]


def _time(row: ResultRow, entries: list[Entry], pace: Pace, tick: Tick) -> None:
    """Prepare, warm up and time the contestants of a row; one that cannot take part is recorded with the reason."""
    ready: list[Warm] = []
    for n, (kind, name, prepare) in enumerate(entries):
        tick(_WARM * n / len(entries), f"preparing {name}")
        try:
            ready.append(warm_up(prepare(), pace.warm_up))
        except UnavailableContestantError as error:
            row.skipped.append(Skipped(kind=kind, name=name, reason=str(error)))
        except Exception as error:  # one that fails leaves the others their figures, here and below
            row.skipped.append(Skipped(kind=kind, name=name, reason=_reason(error)))
    for timed in race(ready, pace, tick=lambda share: tick(_WARM + (1.0 - _WARM) * share, "timing")):
        one = timed.contestant
        row.timings.append(Timing(kind=one.kind, name=one.name, calls=timed.calls, seconds=timed.seconds))


def _memory(backend: Backend, problem: Problem) -> PeakMemory:
    try:
        return peak_memory.measure(backend, problem)
    except Exception as error:
        return PeakMemory(backend=str(backend), reason=_reason(error))


def _reason(error: Exception) -> str:
    """Return an error in one line."""
    first = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {first}"
