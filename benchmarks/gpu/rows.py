"""One row of the GPU benchmark: contestants of one network at one precision, timed in turns."""

import gc
import logging
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gpu import own, peers
from retroprop.backends import BackendUnavailableError, get_backend
from retroprop.bench import ours
from retroprop.bench.contestant import Contestant, UnavailableContestantError
from retroprop.bench.timer import Pace, Warm, race, warm_up
from retroprop.bench.workloads import Problem, draw, parse

NETWORKS = (
    "784-100-10@128", "784-100-10@4096", "784-256-256-10@128", "784-1024-1024-10@1024", "784-1024-1024-10@4096",
    "256x9@256", "2048x4@4096", "4096x4@4096", "784-2500-2000-1500-1000-500-10@256",
)  # fmt: skip
PACE = Pace(budget=8.0, timing=0.03, warm_up=0.1, lead_after_others=0.02, rounds=(5, 15))
OURS = ("products", "launched", "captured", "run")
RIVALS = ("torch eager", "torch graph", "torch.compile", "torch compiled graph", "JAX jit", "JAX scan")
HOST = ("numpy",)  # it needs no GPU
ALL = (*OURS, *RIVALS, *HOST)
LAST = ("torch.compile", "torch compiled graph")  # their compilation may take minutes
# Each group is a process: the graphs of torch.compile clear memory of cuBLAS that a graph captured by hand still reads.
GROUPS = (OURS, ("torch eager", "torch graph"), ("JAX jit", "JAX scan"), HOST, *((name,) for name in LAST))

Made = tuple[Contestant, int]


def _makers(problem: Problem, precision: str) -> dict[str, Callable[[], Made]]:
    """Return a function for each contestant, which makes it and returns the number of steps in a call too."""

    def on_cupy(make: Callable[..., Any], **options: Any) -> Made:
        found = make(get_backend("cupy"), problem, precision, **options)
        return found if isinstance(found, tuple) else (found, 1)

    return {
        "products": lambda: on_cupy(own.products),
        "launched": lambda: on_cupy(own.one_by_one, graph=False),
        "captured": lambda: on_cupy(own.one_by_one, graph=True),
        "run": lambda: on_cupy(own.runs),
        "torch eager": lambda: (peers.torch_eager(problem, precision), 1),
        "torch graph": lambda: (peers.torch_graph(problem, precision), 1),
        "torch.compile": lambda: (peers.torch_compiled(problem, precision), 1),
        "torch compiled graph": lambda: (peers.torch_compiled_graph(problem, precision), 1),
        "JAX jit": lambda: peers.jax_steps(problem, precision, scanned=False),
        "JAX scan": lambda: peers.jax_steps(problem, precision, scanned=True),
        "numpy": lambda: (ours.step(get_backend("numpy"), problem), 1),
    }


class GpuRow:
    """Some contestants of a row, timed in this process.

    Parameters
    ----------
    network : str
        A name for `workloads.parse`.
    precision : str
        "highest", "tf32" or "bf16"; NumPy ignores it.
    wanted : sequence of str
        Names of `ALL`.
    optimizer : str
        "adam" or "sgd".
    pace : Pace
        How long and how often they are timed.

    Attributes
    ----------
    cells : dict
        For each contestant either "median", "low", "high" and "all" in seconds per step, as far as it was timed, or
        the "reason" why it was not, with "failed" if another try may succeed; and "warnings" about faster ways that
        the library gave up.
    """

    def __init__(
        self, network: str, precision: str, wanted: Sequence[str], *, optimizer: str = "adam", pace: Pace = PACE
    ) -> None:
        self.cells: dict[str, dict[str, Any]] = {}
        self._pace, self._done = pace, 0
        self._warm: dict[str, Warm] = {}
        self._steps: dict[str, int] = {}
        self._makers = _makers(draw(parse(network), optimizer=optimizer, dtype="float32"), precision)
        self._wanted = [name for name in self._makers if name in wanted]

    def warm_up(self) -> None:
        """Make the contestants, and run each until its pace is known."""
        for name in self._wanted:
            with self._given_up([name]):
                try:
                    contestant, self._steps[name] = self._makers[name]()
                    self._warm[name] = warm_up(contestant, self._pace.warm_up)
                except (UnavailableContestantError, ImportError) as error:
                    # A missing package stays missing; a device that did not answer may answer the next time.
                    asked_again = {"failed": True} if isinstance(error, BackendUnavailableError) else {}
                    self._cell(name).update(reason=str(error), **asked_again)
                except Exception as error:  # one that fails leaves the others their figures
                    self._cell(name).update(reason=f"{type(error).__name__}: {error}", failed=True)
            gc.collect()

    def round(self) -> None:
        """Time each contestant once more; the first one changes from round to round."""
        names = list(self._warm)
        first = self._done % max(len(names), 1)
        names, self._done = names[first:] + names[:first], self._done + 1
        with self._given_up(names):
            timed = race([self._warm[name] for name in names], replace(self._pace, rounds=(1, 1)))
        for name, one in zip(names, timed, strict=True):
            cell = self._cell(name)
            cell["all"] = [*cell.get("all", ()), *(s / self._steps[name] for s in one.seconds)]
            several = len(cell["all"]) > 1
            cell["low"], cell["median"], cell["high"] = (
                statistics.quantiles(cell["all"], n=4) if several else cell["all"] * 3
            )

    def _cell(self, name: str) -> dict[str, Any]:
        return self.cells.setdefault(name, {})

    @contextmanager
    def _given_up(self, names: Sequence[str]) -> Iterator[None]:
        """Record the warnings of the library meanwhile: the step that is timed is not the one the table names."""
        handler = _Warnings()
        logger = logging.getLogger("retroprop")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            for name in names if handler.messages else ():
                cell = self._cell(name)
                cell["warnings"] = [*cell.get("warnings", ()), *handler.messages]


class _Warnings(logging.Handler):
    """Keeps the messages of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(record.getMessage())
