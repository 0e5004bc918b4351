"""A network as one safetensors file: its parameters as tensors, its architecture as JSON in the header.

json and safetensors are imported when a file is written or read, so that `import retroprop` stays light.
"""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy

from retroprop._version import __version__
from retroprop.backends import get_backend
from retroprop.core.architecture import Architecture
from retroprop.functions import activations, losses, names
from retroprop.functions.activations import ACTIVATIONS, CustomActivation, GroupedSoftmax
from retroprop.functions.losses import LOSSES, CustomLoss, GroupedCrossEntropy
from retroprop.network import Network

FORMAT_VERSION = 1
_OWN = "retroprop"  # the header's key for the architecture
# The key of `retroprop.tabular`: such a file also holds the schema and the scaling of a table.
TABULAR_KEY = "retroprop_train"


class ModelFileError(ValueError):
    """A model file that cannot be used; the message has its path and the reason."""


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
    """
    import json

    from safetensors.numpy import save as to_bytes

    from retroprop.persistence.files import write_whole

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
    architecture = _to_plain(net.architecture)
    description = {
        "format_version": FORMAT_VERSION,
        "written_by": __version__,
        "architecture": architecture,
        "sha256": _digest(tensors, architecture, extra),
    }
    write_whole(path, to_bytes(tensors, {**extra, _OWN: json.dumps(description)}))


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

    Warns
    -----
    UserWarning
        If it is the model of a table: the network alone takes standardised inputs and returns no labels.
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
    """Return a saved network and its metadata; parameters and errors are those of `load`."""
    architecture, metadata, tensors = _read(path)
    backend = get_backend(backend)
    try:
        thetas = [tensors[f"theta.{l}"] for l in range(len(architecture["layer_sizes"]) - 1)]
        biases = [tensors[f"bias.{l}"] for l in range(len(thetas))] if architecture["bias"] else None
        options = _from_plain(architecture, dict(objects or {}))
        return Network.from_parameters(thetas, biases, backend=backend, **options), metadata
    except ModelFileError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelFileError(f"{os.fspath(path)} does not describe a network: {error}") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata that were saved, without building a network; the errors are those of `load`."""
    return _read(path)[1]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """Return architecture, metadata and tensors of a file, after its checksum."""
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    if not os.path.isfile(path):  # noqa: PTH113
        raise FileNotFoundError(f"there is no model file {name!r}.")
    try:
        with safe_open(name, framework="numpy") as file:
            extra = dict(file.metadata() or {})
            # The header is checked before the tensors: a foreign file may hold dtypes that NumPy lacks.
            description = _description(name, extra.pop(_OWN, None))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except ModelFileError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{name} is truncated, or not a safetensors file ({error}).") from error
    architecture = description.get("architecture")
    if _digest(tensors, architecture, extra) != description.get("sha256"):
        raise ModelFileError(f"{name} is altered: it does not hold what was saved.")
    return architecture, extra, tensors  # type: ignore[return-value]


def _description(name: str, own: str | None) -> dict[str, Any]:
    """Return the entry of retroprop in the header, if this version can read its format."""
    if own is None:
        raise ModelFileError(f"{name} is a safetensors file, but no network that retroprop saved.")
    import json

    try:
        description: dict[str, Any] = json.loads(own)
        version, written_by = int(description["format_version"]), description.get("written_by", "?")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"{name} is altered: its header cannot be read ({error}).") from error
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{name} was written by retroprop {written_by} in format {version}; this is {__version__}, which reads up "
            f"to format {FORMAT_VERSION}. Upgrade: pip install -U retroprop"
        )
    return description


def _digest(tensors: Mapping[str, Any], architecture: Any, extra: Mapping[str, str]) -> str:
    """Return a hash of the content of a file, which detects any later change."""
    import json
    from hashlib import sha256

    digest = sha256(json.dumps([FORMAT_VERSION, architecture, extra], sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = numpy.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.tobytes())
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
