"""A network as one safetensors file: its parameters as tensors, its architecture as JSON in the header.

Nothing of a file is trusted: sizes are checked before memory is taken, a checksum finds what was altered, and a network
is built only from a description that is exactly what `save` would write of it. json, safetensors and the modules that
read are imported when a file is written or read, so that `import retroprop` stays light.
"""

import os
import warnings
from collections.abc import Mapping, Set
from io import FileIO
from typing import Any

import numpy

from retroprop._version import __version__
from retroprop.backends import get_backend
from retroprop.core.architecture import Architecture
from retroprop.functions import activations, losses, names
from retroprop.functions.activations import ACTIVATIONS, CustomActivation, GroupedSoftmax
from retroprop.functions.losses import LOSSES, CustomLoss, GroupedCrossEntropy
from retroprop.network import Network
from retroprop.persistence.errors import ModelFileError, printable

FORMAT_VERSION = 1
_OWN = "retroprop"  # the header's key for the architecture
# The key of `retroprop train`: such a file also holds the columns and the scaling of a table.
TABULAR_KEY = "retroprop_train"
_KEYS = {"layer_sizes", "hidden", "output", "loss", "bias", "l2", "l1", "dropout"}


def save(net: Network, path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write `net` to a safetensors file, atomically.

    Parameters
    ----------
    net : Network
        On any backend.
    path : path
        The file; an existing file is replaced.
    metadata : mapping of str to str, optional
        Stored in the header; `read_metadata` returns it.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError
        If `net` is not a Network, or the metadata are not strings.
    ValueError
        If a parameter is NaN or infinite, or the metadata are larger than `load` reads: 16 MiB.
    """
    import json

    from safetensors.numpy import save as to_bytes

    from retroprop.persistence.files import write_whole
    from retroprop.persistence.tensor_file import MOST_HEADER, header_length

    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, not {net!r}.")
    extra: dict[Any, Any] = dict(metadata or {})
    for key, value in extra.items():
        if not isinstance(key, str) or not isinstance(value, str) or key == _OWN:
            raise TypeError(f"metadata must map strings to strings, and not {_OWN!r}; {key!r}: {value!r} does not.")
    tensors = {
        f"{part}.{l}": numpy.ascontiguousarray(net.backend.to_numpy(array))
        for part, arrays in (("theta", net.thetas), ("bias", net.biases))
        for l, array in enumerate(arrays)
    }
    if wrong := [name for name, tensor in tensors.items() if not numpy.isfinite(tensor).all()]:
        raise ValueError(
            f"net has parameters that are NaN or infinite, in {wrong[0]}: no file of them could be loaded."
        )
    architecture = _to_plain(net.architecture)
    description = {
        "format_version": FORMAT_VERSION,
        "written_by": __version__,
        "architecture": architecture,
        "sha256": _digest(tensors, architecture, extra),
    }
    content = to_bytes(tensors, {**extra, _OWN: json.dumps(description)})
    if (length := header_length(content)) > MOST_HEADER:
        raise ValueError(f"metadata make a header of {length} bytes, and a model file has at most {MOST_HEADER}.")
    write_whole(path, content)


def load(path: str | os.PathLike[str], *, backend: Any = None, objects: Mapping[str, Any] | None = None) -> Network:
    """Return a saved network, on any backend.

    Parameters
    ----------
    path : path
        A file that `save` wrote.
    backend : str, Backend or None
        The backend of the network; see `get_backend`.
    objects : mapping of str to object, optional
        The custom activations and losses of the network, by their names.

    Returns
    -------
    Network
        With the dtype of the saved one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is not a model, truncated, altered, from a newer version, or needs `objects`.
    OSError
        If it cannot be read.

    Warns
    -----
    UserWarning
        If the file is the model of a table, which `retroprop.tabular.load` returns whole.
    """
    net, metadata = load_with_metadata(path, backend=backend, objects=objects)
    if TABULAR_KEY in metadata:
        warnings.warn(
            f"{os.fspath(path)} is the model of a table; this is its network alone, which takes standardised inputs "
            f"and returns no labels. retroprop.tabular.load(...) gives the whole model.",
            UserWarning,
            stacklevel=2,
        )
    return net


def load_with_metadata(
    path: str | os.PathLike[str], *, backend: Any = None, objects: Mapping[str, Any] | None = None
) -> tuple[Network, dict[str, str]]:
    """Return a saved network and its metadata, of the same bytes; parameters and errors are those of `load`."""
    name = os.fspath(path)
    architecture, metadata, tensors = _read(path)
    backend = get_backend(backend)
    for dtype in {str(tensor.dtype) for tensor in tensors.values()}:
        backend.dtype(dtype)
    try:
        return _built(architecture, tensors, backend, objects), metadata
    except ModelFileError as error:
        raise ModelFileError(f"{name}: {printable(error)}") from error
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ModelFileError(f"{name} does not describe a network: {printable(error)}") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata that were saved, without building a network; the errors are those of `load`."""
    return _read(path)[1]


def _built(
    architecture: dict[str, Any], tensors: dict[str, Any], backend: Any, objects: Mapping[str, Any] | None
) -> Network:
    if set(architecture) != _KEYS:
        raise ValueError(f"its keys are {', '.join(map(repr, architecture))}, and not {', '.join(sorted(_KEYS))}")
    if len({tensor.dtype for tensor in tensors.values()}) > 1:
        raise ValueError("its arrays have different dtypes")
    n = len(architecture["layer_sizes"]) - 1
    thetas = [tensors[f"theta.{l}"] for l in range(n)]
    biases = [tensors[f"bias.{l}"] for l in range(n)] if architecture["bias"] else None
    net = Network.from_parameters(thetas, biases, backend=backend, **_from_plain(architecture, dict(objects or {})))
    # What is read must be exactly what would be written: no number that was rounded, no entry that was passed over.
    again = _to_plain(net.architecture)
    given = {**again, **architecture, **{key: _kept(again[key], architecture[key]) for key in ("output", "loss")}}
    given["hidden"] = [_kept(*pair) for pair in zip(again["hidden"], architecture["hidden"], strict=True)]
    if _text(given) != _text(again):
        raise ValueError("its entries are not those of the network that they make")
    return net


def _kept(ours: Any, given: Any) -> Any:
    """Return the entry of a function in the file; a custom one may have another name by now."""
    return ours if "custom" in given else given


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """Return architecture, metadata and tensors of a file, after its checksum."""
    from retroprop.persistence.reading import read_regular

    return read_regular(path, _checked)


def _checked(file: FileIO, size: int) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    from retroprop.persistence.tensor_file import read_tensors

    found: dict[str, Any] = {}

    def check(metadata: dict[str, str], names: Set[str]) -> None:
        # The description is read before the tensors: another version may have dtypes that this one does not know.
        found.update(_description(metadata.pop(_OWN, None)))
        _check_names(found.get("architecture"), names)

    tensors, extra = read_tensors(file, size, check)
    if _digest(tensors, found["architecture"], extra) != found.get("sha256"):
        raise ValueError("is altered: it does not hold what was saved.")
    return found["architecture"], extra, tensors


def _check_names(architecture: Any, names: Set[str]) -> None:
    """Raise ValueError unless the arrays of a file are those that its architecture has."""
    try:
        n = len(architecture["layer_sizes"]) - 1
        parts = ("theta", "bias") if architecture["bias"] else ("theta",)
    except (LookupError, TypeError) as error:
        raise ValueError("is altered: its architecture cannot be read.") from error
    # The number first: a list of sizes may be much longer than the list of arrays.
    if n * len(parts) != len(names) or {f"{part}.{l}" for part in parts for l in range(n)} != names:
        raise ValueError(f"does not describe a network: its {len(names)} arrays are not those of {n + 1} layers.")


def _description(own: str | None) -> dict[str, Any]:
    """Return the entry of retroprop in the header, if this version can read its format."""
    from retroprop.persistence.bounded_json import parse

    if own is None:
        raise ValueError("is a safetensors file, but no network that retroprop saved.")
    try:
        description: dict[str, Any] = parse(own)
        version, written_by = description["format_version"], description.get("written_by", "?")
        if type(version) is not int or version < 1:
            raise ValueError(f"format_version is {version!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is altered: its header cannot be read ({printable(error)}).") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"was written by retroprop {printable(written_by)[:40]} in format {printable(version)[:40]}; this is "
            f"{__version__}, which reads up to format {FORMAT_VERSION}. Upgrade: pip install -U retroprop"
        )
    return description


def _text(plain: Any) -> str:
    import json

    return json.dumps(plain, sort_keys=True)


def _digest(tensors: Mapping[str, Any], architecture: Any, extra: Mapping[str, str]) -> str:
    """Return a hash of the content of a file, which detects any later change."""
    from hashlib import sha256

    digest = sha256(_text([FORMAT_VERSION, architecture, extra]).encode())
    for name in sorted(tensors):
        tensor = numpy.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.data)
    return digest.hexdigest()


def _to_plain(architecture: Architecture) -> dict[str, Any]:
    def plain(f: Any) -> dict[str, Any]:
        return {"custom": f.name} if isinstance(f, (CustomActivation, CustomLoss)) else names.to_plain(f)

    return {
        "layer_sizes": list(architecture.layer_sizes),
        "hidden": [plain(f) for f in architecture.hidden],
        "output": plain(architecture.output.activation),
        "loss": plain(architecture.output.loss),
        "bias": architecture.bias,
        "l2": architecture.l2 if isinstance(architecture.l2, float) else list(architecture.l2),
        "l1": architecture.l1 if isinstance(architecture.l1, float) else list(architecture.l1),
        "dropout": list(architecture.dropout),
    }


def _from_plain(plain: Mapping[str, Any], objects: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Network` from plain data."""

    def function(kind: str, given: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
        if any(isinstance(value, bool) for value in given.values()):
            raise ValueError(f"{kind} has a number that is true or false")
        if "custom" not in given:
            return names.from_plain(kind, given, table)
        if given["custom"] not in objects:
            raise ModelFileError(
                f"the network has a custom {kind} {given['custom']!r}, which a file cannot hold: pass "
                f"objects={{{given['custom']!r}: ...}}."
            )
        return (activations.get if kind == "activation" else losses.get)(objects[given["custom"]])

    return {
        "hidden": [function("activation", f, ACTIVATIONS) for f in plain["hidden"]],
        "output": function("activation", plain["output"], ACTIVATIONS | {GroupedSoftmax.name: GroupedSoftmax}),
        "loss": function("loss", plain["loss"], LOSSES | {GroupedCrossEntropy.name: GroupedCrossEntropy}),
        "l2": plain["l2"],
        "l1": plain["l1"],
        "dropout": plain["dropout"],
    }
