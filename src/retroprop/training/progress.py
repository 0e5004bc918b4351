"""The progress of a training on a terminal: a bar (rich), one plain line without rich, nothing elsewhere."""

import sys
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from retroprop.training.callbacks import TrainingState

_REFRESH = 0.1  # seconds; telling the bar of every step would cost more than a small step


class Silence:
    """Shows nothing."""

    def start(self, epochs: int, rows: int) -> None:
        """Begin a training of `epochs` times `rows` samples."""

    def advance(self, rows: int) -> None:
        """Take note that `rows` more samples are done."""

    def epoch(self, state: TrainingState) -> None:
        """Show what an epoch has come to."""

    def stop(self) -> None:
        """End the display."""


def _summary(state: TrainingState) -> str:
    """Return the last cost and metric in words."""
    history = state.history
    parts = [f"cost {history.cost[-1]:.4g}"]
    if history.validation_cost:
        parts.append(f"validation {history.validation_cost[-1]:.4g}")
    parts += [f"{name.replace('_', ' ')} {values[-1]:.4f}" for name, values in history.metrics.items()]
    return "  ".join(parts)


class Bar(Silence):
    """A bar with epoch, cost, metric, samples per second and the time left."""

    def start(self, epochs: int, rows: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Speed(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f} samples/s" if task.speed else "")

        self.epochs, self.pending, self.shown = epochs, 0, perf_counter()
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[summary]}"),
            Speed(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.progress.add_task("", total=epochs * rows, epoch=0, epochs=epochs, summary="")
        self.progress.start()

    def advance(self, rows: int) -> None:
        self.pending += rows
        if perf_counter() - self.shown > _REFRESH:
            self._show()

    def epoch(self, state: TrainingState) -> None:
        if perf_counter() - self.shown > _REFRESH or state.epoch == self.epochs:
            self._show(epoch=state.epoch, summary=_summary(state))
        self.last = state

    def stop(self) -> None:
        if hasattr(self, "last"):
            self._show(epoch=self.last.epoch, summary=_summary(self.last))
        self.progress.stop()

    def _show(self, **fields: Any) -> None:
        self.progress.update(self.task, advance=self.pending, **fields)
        self.pending, self.shown = 0, perf_counter()


class Line(Silence):
    """One line, written over after every epoch."""

    def start(self, epochs: int, rows: int) -> None:
        self.rows, self.began, self.shown, self.last = rows, perf_counter(), 0.0, None

    def epoch(self, state: TrainingState) -> None:
        self.last = state
        if perf_counter() - self.shown > _REFRESH:
            self._show(state)

    def stop(self) -> None:
        if self.last is not None:
            self._show(self.last)
            sys.stderr.write("\n")

    def _show(self, state: TrainingState) -> None:
        now = perf_counter()
        speed = state.epoch * self.rows / max(now - self.began, 1e-9)
        left = (state.epochs - state.epoch) * self.rows / speed
        line = f"epoch {state.epoch}/{state.epochs}  {_summary(state)}  {speed:,.0f} samples/s  {left:.0f} s left"
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()
        self.shown = now

    last: TrainingState | None


def display(progress: bool) -> Silence:
    """Return what shows the progress: nothing unless it is wanted and standard error is a terminal."""
    if not progress or not sys.stderr.isatty():
        return Silence()
    return Bar() if find_spec("rich") else Line()
