"""Checks of output files, made before any work begins, and the names of files that the user did not name."""

import os
import tempfile
from pathlib import Path

from retroprop.cli.errors import CommandError
from retroprop.explain.style import SUFFIXES
from retroprop.persistence.files import descriptor_of, is_special


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
    try:
        _check(path, option, not_over)
    except OSError as error:
        raise CommandError(f'{option} "{path}": cannot write there ({error.strerror}).') from error


def _check(path: Path, option: str, not_over: str | None) -> None:
    if path.is_dir():
        raise CommandError(f'{option} "{path}" is a folder; name a file in it.')
    # Links are followed: the folder that matters is that of the file itself.
    real = Path(os.path.realpath(path))
    if descriptor_of(path) is not None or is_special(path):
        return
    for folder in dict.fromkeys((path.parent, real.parent)):
        if not folder.is_dir():
            raise CommandError(f'{option} "{path}": there is no folder "{folder}".')
    if not_over is not None and path.exists() and Path(not_over).exists() and path.samefile(not_over):
        raise CommandError(f'{option} "{path}" would replace the file that is read.')
    if path.exists() and not os.access(path, os.W_OK):
        raise CommandError(f'{option} "{path}" is read-only.')
    try:
        # Permission bits do not show a read-only or full disk: only a trial write does.
        with tempfile.NamedTemporaryFile(dir=real.parent, prefix=".retroprop-"):
            pass
    except OSError as error:
        raise CommandError(
            f'{option} "{path}": cannot write to the folder "{real.parent}" ({error.strerror}).'
        ) from error


def check_picture(path: Path, *, option: str) -> None:
    """Raise CommandError unless the suffix of `path` is a supported picture format."""
    if path.suffix.lower() not in SUFFIXES:
        raise CommandError(f'{option} "{path}": a picture is a .png, .svg or .pdf file.')


def free_path(path: Path) -> Path:
    """Return `path`, or where it exists the first of name-2, name-3, ... that does not."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def default_picture(model: Path) -> Path | None:
    """Return a new file for the picture beside a model, run.v1.png for run.v1; None beside a FIFO or a device."""
    if descriptor_of(model) is not None or is_special(model):
        return None
    return free_path(model.with_name(f"{model.name.removesuffix('.safetensors')}.png"))
