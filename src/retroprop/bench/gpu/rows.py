"""One row of the GPU benchmark: all contestants of one network at one precision, in turns."""

import gc
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from retroprop.backends import BackendUnavailableError, get_backend
from retroprop.bench import ours
from retroprop.bench.contestant import Contestant, NotHereError
from retroprop.bench.gpu import own, peers
from retroprop.bench.timer import Pace, race, warm_up
from retroprop.bench.workloads import Problem, draw, parse

NETWORKS = (
    "784-100-10@128", "784-100-10@4096", "784-256-256-10@128", "784-1024-1024-10@1024", "784-1024-1024-10@4096",
    "256x9@256", "2048x4@4096", "4096x4@4096", "784-2500-2000-1500-1000-500-10@256",
)  # fmt: skip
PACE = Pace(budget=8.0, timing=0.03, warm_up=0.1, lead_after_others=0.02, rounds=(5, 15))
OURS = ("products", "launched", "captured", "run")
OTHERS = ("torch eager", "torch graph", "torch.compile", "JAX jit", "JAX scan", "numpy")

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


def measure(
    network: str, precision: str, *, optimizer: str = "adam", wanted: Sequence[str] = (), pace: Pace = PACE
) -> dict[str, Any]:
    """Time one row.

    Parameters
    ----------
    network : str
        As `workloads.parse` reads it.
    precision : str
        "highest", "tf32" or "bf16", of all but NumPy.
    optimizer : str
        "adam" or "sgd".
    wanted : sequence of str
        Of `OURS` and `OTHERS`; none means all.
    pace : Pace
        How long and how often.

    Returns
    -------
    dict
        The row, and under "contestants" for each either "median", "low", "high" and "all" in seconds a step, or the
        "reason" it has none.
    """
    problem = draw(parse(network), optimizer=optimizer, dtype="float32")
    found: dict[str, dict[str, Any]] = {}
    warm, steps = {}, {}
    for name, make in _makers(problem, precision).items():
        if wanted and name not in wanted:
            continue
        try:
            contestant, steps[name] = make()
            warm[name] = warm_up(contestant, pace.warm_up)
        except (NotHereError, BackendUnavailableError, ImportError) as error:
            found[name] = {"reason": str(error)}
        except Exception as error:  # one that fails leaves the others their figures
            found[name] = {"reason": f"{type(error).__name__}: {error}", "failed": True}
        gc.collect()
    timed = race(list(warm.values()), pace)
    for name, one in zip(warm, timed, strict=True):
        seconds = [s / steps[name] for s in one.seconds]
        low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        found[name] = {"median": median, "low": low, "high": high, "all": seconds}
    return {"network": network, "precision": precision, "optimizer": optimizer, "contestants": found}


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
    return [*lines, "", *reasons] if reasons else lines
