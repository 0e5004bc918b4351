"""The error of an export, and the import of a library that an exchange needs."""

from importlib import import_module
from typing import Any


class ExportError(ValueError):
    """A model or a part of it that another library's format cannot express; the message names the part."""


def needed(module: str, *, by: str) -> Any:
    """Return a module that is imported when it is first needed.

    Parameters
    ----------
    module : str
        As "onnx" or "torch.nn"; its first part is also the name of the extra.
    by : str
        The call, for the message.

    Raises
    ------
    ImportError
        With the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        raise ImportError(f"{by} needs {root}: pip install 'retroprop[{root}]'") from error
