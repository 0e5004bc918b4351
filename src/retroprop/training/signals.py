"""Signals during a training with checkpoints: they end it after the current step, and a second one ends it at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

REASONS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGUSR1": "terminated"}


class StopRequested(BaseException):
    """A signal has asked to end the training; `reason` is the `History.stop_reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# Of one process, and of a rank: a KeyboardInterrupt of one rank alone is an error that ends the others.
INTERRUPTIONS = ((KeyboardInterrupt, StopRequested), (StopRequested,))


class StopSignals(Protocol):
    """The signals that a training answers: those of a process, or those that ranks have in common.

    Attributes
    ----------
    answered : bool
        Whether a training was ended for it.
    """

    answered: bool

    @property
    def reason(self) -> str:
        """The reason to stop, empty while no signal has come."""

    def stop_if_asked(self) -> None:
        """Raise StopRequested if a signal has come."""


class PassedOn:
    """Signals of this process that are passed on to the other ranks of a training.

    Parameters
    ----------
    own : Signals
        Those of this process.
    """

    def __init__(self, own: "Signals") -> None:
        self.own = own

    @property
    def answered(self) -> bool:
        """Whether the training was ended for it."""
        return self.own.answered

    @answered.setter
    def answered(self, value: bool) -> None:
        self.own.answered = value


class Signals:
    """The handlers of SIGINT, SIGTERM and SIGUSR1 while a training runs in the main thread.

    SIGINT is left alone where the program has a handler of its own.

    Parameters
    ----------
    names : iterable of str
        The signals that are handled.

    Attributes
    ----------
    reason : str
        The reason to stop, empty while no signal has come.
    answered : bool
        Whether the training was ended for it. If it ends before by itself, the signal is sent again afterwards.
    tell : callable
        Is called when the first signal comes.
    """

    def __init__(self, names: Iterable[str] = tuple(REASONS)) -> None:
        self.reason, self.answered, self.names = "", False, names
        self.tell: Callable[[], object] = bool
        self._came_first = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in self.names:
                number = getattr(signal, name, None)
                handler = None if number is None else signal.getsignal(number)
                own = name == "SIGINT" and handler is not signal.default_int_handler
                if number is not None and handler is not None and not own:
                    self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        if self.reason and not self.answered:
            os.kill(os.getpid(), self._came_first)

    def stop_if_asked(self) -> None:
        """Raise StopRequested if a signal has come."""
        if self.reason:
            self.answered = True
            raise StopRequested(self.reason)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if not self.reason:
            self.reason, self._came_first = REASONS[signal.Signals(number).name], number
            self.tell()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
