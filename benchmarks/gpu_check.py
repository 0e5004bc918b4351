"""Check retroprop on a machine with an NVIDIA GPU: the tests marked ``gpu``, then the GPU benchmark.

    python3 benchmarks/gpu_check.py [--part all|tests|bench] [--rows NETWORK ...] [--precisions tf32 ...] [--out DIR]

It runs from the source tree with the packages of this Python: no environment is made, nothing is installed or
downloaded. It needs NumPy, array-api-compat and CuPy, and pytest for the tests; PyTorch and JAX are used where
installed. array-api-compat may also lie in any folder on PYTHONPATH. ``--part bench --contestants numpy`` needs neither
CuPy nor a GPU.

Every file of tests is a process of its own, and so are, in each row of the benchmark, retroprop, PyTorch, JAX and
NumPy, which take turns; torch.compile and the torch compiled graph come when all rows have been timed without them.
Each result is written at once. A run that is cut off, or ends because ``--minutes`` are over, continues where it was
when it is started again with the same ``--out``; ``--contestants`` may differ from run to run, and ``--again`` forgets
the earlier results. Rows of another device are refused. It leaves ``gpu_check.json`` and ``gpu_check.md`` in DIR, and
nothing else; the output of the processes goes to ``--logs``.

The report names the commit of the source: ``--commit``, or the content of ``--commit-file``, or git's answer, or the
content of a file ``commit`` beside DIR (``build/commit`` for ``--out build/gpu``), for a source tree without ``.git``.

The exit status is 0 if everything requested ran and passed; 1 if a test failed, or none ran in the most important
files, or a contestant of retroprop, or one named with ``--contestants``, has no figures or is not the step it is named
for; 2 for wrong arguments, a missing package or rows of another device; 3 if no GPU answers; 4 if time was over before
everything had run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# JAX would take three quarters of the GPU's memory at its first array, and leave little to the others.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "src")]

NEEDED = {"numpy": "numpy", "array_api_compat": "array-api-compat"}
REPORTED = ("numpy", "array-api-compat", "array-api-strict", "safetensors", "cupy-cuda12x", "cupy-cuda13x", "cupy",
            "torch", "triton", "jax", "jaxlib")  # fmt: skip
A_ROW = 240.0  # seconds, after which a row is ended
GRACE = 60.0  # seconds after the end of the minutes, at which everything is ended


def main(arguments: list[str] | None = None) -> int:
    """Run what is requested and has no result yet; return the exit status."""
    options = parse(arguments)
    tests, bench = options.part in ("all", "tests"), options.part in ("all", "bench")
    on_gpu = tests or options.contestants != ["numpy"]
    needed = NEEDED | ({"cupy": "cupy-cuda12x (or cupy-cuda13x)"} if on_gpu else {})
    needed |= {"pytest": "pytest"} if tests else {}
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        where = "pip install them, or put a folder that has them on PYTHONPATH"
        return fail(2, f"this Python ({sys.executable}) lacks {', '.join(missing)}: {where}")
    from gpu.marked_tests import gpu_files, run_tests
    from gpu.report import OtherDeviceError, Report
    from gpu.rows import ALL, HOST, NETWORKS, OURS

    unknown = [name for name in options.contestants or () if name not in ALL]
    if unknown:
        return fail(2, f"--contestants must be of {', '.join(ALL)}, not {', '.join(unknown)}.")
    device, reason = gpu()
    if on_gpu and device is None:
        return fail(3, f"no GPU answers. {reason}")
    about = machine(device, commit_of(options))
    try:
        report = Report(options.out, about, forget=options.again, logs=options.logs)
    except OtherDeviceError as error:
        return fail(2, str(error))
    print(f"Device: {about['device']}")
    for name, found in about["packages"].items():
        print(f"  {name} {found}")
    until = time.monotonic() + 60.0 * options.minutes
    files = (options.files or gpu_files()) if tests else []
    networks = (options.rows or NETWORKS) if bench else ()
    rows = [(network, precision) for precision in options.precisions for network in networks]
    left = run_tests(report, files, until) if files else 0
    left += run_rows(report, rows, options.contestants or ALL, until)
    print(f"\n{report.write()}\nWritten: {options.out / 'gpu_check.json'}, {options.out / 'gpu_check.md'}")
    if left:
        print(f"time is over, and {left} are left: start it again with the same --out", file=sys.stderr)
        return 4
    # A rival that is not installed is a failure only where it is named.
    judged = options.contestants or (*OURS, *HOST)
    return 0 if report.ok(files, [" ".join(row) for row in rows], judged) else 1


def fail(status: int, message: str) -> int:
    """Print an error; return the exit status."""
    print(f"error: {message}", file=sys.stderr)
    return status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("all", "tests", "bench"), default="all", help="what to run (default: all)")
    parser.add_argument("--files", nargs="+", help="the files of tests to run (default: all with a test marked gpu)")
    parser.add_argument("--rows", nargs="+", help="the networks to time, as 784-100-10@128 (default: the table's nine)")
    parser.add_argument(
        "--precisions", nargs="+", choices=("highest", "tf32", "bf16"), default=["tf32", "highest"],
        help="of the products of all contestants (default: tf32 highest)",
    )  # fmt: skip
    parser.add_argument(
        "--contestants",
        nargs="+",
        help="the contestants to time (default: all; those of torch.compile need a minute or two to start)",
    )
    parser.add_argument("--minutes", type=float, default=7.5, help="begin nothing new after so long (default: 7.5)")
    parser.add_argument("--again", action="store_true", help="forget earlier results")
    parser.add_argument("--commit", help="the commit of the source, for the report")
    parser.add_argument("--commit-file", type=Path, metavar="FILE", help="a file that holds the commit")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder of the report")
    parser.add_argument(
        "--logs", type=Path, default=ROOT / "build" / "gpu-logs", help="folder of logs (default: build/gpu-logs)"
    )
    options = parser.parse_args(arguments)
    if options.commit_file is not None and not options.commit_file.is_file():
        parser.error(f"--commit-file {options.commit_file}: there is no such file")
    return options


def gpu() -> tuple[str | None, str]:
    """Return the GPU's name, or None and the reason; CuPy must answer, as it is the library of the GPU backend."""
    import retroprop as rp

    infos = {info.name: info for info in rp.list_backends()}
    if not infos["cupy"].available:
        return None, f"cupy: {infos['cupy'].reason}"
    return rp.get_backend("cupy").product_name(), ""


def commit_of(options: argparse.Namespace) -> str | None:
    """Return the commit of the source: the one given, or that of a file, or git's, None where none is known."""
    from retroprop.bench.machine import commit

    beside = options.out.parent / "commit"
    file = options.commit_file or (beside if beside.is_file() else None)
    known = options.commit or (None if options.commit_file else commit())
    return known or (file.read_text("utf-8").strip() if file else None) or None


def machine(device: str | None, commit: str | None) -> dict[str, Any]:
    """Return the facts a figure is read with: device, versions, switches, commit, time."""
    from retroprop.backends.cuda import switches
    from retroprop.bench.machine import cpu, versions

    return {
        "device": device or f"{cpu()}, no GPU",
        "cuda": "" if device is None else cuda(),
        "switched_off": list(switches.disabled()),
        "processors": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(REPORTED),
        "commit": commit,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cuda() -> str:
    """Return sentences on CUDA and the library of the products."""
    import cupy

    from retroprop.backends.cuda.products.cupy_products import products_here

    runtime = cupy.cuda.runtime
    products = products_here(runtime.getDevice()).report
    versions = f"CUDA runtime {runtime.runtimeGetVersion()}, driver {runtime.driverGetVersion()}"
    return f"{versions}. Products by {products}. "


def run_rows(report: Any, rows: Sequence[tuple[str, str]], wanted: Sequence[str], until: float) -> int:
    """Time the contestants that each row lacks, one row after another; return the number of rows that are left.

    A contestant that may compile for minutes comes when all rows have been timed without it, and by itself.
    """
    from gpu.rows import LAST
    from gpu.turns import timed

    left = set()
    for now in ([name for name in wanted if name not in LAST], *([name] for name in LAST if name in wanted)):
        for network, precision in rows:
            name = f"{network} {precision}"
            known = report.content["rows"].get(name, {}).get("contestants", {})
            missing = [one for one in now if one not in known or known[one].get("failed")]
            if not missing:
                continue
            begun = time.monotonic()
            if begun > until:
                left.add(name)
                continue
            over = min(begun + A_ROW, until + GRACE)
            found = timed(network, precision, missing, folder=report.logs, until=over)
            report.add("rows", name, {**found, "contestants": known | found["contestants"]})
            print(f"  {name}, {', '.join(missing)}: {time.monotonic() - begun:.0f} s", flush=True)
    return len(left)


if __name__ == "__main__":
    sys.exit(main())
