"""The tests marked gpu: each file in a process of its own, several at once, with pytest as it is installed."""

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu.report import COUNTS, Report

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 4  # files of tests, and processes for each with pytest-xdist: most of their time they compile on the host
A_FILE = 420.0  # seconds, after which a file is ended
GRACE = 60.0  # seconds after the end of the minutes, at which everything is ended


def gpu_files() -> list[str]:
    """Return the files with a test marked gpu, or with the fixture of all backends; those of the GPU engine first."""
    wanted = re.compile(r"mark\.gpu|def test_\w+\([^)]*\b(backend|every|lowering)\b")
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    found = [str(path.relative_to(ROOT)) for path in paths if wanted.search(path.read_text("utf-8"))]
    return sorted(found, key=lambda name: ("cuda" not in name and "runs" not in name, name))


def run_tests(report: Report, files: Sequence[str], until: float) -> int:
    """Run files of tests, several at once; return the number of files that were not begun.

    A file that was cut off begins anew, with all the time that is left.
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
        counts = ", ".join(f"{result[kind]} {kind}" for kind in COUNTS)
        print(f"  {name}: {counts}, {result['seconds']} s", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run, waiting))
    return len(left)


def test_file(logs: Path, name: str, limit: float) -> dict[str, Any]:
    """Return the result of the tests marked gpu in one file."""
    stem = name.replace("/", "_").removesuffix(".py")
    results = logs / f"{stem}.xml"
    results.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-m", "gpu and not long", "-q", "-p", "no:cacheprovider", name]
    # pytest-benchmark warns where xdist is active, and a warning is an error: no test here uses it.
    command += [f"--junitxml={results}", "--tb=short", "-p", "no:benchmark"]
    # Other libraries' own deprecated calls, in the versions of that machine, are no failures of these tests.
    command += ["-W", "default::DeprecationWarning", "-W", "default::FutureWarning"]
    command += ["-n", str(AT_ONCE)] if find_spec("xdist") is not None else []
    begun, cut_off = time.monotonic(), False
    with (logs / f"{stem}.log").open("w", encoding="utf-8") as log:
        try:
            environment = os.environ | {"PYTHONPATH": path}
            status: int | None = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False, timeout=max(limit, 10.0)
            ).returncode
        except subprocess.TimeoutExpired:
            status, cut_off = None, True
    counts, failures, reasons = count_tests(results) if results.exists() else (dict.fromkeys(COUNTS, 0), [], {})
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
    """Return from pytest's XML the counts of tests, the failures, and the number of skips for each reason."""
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
