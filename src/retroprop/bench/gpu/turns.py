"""A row's contestants in processes of their own, in turns: what dies or hangs costs its own group its figures alone.

The groups are ours with the bare products, PyTorch, JAX, NumPy, and `torch.compile`. What is compared most closely is
in one process, and takes turns there within each round: our step launched, captured and as a run beside the products;
PyTorch's two; JAX's two. The processes live at the same time and take turns round by round, who is first in turn, so
that what changes on the machine changes for all. A process answers a line on its standard output for each it is sent:
when it is warm, and after each round, with all it knows in its file.
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
from retroprop.bench.gpu.rows import GROUPS, LAST, PACE, Row

START, START_LAST, ROUND = 100.0, 240.0, 60.0  # seconds, after which a process is ended
RESERVED = 25.0  # of the seconds of a row, for rounds
PATIENCE = 5.0  # for a process to end by itself


def timed(network: str, precision: str, wanted: Sequence[str], *, folder: Path, until: float) -> dict[str, Any]:
    """Time one row.

    Parameters
    ----------
    network, precision : str
        As `Row` takes them.
    wanted : sequence of str
        The contestants.
    folder : Path
        Where the processes write what they know, and their logs.
    until : float
        When it has to be over, on the clock `time.monotonic`.

    Returns
    -------
    dict
        The row, and under "contestants" for each what `Row.cells` says.
    """
    groups = [[name for name in group if name in wanted] for group in GROUPS]
    members = [Member(network, precision, group, folder) for group in groups if group]
    try:
        for member in members:  # one at a time: each measures which of its ways is the fastest
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
    """A process with some of a row's contestants.

    Attributes
    ----------
    answers : bool
        Whether it has come, and is not gone.
    """

    def __init__(self, network: str, precision: str, names: Sequence[str], folder: Path) -> None:
        stem = re.sub(r"[^A-Za-z0-9.]+", "-", f"{network}-{precision}-{names[0]}")
        self._names, self._what, self._limit = names, (network, precision), START_LAST if names[0] in LAST else START
        self._file, self._log = (folder / f"row-{stem}.{end}" for end in ("json", "log"))
        self._process: subprocess.Popen[str] | None = None
        self._listener: Thread | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self._reason = "no time was left"
        self.answers = False

    def start(self, until: float) -> None:
        """Start it, and wait until it is warm."""
        if monotonic() >= until:
            return
        self._file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "retroprop.bench.gpu.turns", *self._what, str(self._file), *self._names]
        path = os.pathsep.join(filter(None, [str(Path(retroprop.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path}
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self._listener = Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()
        self.answers = self._answer(min(self._limit, until - monotonic()))

    def round(self, until: float) -> None:
        """Let it time each of its contestants once."""
        if self.answers and self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it is gone: there is no answer, and the reason is what it ended with
                self._process.stdin.write("round\n")
                self._process.stdin.flush()
            self.answers = self._answer(min(ROUND, max(until - monotonic(), 1.0)))

    def end(self) -> None:
        """End it: nothing more is sent, and if that is not enough it is killed."""
        if self._process is None or self._listener is None or self._process.stdin is None:
            return
        with suppress(OSError):  # what was not sent is lost
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(PATIENCE)  # unless a process of that process, a compiler's, holds on to its output

    def cells(self) -> dict[str, dict[str, Any]]:
        """Return what is known of its contestants; where it did not end well, those it timed have a warning."""
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
        """Return whether it answers within so many seconds; if not, it is ended, and the reason kept."""
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
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1][:300]}" if said else ""


def main(network: str, precision: str, file: str, *names: str) -> None:
    """Be one of the processes."""
    # Whatever else is printed goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    row, new = Row(network, precision, names), Path(f"{file}.new")

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
