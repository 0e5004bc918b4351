"""One row of the GPU benchmark: contestants of one network at one precision, in turns, and rows as a table."""

import gc
import logging
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from retroprop.backends import BackendUnavailableError, get_backend
from retroprop.bench import ours
from retroprop.bench.contestant import Contestant, NotHereError
from retroprop.bench.gpu import own, peers
from retroprop.bench.timer import Pace, Warm, race, warm_up
from retroprop.bench.workloads import Problem, draw, parse

NETWORKS = (
    "784-100-10@128", "784-100-10@4096", "784-256-256-10@128", "784-1024-1024-10@1024", "784-1024-1024-10@4096",
    "256x9@256", "2048x4@4096", "4096x4@4096", "784-2500-2000-1500-1000-500-10@256",
)  # fmt: skip
PACE = Pace(budget=8.0, timing=0.03, warm_up=0.1, lead_after_others=0.02, rounds=(5, 15))
OURS = ("products", "launched", "captured", "run")
OTHERS = ("torch eager", "torch graph", "torch.compile", "JAX jit", "JAX scan", "numpy")
LAST = ("torch.compile",)  # it may take minutes to begin
GROUPS = (OURS, ("torch eager", "torch graph"), ("JAX jit", "JAX scan"), ("numpy",), LAST)

Made = tuple[Contestant, int]


def _makers(problem: Problem, precision: str) -> dict[str, Callable[[], Made]]:
    """Return what makes each contestant, and how many steps a call of it does."""

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
        "JAX jit": lambda: peers.jax_steps(problem, precision, scanned=False),
        "JAX scan": lambda: peers.jax_steps(problem, precision, scanned=True),
        "numpy": lambda: (ours.step(get_backend("numpy"), problem), 1),
    }


class Row:
    """Some contestants of a row, in this process.

    Parameters
    ----------
    network : str
        As `workloads.parse` reads it.
    precision : str
        "highest", "tf32" or "bf16", of all but NumPy.
    wanted : sequence of str
        Of `OURS` and `OTHERS`.
    optimizer : str
        "adam" or "sgd".
    pace : Pace
        How long and how often.

    Attributes
    ----------
    cells : dict
        For each contestant either "median", "low", "high" and "all" in seconds a step, as far as it was timed, or the
        "reason" it was not, with "failed" if it might be the next time; and "warnings", of what was given up.
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
        """Make the contestants, and run each until it has its pace."""
        for name in self._wanted:
            with self._given_up([name]):
                try:
                    contestant, self._steps[name] = self._makers[name]()
                    self._warm[name] = warm_up(contestant, self._pace.warm_up)
                except (NotHereError, ImportError) as error:
                    # A package that is missing stays so; a device that did not answer may the next time.
                    asked_again = {"failed": True} if isinstance(error, BackendUnavailableError) else {}
                    self._cell(name).update(reason=str(error), **asked_again)
                except Exception as error:  # one that fails leaves the others their figures
                    self._cell(name).update(reason=f"{type(error).__name__}: {error}", failed=True)
            gc.collect()

    def round(self) -> None:
        """Time each contestant once more; who is first takes turns."""
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
        """Write down what the library says was given up meanwhile: who is timed is not who the table says."""
        handler = _Heard()
        logger = logging.getLogger("retroprop")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            for name in names if handler.said else ():
                cell = self._cell(name)
                cell["warnings"] = [*cell.get("warnings", ()), *handler.said]


class _Heard(logging.Handler):
    """Keeps what is said at the level of a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.said.append(record.getMessage())


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return rows as a table in Markdown: microseconds a step, and what of ours is set against the floor and the best.

    The ratio to the floor is that of the faster of our captured step and our run to the bare products; the ratio to
    the others, to the fastest of PyTorch and JAX. Below 1 is less time.
    """
    names = [*OURS, *OTHERS]
    lines = [
        f"| network@batch | precision | {' | '.join(names)} | to the floor | to the best other |",
        "|---|---|" + "---:|" * (len(names) + 2),
    ]
    for row in rows:
        medians = {name: cell.get("median") for name, cell in row["contestants"].items()}
        cells = [f"{medians[n] * 1e6:.1f}" if medians.get(n) else "" for n in names]
        best = min((medians[n] for n in ("captured", "run") if medians.get(n)), default=None)
        floor = medians.get("products")
        others = min((medians[n] for n in OTHERS[:-1] if medians.get(n)), default=None)
        ratios = [f"{best / x:.2f}" if best and x else "" for x in (floor, others)]
        lines.append(f"| {row['network']} | {row['precision']} | {' | '.join([*cells, *ratios])} |")
    reasons = [
        f"- {row['network']} {row['precision']}, {name}: {cell['reason']}"
        for row in rows
        for name, cell in row["contestants"].items()
        if "reason" in cell
    ]
    warnings = [
        f"- {row['network']} {row['precision']}, {name}, not what it is called: {said}"
        for row in rows
        for name, cell in row["contestants"].items()
        for said in cell.get("warnings", ())
    ]
    return [*lines, "", *reasons, *warnings] if reasons or warnings else lines
