"""`from_torch` and `save_torch`: a network from a module, a state dict or a file of one, and to such a file."""

import io
import os
import zipfile
from collections.abc import Mapping
from io import FileIO
from typing import Any

from retroprop.interop.errors import needed
from retroprop.interop.rebuilding import listed_functions, network_of
from retroprop.interop.torch_layers import linear_layers, network_of_module, to_torch
from retroprop.network import Network
from retroprop.persistence.errors import ModelFileError, printable
from retroprop.persistence.files import write_whole
from retroprop.persistence.reading import read_regular


def save_torch(net: Network, path: str | os.PathLike[str]) -> None:
    """Write the state dict of `to_torch(net)` to a file, for `torch.load(path, weights_only=True)`.

    The errors are those of `to_torch`, and OSError if it cannot be written.
    """
    write_whole(path, torch_bytes(net))


def torch_bytes(net: Network) -> bytes:
    """Return the content of the file that `save_torch` writes."""
    torch, content = needed("torch", by="rp.interop.save_torch"), io.BytesIO()
    torch.save(to_torch(net).state_dict(), content)
    return content.getvalue()


def from_torch(given: Any, *, hidden: Any = None, output: Any = None, loss: Any = None, backend: Any = None) -> Network:
    """Return the network of a `torch.nn.Sequential`, of a state dict, or of a file of one.

    Parameters
    ----------
    given : torch.nn.Module, mapping or path
        A Sequential (or nested ones) of Linear, activations and Dropout, or a Linear alone; the state dict of one; or
        a file that `torch.save(module.state_dict(), path)` wrote. A file is read with `weights_only=True`, after its
        sizes and checksums.
    hidden, output : str, object or list
        The activations of a state dict, which holds none; see `Network`. A module has its own.
    loss : str or object, optional
        By default the one whose output the activation is.
    backend : str, Backend or None
        The backend of the network.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, or holds another thing than a state dict.
    TypeError, ValueError
        If a layer is none that a network has (which), shapes do not follow (where), or activations are missing.
    """
    if isinstance(given, (str, os.PathLike)):
        state = _state_in(given)
        try:
            return _network_of_state(state, hidden, output, loss, backend)
        except ValueError as error:
            if hidden is None:
                raise
            raise ModelFileError(f"{os.fspath(given)}: {printable(error)}") from error
    if isinstance(given, Mapping):
        return _network_of_state(given, hidden, output, loss, backend)
    if not hasattr(given, "named_children"):
        raise TypeError(f"from_torch takes a torch.nn.Sequential, a state dict or a path, not {type(given).__name__}.")
    if hidden is not None or output is not None:
        raise ValueError("hidden and output are for a state dict: a module has its own activations.")
    return network_of_module(given, loss=loss, backend=backend)


def _network_of_state(state: Mapping[str, Any], hidden: Any, output: Any, loss: Any, backend: Any) -> Network:
    thetas, biases = linear_layers(state)
    n_hidden = len(thetas) - 1
    if hidden is None and n_hidden:
        raise ValueError('a state dict holds no activations: pass them, as hidden="relu" and output="identity".')
    fs = listed_functions(hidden, "identity" if output is None else output, n_hidden)
    return network_of(thetas, biases, fs, [0.0] * n_hidden, loss=loss, backend=backend)


def _state_in(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state dict in a file."""
    torch = needed("torch", by="rp.interop.from_torch")

    def parse(file: FileIO, size: int) -> Any:
        content = file.readall()
        _check_archive(content, size)
        try:
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises errors of every kind
            raise ValueError(
                f"is no file of tensors that torch reads: {printable(error).partition('. ')[0]}"
            ) from error

    state = read_regular(path, parse)
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ModelFileError(f"{os.fspath(path)} holds no state dict, but an object of {type(state).__name__}.")
    size = os.stat(path).st_size  # noqa: PTH116
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise ModelFileError(f"{os.fspath(path)} holds {printable(name)!r}, which is no dense tensor.")
        # A view of one number may claim to be any number of them.
        if tensor.numel() * tensor.element_size() > size:
            raise ModelFileError(f"{os.fspath(path)} is altered: {printable(name)!r} is larger than the file.")
    return dict(state)


def _check_archive(content: bytes, size: int) -> None:
    """Raise ValueError unless it is a zip archive whose parts are stored, no larger than the file, and undamaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if (
                any(part.compress_type != zipfile.ZIP_STORED for part in parts)
                or sum(p.file_size for p in parts) > size
            ):
                raise ValueError("is altered: its parts are compressed, or larger than the file.")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, UnicodeError) as error:
        raise ValueError("is no file that torch.save writes, or is damaged.") from error
    if damaged is not None:
        raise ValueError(f"is damaged: the checksum of {printable(damaged)!r} is wrong.")
