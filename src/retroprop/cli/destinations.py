"""Where results are written: looked at before any work, and written whole or not at all."""

import tempfile
from pathlib import Path

from retroprop.cli.errors import CommandError


def check_destination(path: Path, *, option: str, not_over: str | None = None) -> None:
    """Raise CommandError if a file cannot be written at `path`.

    Parameters
    ----------
    path : Path
        The file.
    option : str
        The option it was given by, for the message.
    not_over : str, optional
        A file that is read, so must not be replaced.
    """
    if path.is_dir():
        raise CommandError(f'{option} "{path}" is a folder; name a file in it.')
    folder = path.parent
    if not folder.is_dir():
        raise CommandError(f'{option} "{path}": there is no folder "{folder}".')
    if not_over is not None and path.exists() and Path(not_over).exists() and path.samefile(not_over):
        raise CommandError(f'{option} "{path}" would replace the file that is read.')
    try:
        # Only writing tells: permissions say nothing of a read-only or a full disk.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise CommandError(f'{option} "{path}": cannot write to the folder "{folder}" ({error.strerror}).') from error


def check_picture(path: Path, *, option: str) -> None:
    """Raise CommandError unless the file is one of a kind that is drawn."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise CommandError(f'{option} "{path}": a picture is a .png, .svg or .pdf file.')
