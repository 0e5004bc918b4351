"""Check retroprop on a machine with an NVIDIA GPU: the tests marked ``gpu``, then a first timing.

    python3 benchmarks/gpu_check.py [--part all|tests|bench] [--rows NAME ...] [--out DIR]

It runs from the source tree with the packages this Python has: no environment is made, nothing is installed or
downloaded. Needed are NumPy, array-api-compat, safetensors, pytest and CuPy; PyTorch and JAX are used where
installed. It leaves ``gpu_check.json`` and ``gpu_check.md`` in DIR.

The exit status is 0 if everything asked for ran and passed, 1 if a test failed or a row could not be timed, 2 if a
package is missing, 3 if no GPU answers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# JAX would take three quarters of the GPU's memory at its first array, and leave little to the others.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
sys.path.insert(0, str(ROOT / "src"))

# name: layer sizes, batch size, steps of one timing
ROWS = {
    "784-100-10 @128": ((784, 100, 10), 128, 200),
    "784-1024-1024-10 @1024": ((784, 1024, 1024, 10), 1024, 50),
}
BACKENDS = ("cupy", "torch:cuda", "numpy")
NEEDED = {"numpy": "numpy", "array_api_compat": "array-api-compat", "safetensors": "safetensors"}
REPORTED = (
    "numpy",
    "array-api-compat",
    "array-api-strict",
    "safetensors",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "torch",
    "jax",
)
ROUNDS = 9


def main(arguments: list[str] | None = None) -> int:
    """Run the parts asked for; return the exit status."""
    options = parse(arguments)
    needed = NEEDED | ({"pytest": "pytest"} if options.part != "bench" else {})
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        print(
            f"error: this Python ({sys.executable}) lacks {', '.join(missing)}: pip install {' '.join(missing)}",
            file=sys.stderr,
        )
        return 2

    device, reasons = gpu()
    if device is None:
        print("error: no GPU answers. " + "; ".join(reasons), file=sys.stderr)
        return 3

    options.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"machine": machine(device)}
    print(f"GPU: {device}")
    for name, found in report["machine"]["packages"].items():
        print(f"  {name} {found}")

    ok = True
    if options.part in ("all", "tests"):
        report["tests"] = run_tests(options.out)
        ok = ok and report["tests"]["ok"]
    if options.part in ("all", "bench"):
        report["timings"] = [time_row(name, BACKENDS) for name in options.rows]
        ok = ok and not any("error" in cell for row in report["timings"] for cell in row["backends"].values())

    (options.out / "gpu_check.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    text = markdown(report)
    (options.out / "gpu_check.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nWritten: {options.out / 'gpu_check.json'}, {options.out / 'gpu_check.md'}")
    return 0 if ok else 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("all", "tests", "bench"), default="all", help="what to run (default: all)")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS), help="the networks to time")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder of the report")
    return parser.parse_args(arguments)


# What there is ----------------------------------------------------------------------------------------------


def gpu() -> tuple[str | None, list[str]]:
    """Return the GPU's name, or None and why not; CuPy has to answer, it is the GPU backend of the base."""
    import retroprop as rp

    infos = {info.name: info for info in rp.list_backends()}
    if not infos["cupy"].available:
        return None, [f"cupy: {infos['cupy'].reason}"]
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"]
    return name.decode() if isinstance(name, bytes) else str(name), []


def machine(device: str) -> dict[str, Any]:
    """Return what a figure needs to be read: device, versions, commit, time."""
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
    import cupy

    return {
        "gpu": device,
        "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
        "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
        "processors": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
        "tf32": tf32(),
        "commit": commit,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def tf32() -> str:
    """Return what the libraries' own settings say of TF32, which retroprop leaves as they are."""
    cupys = f"CuPy {'on' if os.environ.get('CUPY_TF32') == '1' else 'off'}"
    if find_spec("torch") is None:
        return cupys
    import torch

    return f"{cupys}, PyTorch {'on' if torch.backends.cuda.matmul.allow_tf32 else 'off'}"


# The tests --------------------------------------------------------------------------------------------------


def run_tests(out: Path) -> dict[str, Any]:
    """Run the tests marked ``gpu`` with plain pytest; that not one of them ran counts as a failure."""
    results = out / "gpu_tests.xml"
    results.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "tests"]
    command.append(f"--junitxml={results.resolve()}")
    begun = time.perf_counter()
    status = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=False).returncode
    counts = count_tests(results) if results.exists() else dict.fromkeys(("passed", "failed", "skipped"), 0)
    return {
        "ok": status == 0 and counts["passed"] > 0,
        "exit_status": status,
        "seconds": round(time.perf_counter() - begun, 1),
        **counts,
    }


def count_tests(results: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped, from pytest's XML."""
    total = failed = skipped = 0
    for suite in ElementTree.parse(results).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}


# The timings ------------------------------------------------------------------------------------------------


def time_row(name: str, backends: tuple[str, ...]) -> dict[str, Any]:
    """Time training steps of one network on every backend, in turns; return seconds a step.

    One timing is an `rp.fit` of one epoch over minibatches that lie on the device already, from the call until the
    device is done: `rp.fit`'s own start and the reading of the cost at the end are in it. Two such runs warm up
    and are not counted.
    """
    import numpy as np

    import retroprop as rp

    layer_sizes, m, steps = ROWS[name]
    rng = np.random.default_rng(0)
    host_x = rng.standard_normal((steps * m, layer_sizes[0]), dtype="float32")
    host_y = rng.integers(0, layer_sizes[-1], steps * m).astype("int32")

    def prepared(backend: str) -> Any:
        net = rp.Network(layer_sizes, output="softmax", loss="cross_entropy", seed=0, dtype="float32", backend=backend)
        x, y = net.backend.asarray(host_x), net.backend.asarray(host_y)

        def run() -> float:
            net.backend.synchronize()
            begun = time.perf_counter()
            history = rp.fit(net, x, y, optimizer="adam", epochs=1, batch_size=m, shuffle=False)
            net.backend.synchronize()
            seconds = time.perf_counter() - begun
            if not np.isfinite(history.cost[-1]):
                raise ArithmeticError(f"the cost became {history.cost[-1]}")
            return seconds / steps

        return run

    cells: dict[str, dict[str, Any]] = {}
    runs = {}
    for backend in backends:
        try:
            runs[backend] = prepared(backend)
            for _ in range(2):
                runs[backend]()
        except rp.backends.BackendUnavailableError as error:
            cells[backend] = {"skipped": str(error)}
            runs.pop(backend, None)
        except Exception as error:  # one backend that fails leaves the others their figures
            cells[backend] = {"error": f"{type(error).__name__}: {error}"}
            runs.pop(backend, None)
    seconds: dict[str, list[float]] = {backend: [] for backend in runs}
    for _ in range(ROUNDS):
        for backend, run in runs.items():
            seconds[backend].append(run())
    for backend, values in seconds.items():
        low, median, high = statistics.quantiles(values, n=4)
        cells[backend] = {"median": median, "quartiles": [low, high], "all": values}
    return {"row": name, "dtype": "float32", "steps_a_timing": steps, "rounds": ROUNDS, "backends": cells}


# The report -------------------------------------------------------------------------------------------------


def markdown(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    where = report["machine"]
    packages = ", ".join(f"{name} {found}" for name, found in where["packages"].items())
    lines = [
        "# GPU check",
        "",
        f"{where['gpu']}, {where['processors']} processors, Python {where['python']}, {where['platform']}.",
        f"CUDA runtime {where['cuda_runtime']}, driver {where['cuda_driver']}. {packages}.",
        f"TF32: {where['tf32']}. Commit {where['commit'] or 'unknown'}, {where['at']}.",
    ]
    if "tests" in report:
        tests = report["tests"]
        lines += [
            "",
            "## Tests marked gpu",
            "",
            f"{'Passed' if tests['ok'] else 'FAILED'} in {tests['seconds']} s:",
            f"{tests['passed']} passed, {tests['failed']} failed, {tests['skipped']} skipped.",
        ]
    if "timings" in report:
        lines += [
            "",
            "## Training step",
            "",
            "Microseconds a step of `rp.fit` (Adam, softmax and cross-entropy, float32), synchronised: median and",
            "quartiles of interleaved runs, warm-up apart. The ratio is to NumPy on the same machine in the same run;",
            "below 1 is less time.",
            "",
            "| network @batch | backend | median µs | quartiles µs | ratio to numpy |",
            "|---|---|---|---|---|",
        ]
        for row in report["timings"]:
            reference = row["backends"].get("numpy", {}).get("median")
            for backend, cell in row["backends"].items():
                if "median" not in cell:
                    lines.append(f"| {row['row']} | {backend} | {cell.get('skipped') or cell['error']} | | |")
                    continue
                median, (low, high) = cell["median"] * 1e6, (quartile * 1e6 for quartile in cell["quartiles"])
                ratio = f"{cell['median'] / reference:.3f}" if reference else ""
                lines.append(f"| {row['row']} | {backend} | {median:.0f} | {low:.0f} to {high:.0f} | {ratio} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
