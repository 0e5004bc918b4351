"""The progress of a training on a terminal: a bar (rich), one plain line without rich, nothing elsewhere."""

import sys
from importlib.util import find_spec
from time import perf_counter
from typing import Any, Protocol

from retroprop.functions.names import flag
from retroprop.training.history import History

_REFRESH = 0.1  # seconds; updating the bar at every step would cost more than a small step


class Displayed(Protocol):
    """The part of a training that is displayed: the number of finished epochs of all, and the figures so far."""

    epoch: int
    epochs: int
    history: History


class Silence:
    """Shows nothing."""

    def start(self, epochs: int, rows: int) -> None:
        """Begin a training of `epochs` times `rows` samples."""

    def advance(self, rows: int) -> None:
        """Count `rows` more samples as done."""

    def epoch(self, state: Displayed) -> None:
        """Show the figures of an epoch."""

    def stop(self) -> None:
        """End the display."""


def _summary(state: Displayed) -> str:
    """Return the last cost (after a slash the validation cost) and the metrics, short enough for a line."""
    history = state.history
    cost = "/".join(f"{costs[-1]:.3g}" for costs in (history.cost, history.validation_cost) if costs)
    return "  ".join([f"cost {cost}", *(f"{k.replace('_', ' ')} {v[-1]:.3f}" for k, v in history.metrics.items())])


def _speed(samples: int, seconds: float) -> str:
    """Return the samples per second as text of a small, fixed width."""
    speed = samples / max(seconds, 1e-9)
    return f"{speed / 1e3:,.0f}k samples/s" if speed >= 1e4 else f"{speed:,.0f} samples/s"


class Bar(Silence):
    """A bar with epoch, cost, metric, samples per second and the remaining time, on one line."""

    progress: Any = None  # a training may end before it starts

    def start(self, epochs: int, rows: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        def text(form: str, **column: Any) -> TextColumn:
            return TextColumn(form, table_column=Column(no_wrap=True, **column))

        self.done, self.pending, self.began, self.shown = 0, 0, perf_counter(), 0.0
        self.fields: dict[str, Any] = {"epoch": 0, "epochs": epochs, "summary": ""}
        self.progress = Progress(
            text("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            text("{task.fields[summary]}", overflow="ellipsis"),
            text("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            expand=True,
        )
        self.task = self.progress.add_task("", total=epochs * rows, speed="", **self.fields)
        self.progress.start()

    def advance(self, rows: int) -> None:
        self.pending += rows
        if perf_counter() - self.shown > _REFRESH:
            self._show()

    def epoch(self, state: Displayed) -> None:
        self.fields |= {"epoch": state.epoch, "summary": _summary(state)}

    def stop(self) -> None:
        if self.progress is not None:
            self._show()
            self.progress.stop()

    def _show(self) -> None:
        self.shown = perf_counter()
        self.done += self.pending
        speed = _speed(self.done, self.shown - self.began)
        self.progress.update(self.task, advance=self.pending, speed=speed, **self.fields)
        self.pending = 0


class Line(Silence):
    """One line, overwritten after every epoch."""

    last: Displayed | None = None

    def start(self, epochs: int, rows: int) -> None:
        self.rows, self.began, self.shown = rows, perf_counter(), 0.0

    def epoch(self, state: Displayed) -> None:
        self.last = state
        if perf_counter() - self.shown > _REFRESH:
            self._show(state)

    def stop(self) -> None:
        if self.last is not None:
            self._show(self.last)
            sys.stderr.write("\n")

    def _show(self, state: Displayed) -> None:
        now = perf_counter()
        left = (state.epochs - state.epoch) * (now - self.began) / state.epoch
        speed = _speed(state.epoch * self.rows, now - self.began)
        line = f"epoch {state.epoch}/{state.epochs}  {_summary(state)}  {speed}  {left:.0f} s left"
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()
        self.shown = now


def display(progress: bool) -> Silence:
    """Return the display: a silent one unless `progress` is True and standard error is a terminal."""
    if not flag("progress", progress) or not sys.stderr.isatty():
        return Silence()
    return Bar() if find_spec("rich") else Line()
