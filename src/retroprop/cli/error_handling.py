"""Where every error of a command ends: one message on standard error and an exit code, never a stack trace."""

import os
from typing import Any

import typer
from typer.core import TyperGroup

from retroprop.cli.errors import CommandError, as_typed


def note(message: str, *, quiet: bool) -> None:
    """Print a line on standard error, unless `quiet`."""
    if not quiet:
        typer.echo(f"retroprop: {message}", err=True)


class Commands(TyperGroup):
    """The commands, with their errors caught. RETROPROP_DEBUG=1 lets the stack trace through."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command of `ctx`; wrong input ends with exit code 2, a failed run with 1, Ctrl-C with 130."""
        if os.environ.get("RETROPROP_DEBUG"):
            return super().invoke(ctx)

        def told(error: Exception) -> str:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            options = {p.name: p.opts[0] for p in command.params if p.opts[0].startswith("--")} if command else {}
            return as_typed(str(error), options)

        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except CommandError as error:
            return _end(str(error), error.exit_code)
        except KeyboardInterrupt:
            return _end("interrupted.", 130)
        except (ValueError, TypeError, ImportError) as error:
            return _end(told(error), 2)
        except OSError as error:
            return _end(f"{error.filename}: {error.strerror}" if error.strerror else str(error), 2)
        except MemoryError as error:
            return _end(f"not enough memory. {error}", 1)
        except (ArithmeticError, RuntimeError) as error:
            return _end(told(error), 1)


def _end(message: str, exit_code: int) -> None:
    typer.echo(f"retroprop: {message}", err=True)
    raise typer.Exit(exit_code)
