"""The progress of a run on a terminal: a bar (rich), one plain line without rich, nothing elsewhere."""

import sys
from importlib.util import find_spec
from time import monotonic
from typing import Any


class Silence:
    """Shows nothing."""

    def show(self, share: float, text: str) -> None:
        """Take note that this share of the run is done, and what comes next."""

    def stop(self) -> None:
        """End the display."""


class Bar(Silence):
    """A bar with what is being timed and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._progress: Any = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=2)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            expand=True,
            # A bar that draws itself from a thread of its own would compute while others are timed.
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=1.0)
        self._progress.start()
        self._shown = 0.0

    def show(self, share: float, text: str) -> None:
        self._progress.update(self._task, completed=share, description=text)
        if monotonic() - self._shown > 0.1:
            self._shown = monotonic()
            self._progress.refresh()

    def stop(self) -> None:
        self._progress.stop()


class Line(Silence):
    """One line, written over."""

    def __init__(self) -> None:
        self._begun, self._shown = monotonic(), 0.0

    def show(self, share: float, text: str) -> None:
        now = monotonic()
        if now - self._shown > 0.1:
            left = f", {(now - self._begun) * (1.0 - share) / share:.0f} s left" if share > 0.02 else ""
            sys.stderr.write(f"\r{100.0 * share:3.0f} %  {text}{left}\x1b[K")
            sys.stderr.flush()
            self._shown = now

    def stop(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def display() -> Silence:
    """Return what shows the progress: nothing unless standard error is a terminal."""
    if not sys.stderr.isatty():
        return Silence()
    return Bar() if find_spec("rich") else Line()
