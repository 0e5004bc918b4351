"""Error handling of all commands: one message on standard error and an exit code, never a stack trace."""

import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from retroprop.cli.errors import ARGUMENTS, CommandError, as_typed
from retroprop.cli.ranks import end_others, is_to_print
from retroprop.tabular.errors import printable
from retroprop.training.parallel import is_common


def note(message: str, *, quiet: bool) -> None:
    """Print a line on standard error, unless `quiet`."""
    if not quiet:
        typer.echo(f"retroprop: {printable(as_typed(message, ARGUMENTS))}", err=True)


@contextmanager
def warnings_as_notes(options: Mapping[str, str], *, quiet: bool) -> Iterator[None]:
    """Print the warnings of the library as notes, without the place in the source that a warning of Python has.

    Those of its log, in which `options` are named as on the command line, are printed though `quiet`: each is of one
    process.
    """
    log, handler = logging.getLogger("retroprop"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: note(as_typed(record.getMessage(), options), quiet=False)  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, category, *rest: note(str(message), quiet=quiet)
            yield
    finally:
        log.removeHandler(handler)


class Commands(TyperGroup):
    """The group of all commands, which catches their errors; RETROPROP_DEBUG=1 shows the stack trace instead."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command of `ctx`; the exit code is 2 for wrong input, 1 for a failed run, 130 for Ctrl-C."""
        if os.environ.get("RETROPROP_DEBUG"):
            return super().invoke(ctx)

        def message_of(error: Exception) -> str:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            options = {p.name: p.opts[0] for p in command.params if p.opts[0].startswith("--")} if command else {}
            return as_typed(str(error), options)

        try:
            with _signals_as_ctrl_c():
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except CommandError as error:
            return _end(str(error), error.exit_code)
        except KeyboardInterrupt:
            return _end("interrupted.", 130)
        except (ValueError, TypeError, ImportError) as error:
            return _end(message_of(error), 2)
        except OSError as error:
            return _end(f"{error.filename}: {error.strerror}" if error.strerror else str(error), 2)
        except MemoryError as error:
            return _end(f"not enough memory. {error}", 1)
        except (ArithmeticError, RuntimeError) as error:
            return _end(message_of(error), 1)
        except Exception as error:
            # Of the parser, which prints it with the usage.
            if hasattr(error, "format_message") and not is_to_print():
                raise typer.Exit(2) from error
            raise


@contextmanager
def _signals_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGUSR1 end a command as Ctrl-C does: a training then leaves the model as it stands."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread only
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(message: str, exit_code: int) -> None:
    error = sys.exception()
    if getattr(error, "rank", 0):
        time.sleep(1.0)  # rank 0 prints it, before the end of this process ends that one
    elif is_common(error) or is_to_print():
        typer.echo(f"retroprop: {printable(message)}", err=True)
        if not is_common(error):
            end_others(exit_code)
    raise typer.Exit(exit_code)
