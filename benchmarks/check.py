"""Guard the speed of a training step and of a prediction: `make bench-check`.

    python benchmarks/check.py [--forms "with numba" "numpy alone"] [--networks NAME ...] [--seconds S] [--out FILE]

`bounds.json` holds the largest accepted ratio for each network and optimizer: of a step to hand-written NumPy, of a
step to its bare matrix products, of a fit to scikit-learn's; of a step of K networks to K hand-written ones, as
`many.py` measures it on two cores; of a whole search in two processes to scikit-learn's (`searches.py`). For inference,
on two threads, it holds the ratios of `inference.py` for each network, rows and dtype. Both sides of a ratio are timed
in turns in one process.

A ratio fails if its lower quartile is above its bound by more than the margin, in this and in two further measurements.
A short disturbance widens the quartiles; a step that has become slower moves them. A machine that is busy all the time
moves them too, in either direction, and a warning says so.

The exit status is 0 if nothing fails, 1 if something does, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import inference  # noqa: E402
import many  # noqa: E402
from retroprop.bench import QUICK, Results, read, run, to_json  # noqa: E402
from retroprop.bench.analysis import Ratio, ratio  # noqa: E402
from retroprop.bench.result_tables import warning  # noqa: E402
from retroprop.bench.results import ResultRow  # noqa: E402
from retroprop.bench.timer import Pace  # noqa: E402
from retroprop.bench.workloads import OPTIMIZERS, parse  # noqa: E402

BOUNDS = Path(__file__).with_name("bounds.json")
FORMS = {
    "with numba": {"RETROPROP_NUMBA": "1"},
    "numpy alone": {"RETROPROP_NUMBA": "0"},
    "inference": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "many networks": {"RETROPROP_NUMBA": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "searches": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
}
NEEDS = {"with numba": "numba", "inference": "sklearn", "many networks": "numba", "searches": "sklearn"}
KINDS = ("steps", "fits", "inference", "many", "searches")  # measured separately
SEARCHES = 5  # of each contestant
ATTEMPTS = 3
# The numerator and the denominator of each ratio.
SIDES = {
    "hand-written": (("step", "numpy"), ("peer", "hand-written NumPy")),
    "floor": (("step", "numpy"), ("floor", "numpy")),
    "scikit-learn": (("fit", "numpy"), ("peer", "scikit-learn")),
    "hand-written steps": (("step", "retroprop"), ("peer", "hand-written NumPy")),
    "scikit-learn's search": (("search", "n_jobs=2"), ("peer", "scikit-learn")),
    **{call: tuple((call, name) for name in names) for call, names in inference.SIDES.items()},
}


@dataclass(frozen=True)
class Bound:
    """The largest accepted ratio for a network and an optimizer, or of inference a dtype, to one of `SIDES`."""

    form: str
    network: str
    optimizer: str
    over: str
    largest: float

    def ratio(self, results: Results) -> Ratio | None:
        """Return the measured ratio, None where a side was not timed."""
        for row in results.rows:
            of = row.dtype if self.kind == "inference" else row.optimizer
            name = self.network.partition("x")[2] if self.kind == "many" else self.network
            if (row.workload.name, of, _is_fit(row)) == (name, self.optimizer, self.kind == "fits"):
                both = [row.timing(*side) for side in SIDES[self.over]]
                if None not in both:
                    return ratio(*both)
        return None

    @property
    def kind(self) -> str:
        """The kind of the measurement, one of `KINDS`."""
        kinds = {"scikit-learn": "fits", "hand-written steps": "many", "scikit-learn's search": "searches"}
        kinds |= dict.fromkeys(inference.SIDES, "inference")
        return kinds.get(self.over, "steps")

    @property
    def case(self) -> inference.Case:
        """The measurement of a ratio of inference."""
        return inference.Case(self.over, int(self.network.partition("@")[2]), self.optimizer)


def _is_fit(row: ResultRow) -> bool:
    return row.data_rows is not None


def main(arguments: list[str] | None = None) -> int:
    """Check every bound; return the exit status."""
    options = parser().parse_args(arguments)
    if options.measure:
        options.out.write_text(to_json(measured(options)))
        return 0
    content = json.loads(BOUNDS.read_text(encoding="utf-8"))
    margin = content.pop("margin")
    unknown = [form for form in options.forms if form not in content]
    if unknown:
        print(f"error: --forms must be of {', '.join(content)}, not {', '.join(unknown)}.", file=sys.stderr)
        return 2
    known = {network for form in options.forms for network in content[form]}
    if not known.issuperset(options.networks):
        print(f"error: --networks must be of {', '.join(sorted(known))}.", file=sys.stderr)
        return 2
    failed, lines = [], []
    for form in options.forms:
        if form in NEEDS and find_spec(NEEDS[form]) is None:
            print(f"{form}: not checked, {NEEDS[form]} is not installed")
            continue
        bounds = bounds_of(form, content[form])
        if options.networks:
            bounds = [bound for bound in bounds if bound.network in options.networks]
        for bound, found, attempts in check(bounds, margin, options.seconds):
            fails = found is not None and over(found, bound, margin)
            failed += [bound] if fails else []
            lines.append(line(bound, found, attempts, fails=fails))
            print(lines[-1], flush=True)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(failed)} of {len(lines)} ratios are over their bounds" if failed else "no ratio is over its bound")
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--forms", nargs="+", default=list(FORMS), help=f"{', '.join(FORMS)} (default: all)")
    made.add_argument("--networks", nargs="*", default=[], help="only these of bounds.json")
    made.add_argument("--seconds", type=float, default=2.0, help="for the rounds of each network and optimizer")
    made.add_argument("--out", type=Path, default=None, help="write the lines to a file too")
    made.add_argument("--measure", choices=KINDS, default=None, help=argparse.SUPPRESS)
    made.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), help=argparse.SUPPRESS)
    made.add_argument("--cases", nargs="+", type=inference.case_of, default=[], help=argparse.SUPPRESS)
    return made


def bounds_of(form: str, content: dict[str, dict[str, dict[str, float]]]) -> list[Bound]:
    """Return the bounds of a form as a list."""
    return [
        Bound(form, network, optimizer, compared, largest)
        for network, by_optimizer in content.items()
        for optimizer, ratios in by_optimizer.items()
        for compared, largest in ratios.items()
    ]


def check(bounds: list[Bound], margin: float, seconds: float):
    """Yield every bound with its last ratio and the number of measurements."""
    found: dict[Bound, Ratio | None] = dict.fromkeys(bounds)
    attempts = dict.fromkeys(bounds, 0)
    pending = bounds
    while pending:
        # Only failures are measured again.
        for kind in KINDS:
            some = [bound for bound in pending if bound.kind == kind]
            if some:
                results = apart(some, seconds, kind)
                if warning(results):
                    print(warning(results), flush=True)
                for bound in some:
                    found[bound], attempts[bound] = bound.ratio(results), attempts[bound] + 1
        pending = [
            bound
            for bound in pending
            if attempts[bound] < ATTEMPTS and (last := found[bound]) is not None and over(last, bound, margin)
        ]
    for bound in bounds:
        yield bound, found[bound], attempts[bound]


def over(found: Ratio, bound: Bound, margin: float) -> bool:
    """Return whether a ratio is above its bound by more than the noise."""
    return found.low > bound.largest * (1.0 + margin)


def apart(bounds: list[Bound], seconds: float, kind: str) -> Results:
    """Measure in another process, in which the environment of the form holds from the start."""
    networks = list(dict.fromkeys(bound.network for bound in bounds))
    optimizers = list(dict.fromkeys(bound.optimizer for bound in bounds))
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, __file__, "--measure", kind, "--seconds", str(seconds), "--out", str(file)]
        if kind == "inference":
            command += ["--cases", *dict.fromkeys(str(bound.case) for bound in bounds)]
        else:
            command += ["--networks", *networks, "--optimizers", *optimizers]
        subprocess.run(command, env=os.environ | FORMS[bounds[0].form] | {"PYTHONPATH": path}, check=True)
        return read(file)


def measured(options: argparse.Namespace) -> Results:
    """Measure in this process: the steps of some networks, or the fit, or some cases of inference."""
    if options.measure == "inference":
        return inference.measured(options.cases, Pace(budget=options.seconds, rounds=inference.PACE.rounds))
    if options.measure == "many":
        return many.measured(map(many.case_of, options.networks), replace(many.PACE, budget=2.0 * options.seconds))
    if options.measure == "searches":
        import searches  # which needs scikit-learn

        return searches.measured(options.networks, SEARCHES)
    fits, optimizers = options.measure == "fits", tuple(options.optimizers)
    networks = () if fits else tuple(parse(name) for name in options.networks)
    settings = replace(
        QUICK,
        workloads=networks,
        optimizers=optimizers,
        backends=("numpy",),
        peers=("scikit-learn",) if fits else (),
        fits=fits,
        seconds=options.seconds * len(optimizers) * (1 if fits else len(networks)),
        pace=Pace(rounds=(7, 51)),
    )
    return run(settings)


def line(bound: Bound, found: Ratio | None, attempts: int, *, fails: bool) -> str:
    """Return the line of output on a bound."""
    about = f"{bound.form:12} {bound.network:22} {bound.optimizer:7} / {bound.over:21}"
    if found is None:
        return f"{about} not measured (bound {bound.largest:.2f})"
    verdict = "FAILED" if fails else "ok" if found.median <= bound.largest else "ok, within the margin or the noise"
    again = f", {attempts} measurements" if attempts > 1 else ""
    return (
        f"{about} {found.median:.3f} ({found.low:.3f} to {found.high:.3f}), bound {bound.largest:.2f}: {verdict}{again}"
    )


if __name__ == "__main__":
    sys.exit(main())
