"""A run: every network asked for, on every backend here, in rows that are timed together."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import retroprop as rp
from retroprop.backends import Backend, BackendInfo
from retroprop.bench import machine, memory, ours, peers, roofs
from retroprop.bench.contestant import Contestant, NotHereError
from retroprop.bench.others import Others
from retroprop.bench.progress import Silence
from retroprop.bench.results import Memory, Results, Row, Skipped, Timing
from retroprop.bench.settings import Settings
from retroprop.bench.timer import Pace, Warm, race, warm_up
from retroprop.bench.workloads import Problem, Workload, draw, parse

# Ours against scikit-learn's: 8,000 rows in batches of 200, five epochs.
_FIT = (parse("784-100-10@200"), 8000, 5)
# An epoch is about so much work, from 2 batches to 40.
_EPOCH_FLOPS = 2e10
# It is there to check portability; its time says nothing.
_NOT_TIMED = ("array_api_strict",)
# The part of a row's progress that is its warm-up.
_WARM = 0.4

Tick = Callable[[float, str], None]
Task = Callable[[Pace, Tick], None]
Entry = tuple[str, str, Callable[[], Contestant]]
"""Kind and name of a contestant, and what prepares it."""


def run(settings: Settings, progress: Silence | None = None) -> Results:
    """Measure; Ctrl-C ends it with the rows that are done.

    Raises
    ------
    ValueError, BackendUnavailableError
        If a backend is asked for by a name that is none, or that this machine has not.
    """
    progress = progress or Silence()
    try:
        progress.show(0.0, "looking for array libraries")
        return _Run(settings).all(progress)
    finally:
        progress.stop()


class _Run:
    """One run: what takes part, and what has been found."""

    def __init__(self, settings: Settings) -> None:
        if "jax" not in sys.modules:
            # JAX would take three quarters of a GPU's memory at its first array, and leave little to the others.
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        self.settings = settings
        self.libraries = rp.list_backends()
        self.backends = _opened(settings.backends, self.libraries)
        wanted = [peer for peer in peers.PEERS if peer.name in settings.peers]
        self.peers = [peer for peer in wanted if peer.missing() is None]
        names = [str(backend) for backend in self.backends]
        absent = {peer.name: reason for peer in wanted if (reason := peer.missing()) is not None}
        if settings.backends is None:
            absent |= {one.name: one.reason for one in self.libraries if one.reason and one.name not in _NOT_TIMED}
        self.others = Others()
        self.results = Results(
            machine={**machine.describe(), "backends": names, "gpus": machine.gpus(names)}, absent=absent
        )

    def all(self, progress: Silence) -> Results:
        tasks = list(self.tasks())
        pace = replace(self.settings.pace, budget=self.settings.seconds / max(1, len(tasks)))
        interrupted = False
        try:
            for n, (name, task) in enumerate(tasks):

                def tick(share: float, text: str, n: int = n, name: str = name) -> None:
                    progress.show((n + share) / len(tasks), f"{name}: {text}")

                task(pace, tick)
        except KeyboardInterrupt:
            interrupted = True
        described = {**self.results.machine, "others": self.others.share()}
        return replace(self.results, machine=described, interrupted=interrupted)

    def tasks(self) -> Iterator[tuple[str, Task]]:
        """Yield what is to be done, by name."""
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
        """Time single steps, and look at their memory."""
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
        row = Row(layer_sizes=list(workload.layer_sizes), batch=workload.batch, optimizer=optimizer, dtype=dtype)
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
        row = Row(
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
        """Measure what a backend can do at most."""
        tick(0.0, "a large product, a large sum")
        try:
            self.results.roofs.append(roofs.measure(backend, self.settings.dtypes[0], pace))
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


def _time(row: Row, entries: list[Entry], pace: Pace, tick: Tick) -> None:
    """Prepare, warm up and time the contestants of a row; who cannot take part is written down with the reason."""
    ready: list[Warm] = []
    for n, (kind, name, prepare) in enumerate(entries):
        tick(_WARM * n / len(entries), f"preparing {name}")
        try:
            ready.append(warm_up(prepare(), pace.warm_up))
        except NotHereError as error:
            row.skipped.append(Skipped(kind=kind, name=name, reason=str(error)))
        except Exception as error:  # whoever fails leaves the others their figures, here and below
            row.skipped.append(Skipped(kind=kind, name=name, reason=_reason(error)))
    for timed in race(ready, pace, tick=lambda share: tick(_WARM + (1.0 - _WARM) * share, "timing")):
        one = timed.contestant
        row.timings.append(Timing(kind=one.kind, name=one.name, calls=timed.calls, seconds=timed.seconds))


def _memory(backend: Backend, problem: Problem) -> Memory:
    try:
        return memory.measure(backend, problem)
    except Exception as error:
        return Memory(backend=str(backend), reason=_reason(error))


def _reason(error: Exception) -> str:
    """Return an error in one line."""
    first = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {first}"
