"""The report of the GPU check: every result with its device and commit, in a JSON file and as Markdown."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from gpu.rows import ALL, OURS, RIVALS

COUNTS = ("passed", "failed", "skipped")
RAN = (0, 1, 5)  # exit statuses of pytest: all passed, some failed, none of them marked gpu
# If no test of these files ran, nothing is known that is not known without a GPU.
SAY_MOST = ("tests/backends/test_cuda_on_a_gpu.py", "tests/training/test_runs.py")
INTRODUCTION = """
Microseconds per step (Adam, relu, softmax and cross-entropy, float32, products at the precision of the column),
synchronised, medians. products, launched, captured and run take turns in one process, PyTorch's and JAX's in theirs,
and the processes take turns, round by round; those that compile for long are timed by themselves.

- products: the bare matrix products by cublasLt, as a graph
- launched: the step of retroprop on a resident batch, launch by launch, without epilogues
- captured: the same as a graph, with epilogues where they are faster
- run: consecutive steps in one call, which gather their batches from resident data, as in `rp.fit`
- torch eager: with the fused update; torch graph: the same, captured as one graph
- torch.compile: max-autotune, with graphs of its own and an eager update
- torch compiled graph: the compiled forward and backward and the fused update, captured as one graph
- numpy: retroprop on the processor
""".strip().split("\n")


class OtherDeviceError(ValueError):
    """Raised for a report that holds tests or rows of another device."""


class Report:
    """The results so far, in files that are rewritten after each result.

    Raises
    ------
    OtherDeviceError
        If the folder holds results of another device: its figures cannot be compared, and its tests say nothing here.
    """

    def __init__(self, out: Path, about: dict[str, Any], *, forget: bool, logs: Path) -> None:
        self.out, self.logs, self._lock = out, logs.resolve(), Lock()
        path = out / "gpu_check.json"
        empty: dict[str, Any] = {"tests": {}, "rows": {}}
        self.content = json.loads(path.read_text("utf-8")) if path.exists() and not forget else empty
        results = [result for kind in ("tests", "rows") for result in self.content[kind].values()]
        others = {result.get("device", "an unknown device") for result in results} - {about["device"]}
        if others:
            raise OtherDeviceError(
                f"{path} holds results of {', '.join(sorted(others))}, and this device is {about['device']}. Choose "
                f"another folder with --out, or forget those results with --again."
            )
        self.content["machine"] = about
        for folder in (out, logs):
            folder.mkdir(parents=True, exist_ok=True)

    def has(self, kind: str, name: str) -> bool:
        """Return whether a result is there and complete; tests that pytest could not begin are not."""
        found = self.content[kind].get(name)
        return found is not None and not found.get("cut_off") and found.get("exit_status", 0) in RAN

    def add(self, kind: str, name: str, result: dict[str, Any]) -> None:
        """Record a result, with its device and commit."""
        about = self.content["machine"]
        origin = {"device": about["device"], "commit": about["commit"]}
        with self._lock:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            self.content[kind][name] = {**result, **origin, "at": at}
            self.write()

    def write(self) -> str:
        """Write both files, and return the Markdown."""
        text = markdown(self.content)
        for name, written in (("gpu_check.json", json.dumps(self.content, indent=1) + "\n"), ("gpu_check.md", text)):
            new = self.out / f"{name}.new"
            new.write_text(written, encoding="utf-8")
            new.replace(self.out / name)
        return text

    def ok(self, files: Sequence[str] = (), rows: Sequence[str] = (), contestants: Sequence[str] = ()) -> bool:
        """Return whether these files of tests passed, and these contestants have figures in each of these rows.

        A contestant of retroprop must also be the step that the table names: one with a warning is not.
        """
        tests = {name: self.content["tests"][name] for name in files if name in self.content["tests"]}
        cells = [
            (name, self.content["rows"].get(row, {}).get("contestants", {}).get(name, {}))
            for row in rows
            for name in contestants
        ]
        timed = all("median" in cell and not (name in OURS and cell.get("warnings")) for name, cell in cells)
        return passed(tests) and timed


def passed(tests: dict[str, dict[str, Any]]) -> bool:
    """Return whether no test failed, and some test ran in each of the most important files."""
    return all(result["ok"] and (result["passed"] or name not in SAY_MOST) for name, result in tests.items())


def markdown(content: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    where = content["machine"]
    packages = ", ".join(f"{name} {found}" for name, found in where["packages"].items())
    lines = [
        "# GPU check",
        "",
        f"{where['device']}, {where['processors']} processors, Python {where['python']}, {where['platform']}.",
        f"{where['cuda']}{packages}.",
        f"Switched off: {', '.join(where['switched_off']) or 'nothing'}.",
        f"Commit {where['commit'] or 'unknown'}, {where['at']}.",
    ]
    if content["tests"]:
        lines += ["", "## Tests marked gpu", "", *_tests(content["tests"])]
    if content["rows"]:
        lines += ["", "## A training step", "", *INTRODUCTION, "", *table(list(content["rows"].values()))]
    return "\n".join(lines) + "\n"


def _tests(tests: dict[str, dict[str, Any]]) -> list[str]:
    sums = {kind: sum(result[kind] for result in tests.values()) for kind in COUNTS}
    counts = ", ".join(f"{many} {kind}" for kind, many in sums.items())
    devices = ", ".join(sorted({result.get("device", "an unknown device") for result in tests.values()}))
    verdict = "passed" if passed(tests) else "FAILED"
    lines = [f"{verdict}, in {len(tests)} files: {counts}. On {devices}.", ""]
    reasons = sum((Counter(result.get("reasons", {})) for result in tests.values()), Counter())
    lines += [f"- skipped, {many}: {reason}" for reason, many in reasons.most_common()]
    lines += [f"- {name}: none ran" for name in SAY_MOST if name in tests and not tests[name]["passed"]]
    for name, result in tests.items():
        if not result["ok"]:
            ended = "cut off" if result["cut_off"] else f"exit {result['exit_status']}"
            lines += ["", f"### {name}", "", ended, "", *(f"- {failure}" for failure in result["failures"])]
    return lines


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return rows as a table in Markdown: microseconds per step, and the ratios to the floor and to the best rival.

    Both ratios are of the faster of the captured step and the run: over the bare products, and over the fastest of
    PyTorch and JAX. Below 1 is less time.
    """
    lines = [
        f"| network@batch | precision | device | {' | '.join(ALL)} | to the floor | to the best rival |",
        "|---|---|---|" + "---:|" * (len(ALL) + 2),
    ]
    for row in rows:
        medians = {name: cell["median"] for name, cell in row["contestants"].items() if cell.get("median")}
        cells = [f"{medians[name] * 1e6:.1f}" if name in medians else "" for name in ALL]
        best = _least(medians, ("captured", "run"))
        ratios = [f"{best / x:.2f}" if best and x else "" for x in (medians.get("products"), _least(medians, RIVALS))]
        about = [row["network"], row["precision"], row.get("device", "")]
        lines.append(f"| {' | '.join([*about, *cells, *ratios])} |")
    each = [
        (f"- {row['network']} {row['precision']}, {name}", cell)
        for row in rows
        for name, cell in row["contestants"].items()
    ]
    notes = [f"{about}: {cell['reason']}" for about, cell in each if "reason" in cell]
    notes += [f"{about}, not the step it is named for: {w}" for about, cell in each for w in cell.get("warnings", ())]
    return [*lines, "", *notes] if notes else lines


def _least(medians: dict[str, float], names: Iterable[str]) -> float | None:
    return min((medians[name] for name in names if name in medians), default=None)
