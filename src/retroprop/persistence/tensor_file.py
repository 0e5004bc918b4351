"""The safetensors format, read with every size and offset checked before memory is taken.

Eight bytes give the length of the header, a JSON object of `{name: {dtype, shape, data_offsets}}` and the metadata; the
numbers follow, little-endian, without gaps. See https://github.com/huggingface/safetensors.
"""

import struct
from collections.abc import Callable, Mapping, Set
from io import FileIO
from math import prod
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.persistence.bounded_json import parse

MOST_HEADER = 16 * 2**20  # bytes of a header: three times that of a table's model with 20,000 columns
_METADATA = "__metadata__"
_DTYPES: dict[str, numpy.dtype[Any]] = {"F32": numpy.dtype("<f4"), "F64": numpy.dtype("<f8")}


def read_tensors(
    file: FileIO, size: int, check: Callable[[dict[str, str], Set[str]], None]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the tensors and the metadata of an open file.

    Parameters
    ----------
    file : file
        At its beginning.
    size : int
        Its length, in bytes.
    check : function
        Sees the metadata and the names before the tensors are read, and raises ValueError.

    Raises
    ------
    ValueError
        If it is not such a file, or holds other numbers than float32 and float64.
    """
    if size < 8:
        raise ValueError(f"is truncated, or not a safetensors file: it has {size} bytes.")
    (length,) = struct.unpack("<Q", _exactly(file, 8))
    if not 2 <= length <= size - 8:
        raise ValueError(
            f"is truncated, or not a safetensors file: its header would have {length} bytes of {size - 8}."
        )
    if length > MOST_HEADER:
        raise ValueError(f"has a header of {length} bytes; one of at most {MOST_HEADER} is read.")
    header = _header(_exactly(file, length))
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("is altered: its metadata are not texts.")
    check(metadata, header.keys())
    places = {name: _place(name, entry) for name, entry in header.items()}
    _check_places(places, size - 8 - length)
    numbers = _exactly(file, size - 8 - length)
    if file.read(1):
        raise ValueError("is altered: something follows its end.")
    tensors = {
        name: numpy.frombuffer(numbers, dtype, prod(shape), begin).reshape(shape)
        for name, (dtype, shape, begin, _) in places.items()
    }
    return {name: array.astype(array.dtype.newbyteorder("="), copy=False) for name, array in tensors.items()}, metadata


def header_length(content: bytes) -> int:
    """Return the length of the header of a whole file, in bytes."""
    return int(struct.unpack("<Q", content[:8])[0])


def _exactly(file: FileIO, n: int) -> bytearray:
    # Writable, since a library that shares memory with the array complains of any other.
    content = bytearray(n)
    filled, view = 0, memoryview(content)
    while filled < n and (got := file.readinto(view[filled:])):
        filled += got
    if filled < n:
        raise ValueError("is truncated: it ends before its numbers do.")
    return content


def _header(content: bytearray) -> dict[str, Any]:
    try:
        header = parse(content.decode())
    except ValueError as error:
        raise ValueError(f"is altered, or not a safetensors file: its header cannot be read ({error}).") from error
    if not isinstance(header, dict):
        raise ValueError("is altered, or not a safetensors file: its header is no object.")
    return header


def _place(name: str, entry: Any) -> tuple[numpy.dtype[Any], tuple[int, ...], int, int]:
    """Return the dtype, the shape and the offsets of a tensor from its entry in the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"is altered: the entry of {name!r} in its header has no dtype, shape and data_offsets.")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise ValueError(f"has numbers of the dtype {entry['dtype']!r} in {name!r}; a network has F32 or F64.")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _whole(shape) or not _whole(offsets) or len(offsets) != 2 or len(shape) > 32:
        raise ValueError(f"is altered: shape and data_offsets of {name!r} are {shape!r} and {offsets!r}.")
    if prod(shape) * dtype.itemsize != offsets[1] - offsets[0]:
        raise ValueError(f"is altered: {name!r} of the shape {shape!r} does not fill its bytes {offsets!r}.")
    return dtype, tuple(shape), offsets[0], offsets[1]


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_places(places: Mapping[str, tuple[Any, tuple[int, ...], int, int]], size: int) -> None:
    """Raise ValueError unless the tensors fill the bytes after the header, without a gap and without an overlap."""
    end = 0
    for name, (_, _, begin, its_end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if begin != end:
            raise ValueError(f"is altered: {name!r} begins at byte {begin} of the numbers, and {end} is the next.")
        end = its_end
    if end != size:
        kind = "truncated" if end > size else "altered"
        raise ValueError(f"is {kind}: {size} bytes of numbers follow the header, which describes {end}.")
