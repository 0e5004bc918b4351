"""Check retroprop on a machine with an NVIDIA GPU: the tests marked ``gpu``, then the GPU benchmark.

    python3 benchmarks/gpu_check.py [--part all|tests|bench] [--rows NETWORK ...] [--precisions tf32 ...] [--out DIR]

It runs from the source tree with the packages this Python has: no environment is made, nothing is installed or
downloaded. Needed are NumPy, array-api-compat, safetensors and CuPy, and pytest for the tests; PyTorch and JAX are used
where installed. array-api-compat and safetensors may also lie in any folder on PYTHONPATH.

Every file of tests is a process of its own, and so are, in each row of the benchmark, ours, PyTorch, JAX and NumPy,
which take turns; torch.compile comes when all rows have been timed without it. Each result is written down at once. A
run that is cut off, or ends because ``--minutes`` are over, goes on where it was when it is started again with the same
``--out``; ``--contestants`` may differ from run to run, and ``--again`` forgets what is there. It
leaves ``gpu_check.json`` and ``gpu_check.md`` in DIR, and nothing else; what the processes print goes to ``--logs``.

The exit status is 0 if everything asked for ran and passed, 1 if a test failed, none ran of those that say most, or one
of our own contestants could not be timed or was not what it is called, 2 if a package is missing, 3 if no GPU answers,
4 if time was over before everything had run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# JAX would take three quarters of the GPU's memory at its first array, and leave little to the others.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
sys.path.insert(0, str(ROOT / "src"))

NEEDED = {
    "numpy": "numpy",
    "array_api_compat": "array-api-compat",
    "safetensors": "safetensors",
    "cupy": "cupy-cuda12x (or cupy-cuda13x)",
}
REPORTED = ("numpy", "array-api-compat", "array-api-strict", "safetensors", "cupy-cuda12x", "cupy-cuda13x", "cupy",
            "torch", "triton", "jax", "jaxlib")  # fmt: skip
AT_ONCE = 4  # files of tests, and processes for each with pytest-xdist: most of their time they compile on the host
A_FILE, A_ROW = 420.0, 240.0  # seconds, after which one is ended
GRACE = 60.0  # seconds after the end of the minutes, at which everything is ended
# If nothing of these ran, no more is known than without a GPU.
SAY_MOST = ("tests/backends/test_cuda_on_a_gpu.py", "tests/training/test_runs.py")
NOTHING = dict.fromkeys(("passed", "failed", "skipped"), 0)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for and is not there yet; return the exit status."""
    options = parse(arguments)
    needed = NEEDED | ({"pytest": "pytest"} if options.part != "bench" else {})
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        where = "pip install them, or put a folder that has them on PYTHONPATH"
        print(f"error: this Python ({sys.executable}) lacks {', '.join(missing)}: {where}", file=sys.stderr)
        return 2
    device, reason = gpu()
    if device is None:
        print(f"error: no GPU answers. {reason}", file=sys.stderr)
        return 3
    report = Report(options.out, machine(device), forget=options.again, logs=options.logs)
    print(f"GPU: {device}")
    for name, found in report.content["machine"]["packages"].items():
        print(f"  {name} {found}")
    until = time.monotonic() + 60.0 * options.minutes
    left = 0
    if options.part in ("all", "tests"):
        left += run_tests(report, options.files or gpu_files(), until)
    if options.part in ("all", "bench"):
        rows = [(network, precision) for precision in options.precisions for network in options.rows or networks()]
        left += run_rows(report, rows, options.contestants or contestants(), until)
    print(f"\n{report.write()}\nWritten: {options.out / 'gpu_check.json'}, {options.out / 'gpu_check.md'}")
    if left:
        print(f"time is over, and {left} are left: start it again with the same --out", file=sys.stderr)
        return 4
    return 0 if report.ok() else 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("all", "tests", "bench"), default="all", help="what to run (default: all)")
    parser.add_argument("--files", nargs="+", help="the files of tests to run (default: all with a test marked gpu)")
    parser.add_argument("--rows", nargs="+", help="the networks to time, as 784-100-10@128 (default: the table's nine)")
    parser.add_argument(
        "--precisions", nargs="+", choices=("highest", "tf32", "bf16"), default=["tf32", "highest"],
        help="of the products, ours and the others' (default: tf32 highest)",
    )  # fmt: skip
    parser.add_argument(
        "--contestants",
        nargs="+",
        help="who is timed (default: all; torch.compile needs a minute or two to begin)",
    )
    parser.add_argument("--minutes", type=float, default=7.5, help="begin nothing new after so long (default: 7.5)")
    parser.add_argument("--again", action="store_true", help="forget the results that are there")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder of the report")
    parser.add_argument(
        "--logs", type=Path, default=ROOT / "build" / "gpu-logs", help="folder of logs (default: build/gpu-logs)"
    )
    return parser.parse_args(arguments)


class Report:
    """What is known so far, in a file that every result is written to at once."""

    def __init__(self, out: Path, about: dict[str, Any], *, forget: bool, logs: Path) -> None:
        self.out, self.logs, self._lock = out, logs.resolve(), Lock()
        for folder in (out, logs):
            folder.mkdir(parents=True, exist_ok=True)
        path = out / "gpu_check.json"
        empty: dict[str, Any] = {"tests": {}, "rows": {}}
        self.content = json.loads(path.read_text("utf-8")) if path.exists() and not forget else empty
        self.content["machine"] = about

    def has(self, kind: str, name: str) -> bool:
        """Return whether a result is there and need not be asked for again."""
        found = self.content[kind].get(name)
        return found is not None and not found.get("cut_off")

    def add(self, kind: str, name: str, result: dict[str, Any]) -> None:
        """Write a result down."""
        with self._lock:
            self.content[kind][name] = {**result, "at": datetime.now(UTC).isoformat(timespec="seconds")}
            self.write()

    def write(self) -> str:
        """Write both files, and return the Markdown."""
        text = markdown(self.content)
        for name, written in (("gpu_check.json", json.dumps(self.content, indent=1) + "\n"), ("gpu_check.md", text)):
            new = self.out / f"{name}.new"
            new.write_text(written, encoding="utf-8")
            new.replace(self.out / name)
        return text

    def ok(self) -> bool:
        """Return whether the tests passed, and each of our contestants has its figures and is what it is called."""
        from retroprop.bench.gpu.rows import OURS

        cells = [row.get("contestants", {}).get(name, {}) for row in self.content["rows"].values() for name in OURS]
        timed = all("median" in cell and not cell.get("warnings") for cell in cells)
        return passed(self.content["tests"]) and timed


def passed(tests: dict[str, dict[str, Any]]) -> bool:
    """Return whether no test failed, and those ran that say most."""
    return all(result["ok"] and (result["passed"] or name not in SAY_MOST) for name, result in tests.items())


# What there is ----------------------------------------------------------------------------------------------


def gpu() -> tuple[str | None, str]:
    """Return the GPU's name, or None and why not; CuPy has to answer, it is the GPU backend of the base."""
    import retroprop as rp

    infos = {info.name: info for info in rp.list_backends()}
    if not infos["cupy"].available:
        return None, f"cupy: {infos['cupy'].reason}"
    return rp.get_backend("cupy").model(), ""


def machine(device: str) -> dict[str, Any]:
    """Return what a figure needs to be read: device, versions, what is switched off, commit, time."""
    import cupy

    from retroprop.backends.cuda import switches
    from retroprop.backends.cuda.products.cupy_products import products_here

    packages = {}
    for name in REPORTED:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    commit = None
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
        commit = answer.stdout.strip() or None
    except OSError:
        pass
    return {
        "gpu": device,
        "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
        "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
        "products": products_here(cupy.cuda.runtime.getDevice()).said,
        "switched_off": list(switches.disabled()),
        "processors": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
        "commit": commit,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


# The tests --------------------------------------------------------------------------------------------------


def gpu_files() -> list[str]:
    """Return the files of tests that have one marked gpu, or take the fixture with all backends; ours first."""
    wanted = re.compile(r"mark\.gpu|def test_\w+\([^)]*\b(backend|every|lowering)\b")
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    found = [str(path.relative_to(ROOT)) for path in paths if wanted.search(path.read_text("utf-8"))]
    return sorted(found, key=lambda name: ("cuda" not in name and "runs" not in name, name))


def run_tests(report: Report, files: list[str], until: float) -> int:
    """Run files of tests, several at once; return how many are left.

    One that was cut off begins anew, so that it is given all the time there is.
    """
    waiting = [name for name in files if not report.has("tests", name)]
    left = []

    def run(name: str) -> None:
        if time.monotonic() > until:
            left.append(name)
            return
        limit = until + GRACE - time.monotonic()
        result = test_file(report.logs, name, limit if name in report.content["tests"] else min(A_FILE, limit))
        report.add("tests", name, result)
        counts = ", ".join(f"{result[kind]} {kind}" for kind in NOTHING)
        print(f"  {name}: {counts}, {result['seconds']} s", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run, waiting))
    return len(left)


def test_file(logs: Path, name: str, limit: float) -> dict[str, Any]:
    """Run the tests marked gpu of one file with plain pytest."""
    stem = name.replace("/", "_").removesuffix(".py")
    results = logs / f"{stem}.xml"
    results.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-m", "gpu and not long", "-q", "-p", "no:cacheprovider", name]
    command += [f"--junitxml={results}", "--tb=short"]
    # What the versions of other libraries here deprecate among themselves is no failure of ours.
    command += ["-W", "default::DeprecationWarning", "-W", "default::FutureWarning"]
    command += ["-n", str(AT_ONCE)] if find_spec("xdist") is not None else []
    begun, cut_off = time.monotonic(), False
    with (logs / f"{stem}.log").open("w", encoding="utf-8") as log:
        try:
            # What is measured while many tests share the GPU must not be what the benchmark remembers.
            environment = os.environ | {"PYTHONPATH": path, "XDG_CACHE_HOME": str(logs / "cache")}
            status: int | None = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False, timeout=max(limit, 10.0)
            ).returncode
        except subprocess.TimeoutExpired:
            status, cut_off = None, True
    counts, failures, reasons = count_tests(results) if results.exists() else (NOTHING, [], {})
    # 5: the file has no test marked gpu
    return {
        "ok": status in (0, 5),
        "cut_off": cut_off,
        "exit_status": status,
        "seconds": round(time.monotonic() - begun, 1),
        **counts,
        "failures": failures[:20],
        "reasons": reasons,
    }


def count_tests(results: Path) -> tuple[dict[str, int], list[str], dict[str, int]]:
    """Return how many tests passed, failed and were skipped, what failed, and why how many were skipped, from XML."""
    total = failed = skipped = 0
    failures: list[str] = []
    reasons: Counter[str] = Counter()
    for suite in ElementTree.parse(results).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
        failures += [
            f"{case.get('name')}: {(bad.get('message') or '')[:300]}"
            for case in suite.iter("testcase")
            for bad in (*case.findall("failure"), *case.findall("error"))
        ]
        reasons.update((one.get("message") or "")[:300] for one in suite.iter("skipped"))
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}, failures, dict(reasons)


# The rows ---------------------------------------------------------------------------------------------------


def networks() -> tuple[str, ...]:
    """Return the networks of the table."""
    from retroprop.bench.gpu.rows import NETWORKS

    return NETWORKS


def contestants() -> tuple[str, ...]:
    """Return everybody who may be timed."""
    from retroprop.bench.gpu.rows import OTHERS, OURS

    return (*OURS, *OTHERS)


def run_rows(report: Report, rows: list[tuple[str, str]], wanted: Sequence[str], until: float) -> int:
    """Time rows, one after another, each with those it does not have yet; return how many are left to be timed.

    Those that may take minutes to begin come when all rows have been timed without, so that they cost only themselves.
    """
    from retroprop.bench.gpu.rows import LAST
    from retroprop.bench.gpu.turns import timed

    left = set()
    for now in ([name for name in wanted if name not in LAST], [name for name in wanted if name in LAST]):
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


# The report -------------------------------------------------------------------------------------------------


def markdown(content: dict[str, Any]) -> str:
    """Return what is known as Markdown."""
    from retroprop.bench.gpu.rows import table

    where = content["machine"]
    packages = ", ".join(f"{name} {found}" for name, found in where["packages"].items() if found != "not installed")
    lines = [
        "# GPU check",
        "",
        f"{where['gpu']}, {where['processors']} processors, Python {where['python']}, {where['platform']}.",
        f"CUDA runtime {where['cuda_runtime']}, driver {where['cuda_driver']}. {packages}.",
        f"Products by {where['products']}. Switched off: {', '.join(where['switched_off']) or 'nothing'}.",
        f"Commit {where['commit'] or 'unknown'}, {where['at']}.",
    ]
    tests = content["tests"]
    if tests:
        sums = {kind: sum(result[kind] for result in tests.values()) for kind in ("passed", "failed", "skipped")}
        verdict = "passed" if passed(tests) else "FAILED"
        counts = ", ".join(f"{many} {kind}" for kind, many in sums.items())
        lines += ["", "## Tests marked gpu", "", f"{verdict}, in {len(tests)} files: {counts}."]
        reasons = sum((Counter(result.get("reasons", {})) for result in tests.values()), Counter())
        lines += ["", *(f"- skipped, {many}: {reason}" for reason, many in reasons.most_common())]
        lines += [f"- {name}: none ran" for name in SAY_MOST if name in tests and not tests[name]["passed"]]
        for name, result in tests.items():
            if not result["ok"]:
                lines += [
                    "",
                    f"### {name}",
                    "",
                    "cut off" if result["cut_off"] else f"exit {result['exit_status']}",
                    "",
                ]
                lines += [f"- {failure}" for failure in result["failures"]]
    if content["rows"]:
        lines += [
            "",
            "## A training step",
            "",
            "Microseconds a step (Adam, relu, softmax and cross-entropy, float32, products as the column says),",
            "synchronised, medians. products, launched, captured and run take turns in one process, PyTorch's and",
            "JAX's in theirs, and the processes take turns, round by round; torch.compile is timed by itself.",
            "products: the bare matrix products by cublasLt, as a graph. launched: our step on a batch that lies",
            "there, launch by launch, products bare. captured: as a graph, with what is faster within products. run:",
            "our steps gathering their batches from resident data, as `rp.fit` runs them. torch eager: with the",
            "fused update; torch graph: the same captured by hand; torch.compile: max-autotune. numpy: the processor.",
            "",
            *table(list(content["rows"].values())),
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
