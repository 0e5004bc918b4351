"""The processes of a row: each times some contestants, in turns; one that dies or hangs loses its own figures only.

The groups are retroprop with the bare products, PyTorch, JAX, NumPy, and each contestant that compiles for long. The
closest comparisons are within one process, whose contestants take turns in each round: the step launched, captured and
as a run beside the products; PyTorch's two; JAX's two. The processes live at the same time and take turns round by
round, with another one first each time, so that a change of the machine affects them all. A process prints a line for
each line that it is sent: when it is warm, and after each round, with all its results in its file.
"""

import json
import os
import queue
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import retroprop
from gpu.rows import GROUPS, LAST, PACE, GpuRow

START, START_LAST, ROUND = 100.0, 240.0, 60.0  # seconds, after which a process is ended
RESERVED = 25.0  # seconds of a row, for its rounds
PATIENCE = 5.0  # seconds for a process to end by itself


def timed(network: str, precision: str, wanted: Sequence[str], *, folder: Path, until: float) -> dict[str, Any]:
    """Time one row.

    Parameters
    ----------
    network, precision : str
        Those of `GpuRow`.
    wanted : sequence of str
        The contestants.
    folder : Path
        The folder for the results and the logs of the processes.
    until : float
        The latest end, on the clock `time.monotonic`.

    Returns
    -------
    dict
        The row, with the cells of `GpuRow` under "contestants".
    """
    groups = [[name for name in group if name in wanted] for group in GROUPS]
    members = [Member(network, precision, group, folder) for group in groups if group]
    try:
        for member in members:  # one at a time: each measures alternatives while it starts
            member.start(until - RESERVED)
        begun, done = monotonic(), 0
        fewest, most = PACE.rounds
        while done < most and any(member.answers for member in members):
            first = done % len(members)
            for member in members[first:] + members[:first]:
                member.round(until)
            done += 1
            over = (monotonic() - begun) * (done + 1) / done > PACE.budget
            if monotonic() > until or (done >= fewest and over):
                break
    finally:
        for member in members:
            member.end()
    cells = {name: cell for member in members for name, cell in member.cells().items()}
    return {"network": network, "precision": precision, "optimizer": "adam", "contestants": cells}


class Member:
    """A process with some of the contestants of a row.

    Attributes
    ----------
    answers : bool
        Whether the process has started and still answers.
    """

    def __init__(self, network: str, precision: str, names: Sequence[str], folder: Path) -> None:
        stem = re.sub(r"[^A-Za-z0-9.]+", "-", f"{network}-{precision}-{names[0]}")
        self._names, self._row, self._limit = names, (network, precision), START_LAST if names[0] in LAST else START
        self._file, self._log = (folder / f"row-{stem}.{end}" for end in ("json", "log"))
        self._process: subprocess.Popen[str] | None = None
        self._listener: Thread | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self._reason = "no time was left"
        self.answers = False

    def start(self, until: float) -> None:
        """Start the process, and wait until it is warm."""
        if monotonic() >= until:
            return
        self._file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "gpu.turns", *self._row, str(self._file), *self._names]
        folders = [str(Path(__file__).parents[1]), str(Path(retroprop.__file__).parents[1])]
        path = os.pathsep.join(filter(None, [*folders, os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path}
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self._listener = Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()
        self.answers = self._answer(min(self._limit, until - monotonic()))

    def round(self, until: float) -> None:
        """Have the process time each of its contestants once."""
        if self.answers and self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it has ended: no answer comes, and its exit status is the reason
                self._process.stdin.write("round\n")
                self._process.stdin.flush()
            self.answers = self._answer(min(ROUND, max(until - monotonic(), 1.0)))

    def end(self) -> None:
        """End the process: nothing more is sent, and if it does not end by itself it is killed."""
        if self._process is None or self._listener is None or self._process.stdin is None:
            return
        with suppress(OSError):  # lines that were not sent are lost
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(PATIENCE)  # with a limit: a child, such as a compiler, may keep the output open

    def cells(self) -> dict[str, dict[str, Any]]:
        """Return the cells of its contestants; if it died or hung, those it had timed have a warning."""
        known: dict[str, Any] = json.loads(self._file.read_text("utf-8")) if self._file.exists() else {}
        found: dict[str, dict[str, Any]] = {}
        for name in self._names:
            cell = known.get(name, {})
            if not self.answers and "median" in cell:
                cell["warnings"] = [*cell.get("warnings", ()), self._reason]
            elif "median" not in cell and "reason" not in cell:
                cell = {**cell, "reason": self._reason, "failed": True}
            found[name] = cell
        return found

    def _listen(self, lines: Any) -> None:
        with lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _answer(self, seconds: float) -> bool:
        """Return whether the process answers within so many seconds; if not, end it, and keep the reason."""
        assert self._process is not None
        try:
            if self._lines.get(timeout=seconds):
                return True
            self._reason = f"the process ended with {self._process.wait()}{self._last_line()}"
        except queue.Empty:
            self._reason = f"no answer in {seconds:.0f} s{self._last_line()}"
        self.end()
        return False

    def _last_line(self) -> str:
        lines = self._log.read_text("utf-8", errors="replace").split("\n")
        printed = [line.strip() for line in lines if line.strip()]
        return f": {printed[-1][:300]}" if printed else ""


def main(network: str, precision: str, file: str, *names: str) -> None:
    """Run as one of the processes."""
    # All other output goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    row, new = GpuRow(network, precision, names), Path(f"{file}.new")

    def answer() -> None:
        new.write_text(json.dumps(row.cells), encoding="utf-8")
        new.replace(file)
        print("done", file=answers, flush=True)

    row.warm_up()
    answer()
    for _ in sys.stdin:
        row.round()
        answer()


if __name__ == "__main__":
    main(*sys.argv[1:])
