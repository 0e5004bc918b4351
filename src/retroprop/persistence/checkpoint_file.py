"""One checkpoint as bytes: tensors in the safetensors format, a JSON card in its header, a checksum over every byte."""

from collections.abc import Mapping
from typing import Any

import numpy

from retroprop._version import __version__

FORMAT_VERSION = 1
HEADER_LIMIT = 2**20
"""Bytes: the lists of a training are tensors, so that no header of ours comes near, and none costs memory to parse."""
_CARD, _SUM = "retroprop_checkpoint", "retroprop_sha256"
_NOTHING = "0" * 64


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, or a folder of them; the message has the path and the reason."""


def to_bytes(card: Mapping[str, Any], tensors: Mapping[str, Any]) -> bytes:
    """Return a card, of plain values, and NumPy arrays as the content of a file."""
    import json

    from safetensors.numpy import save

    plain = json.dumps({"format_version": FORMAT_VERSION, "written_by": __version__, **card}, allow_nan=False)
    in_rows = {name: numpy.array(tensor, order="C", copy=None) for name, tensor in tensors.items()}
    content = save(in_rows, {_CARD: plain, _SUM: _NOTHING})
    if _header_end(content) > HEADER_LIMIT:
        raise ValueError(f"a checkpoint describes its run in at most {HEADER_LIMIT} bytes.")
    at = _place_of_sum(content)
    return b"".join((content[:at], _digest(content, at).encode(), content[at + len(_NOTHING) :]))


def from_bytes(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return card and arrays of a file's content; the arrays cannot be written to.

    Raises
    ------
    CheckpointError
        If it is torn, altered, foreign, or of a newer format; the message completes a sentence about the file.
    """
    import json

    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not 8 < _header_end(content) <= min(len(content), HEADER_LIMIT):
        raise CheckpointError("is torn, or no checkpoint")
    at = _place_of_sum(content)
    if at < 0:
        raise CheckpointError("is no checkpoint of retroprop")
    if content[at : at + len(_NOTHING)] != _digest(content, at).encode():
        raise CheckpointError("is torn or altered: its checksum is not that of its content")
    try:
        header = json.loads(content[8 : _header_end(content)])
        card = json.loads(header["__metadata__"][_CARD])
        version = int(card["format_version"])
        if version > FORMAT_VERSION:
            raise CheckpointError(f"is of retroprop {str(card['written_by'])[:40]!r}, in the newer format {version}")
        return card, load(content)
    except CheckpointError:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"is altered: {type(error).__name__}") from error


def _header_end(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


def _place_of_sum(content: bytes) -> int:
    """Return where the checksum begins, −1 where there is none: after its key, the last such in the header."""
    key = f'"{_SUM}":"'.encode()
    at = content.rfind(key, 0, _header_end(content))
    return -1 if at < 0 else at + len(key)


def _digest(content: bytes, at: int) -> str:
    """Return the hash of a content whose checksum counts as zeros."""
    from hashlib import sha256

    whole = memoryview(content)
    digest = sha256(whole[:at])
    digest.update(_NOTHING.encode())
    digest.update(whole[at + len(_NOTHING) :])
    return digest.hexdigest()
