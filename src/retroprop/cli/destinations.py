"""Checks of output files, made before any work begins."""

import tempfile
from pathlib import Path

from retroprop.cli.errors import CommandError
from retroprop.explain.style import SUFFIXES


def check_destination(path: Path, *, option: str, not_over: str | None = None) -> None:
    """Raise CommandError if a file cannot be written at `path`.

    Parameters
    ----------
    path : Path
        The file.
    option : str
        The option that named it, for the error message.
    not_over : str, optional
        An input file, which must not be replaced.
    """
    if path.is_dir():
        raise CommandError(f'{option} "{path}" is a folder; name a file in it.')
    folder = path.parent
    if not folder.is_dir():
        raise CommandError(f'{option} "{path}": there is no folder "{folder}".')
    if not_over is not None and path.exists() and Path(not_over).exists() and path.samefile(not_over):
        raise CommandError(f'{option} "{path}" would replace the file that is read.')
    try:
        # Permission bits do not show a read-only or full disk: only a trial write does.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise CommandError(f'{option} "{path}": cannot write to the folder "{folder}" ({error.strerror}).') from error


def check_picture(path: Path, *, option: str) -> None:
    """Raise CommandError unless the suffix of `path` is a supported picture format."""
    if path.suffix.lower() not in SUFFIXES:
        raise CommandError(f'{option} "{path}": a picture is a .png, .svg or .pdf file.')
