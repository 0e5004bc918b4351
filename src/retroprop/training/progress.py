"""The progress of long work on a terminal: a bar (rich), one plain line without rich, nothing elsewhere."""

import sys
from importlib.util import find_spec
from time import perf_counter
from typing import Any, Protocol

from retroprop.functions.names import flag
from retroprop.training.history import History

_REFRESH = 0.1  # seconds; drawing after every step would cost more than a small step


class Displayed(Protocol):
    """The part of a training that is displayed: the number of finished epochs of all, and the figures so far."""

    epoch: int
    epochs: int
    history: History


class Line:
    """One line on standard error, written over; a transient one is removed at the end.

    It draws itself only when it is asked to: a thread of its own would compete with what is timed.
    """

    def __init__(self, *, transient: bool) -> None:
        self.transient, self.began, self.shown = transient, perf_counter(), 0.0

    @property
    def due(self) -> bool:
        """Whether the last drawing is long enough ago."""
        return perf_counter() - self.shown > _REFRESH

    def show(self, share: float, head: str, *texts: str) -> None:
        """Draw the fraction of the work that is done, with texts: `head` stands first."""
        self.shown = perf_counter()
        left = f"{(self.shown - self.began) * (1.0 - share) / share:.0f} s left" if share > 0.0 else ""
        sys.stderr.write(f"\r{'  '.join(filter(None, (head, *texts, left)))}\x1b[K")
        sys.stderr.flush()

    def stop(self) -> None:
        """End the display."""
        if self.shown:
            sys.stderr.write("\r\x1b[K" if self.transient else "\n")
            sys.stderr.flush()


class Bar(Line):
    """A bar of rich, with texts and the time left on the same line."""

    def __init__(self, *, transient: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        def text(name: str, **column: Any) -> TextColumn:
            return TextColumn(f"{{task.fields[{name}]}}", table_column=Column(no_wrap=True, **column), markup=False)

        super().__init__(transient=transient)
        self.progress: Any = Progress(
            text("head", overflow="ellipsis"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            text("first", overflow="ellipsis"),
            text("second"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            expand=True,
            auto_refresh=False,
            transient=transient,
        )
        self.task = self.progress.add_task("", total=1.0, head="", first="", second="")
        self.progress.start()

    def show(self, share: float, head: str, *texts: str) -> None:
        self.shown = perf_counter()
        first, second = (*texts, "", "")[:2]
        self.progress.update(self.task, completed=share, head=head, first=first, second=second, refresh=True)

    def stop(self) -> None:
        self.progress.stop()


def on_terminal(*, transient: bool = False) -> Line | None:
    """Return a bar, or a line without rich; None unless standard error is a terminal."""
    if not sys.stderr.isatty():
        return None
    return (Bar if find_spec("rich") else Line)(transient=transient)


class Silence:
    """Shows nothing of a training."""

    def start(self, epochs: int, rows: int, *, done: int = 0) -> None:
        """Begin a training of `epochs` times `rows` samples, or go on with one of which so many are done."""

    def advance(self, rows: int) -> None:
        """Count `rows` more samples as done."""

    def epoch(self, state: Displayed) -> None:
        """Show the figures of an epoch that has ended."""

    def stop(self) -> None:
        """End the display."""


class TrainingProgress(Silence):
    """Shows epoch, cost, metrics, samples per second and the time left of a training."""

    drawn: Line | None = None  # a training may end before it starts

    def start(self, epochs: int, rows: int, *, done: int = 0) -> None:
        self.epochs, self.total = epochs, epochs * rows
        self.at, self.done, self.summary, self.began = done // max(rows, 1), done, "", perf_counter()
        self.before = done
        self.drawn = on_terminal()

    def advance(self, rows: int) -> None:
        self.done += rows
        if self.drawn is not None and self.drawn.due:
            self._show(self.drawn)

    def epoch(self, state: Displayed) -> None:
        self.at, self.summary = state.epoch, _summary(state)
        self.advance(0)

    def stop(self) -> None:
        if self.drawn is not None:
            self._show(self.drawn)
            self.drawn.stop()

    def _show(self, drawn: Line) -> None:
        speed = (self.done - self.before) / max(perf_counter() - self.began, 1e-9)
        samples = f"{speed / 1e3:,.0f}k samples/s" if speed >= 1e4 else f"{speed:,.0f} samples/s"
        fraction = self.done / self.total if self.total else self.at / self.epochs  # the rows of batches are unknown
        drawn.show(fraction, f"epoch {self.at}/{self.epochs}", self.summary, samples)


def _summary(state: Displayed) -> str:
    """Return the last cost (after a slash the validation cost) and the metrics, short enough for a line."""
    history = state.history
    cost = "/".join(f"{costs[-1]:.3g}" for costs in (history.cost, history.validation_cost) if costs)
    return "  ".join([f"cost {cost}", *(f"{k.replace('_', ' ')} {v[-1]:.3f}" for k, v in history.metrics.items())])


def display(progress: bool) -> Silence:
    """Return the display of a training: nothing unless it is wanted and standard error is a terminal."""
    return TrainingProgress() if flag("progress", progress) and sys.stderr.isatty() else Silence()
