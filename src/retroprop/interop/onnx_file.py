"""An ONNX file of unknown origin, read with every size and path checked before memory is taken."""

import os
import stat
from collections.abc import Mapping
from io import FileIO
from math import prod
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.interop.errors import needed
from retroprop.persistence.errors import printable
from retroprop.persistence.reading import read_regular

OLDEST_OPSET = 7  # since then Add and Mul broadcast as NumPy does
_MOST_BYTES = 2**31  # of a protocol buffer
# Of a TensorProto: the field that holds its numbers where `raw_data` does not.
_FIELDS = {"float32": "float_data", "float64": "double_data", "int64": "int64_data", "int32": "int32_data",
           "bool": "int32_data"}  # fmt: skip


class Tensors(Mapping[str, NDArray[Any]]):
    """The initializers of a graph, each read when it is asked for.

    Parameters
    ----------
    onnx : module
        The library.
    tensors : mapping of str to TensorProto
        By their names.
    folder : Path
        That of the file, within which external data may lie.
    """

    def __init__(self, onnx: Any, tensors: Mapping[str, Any], folder: Path) -> None:
        self._onnx, self._tensors, self._folder = onnx, tensors, folder

    def __len__(self) -> int:
        return len(self._tensors)

    def __iter__(self) -> Any:
        return iter(self._tensors)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return array_of(self._onnx, self._tensors[name], self._folder)


def read_model(path: str | os.PathLike[str]) -> Any:
    """Return the ModelProto of a file; the errors are those of `load_onnx`."""
    onnx = needed("onnx", by="rp.interop.load_onnx")
    decode_error = needed("google.protobuf.message", by="rp.interop.load_onnx").DecodeError

    def parse(file: FileIO, size: int) -> Any:
        if size > _MOST_BYTES:
            raise ValueError(f"has {size:,} bytes; an ONNX file has at most 2 GiB.")
        model = onnx.ModelProto()
        try:
            model.ParseFromString(file.readall())
        except decode_error:
            raise ValueError("is no ONNX file, or is truncated.") from None
        if not model.HasField("graph") or not model.opset_import:
            raise ValueError("is no ONNX file: it has no graph, or names no opset.")
        _check_versions(onnx, model)
        return model

    return read_regular(path, parse)


def array_of(onnx: Any, tensor: Any, folder: Path) -> NDArray[Any]:
    """Return the array of a TensorProto, whose size is checked against its bytes first; ValueError otherwise."""
    dtype = _dtype_of(onnx, tensor)
    if dtype is None:
        raise ValueError(
            f"has numbers of another kind than float32, float64, int32, int64 and bool, in {printable(tensor.name)!r}."
        )
    check_size(onnx, tensor)
    shape = tuple(tensor.dims)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        content = _external(tensor, folder, prod(shape) * dtype.itemsize)
    elif tensor.HasField("raw_data"):
        content = tensor.raw_data
    else:
        return numpy.asarray(getattr(tensor, _FIELDS[dtype.name]), dtype).reshape(shape)
    return numpy.frombuffer(content, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def check_size(onnx: Any, tensor: Any) -> None:
    """Raise ValueError unless a TensorProto has as many numbers as its shape says; texts are not checked."""
    dtype, shape = _dtype_of(onnx, tensor), tuple(tensor.dims)
    if any(n < 0 for n in shape):
        raise ValueError(f"is altered: {printable(tensor.name)!r} has the shape {shape}.")
    if dtype is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    raw = tensor.HasField("raw_data")
    size = len(tensor.raw_data) if raw else len(getattr(tensor, _FIELDS[dtype.name])) * dtype.itemsize
    if size != prod(shape) * dtype.itemsize:
        raise ValueError(
            f"is altered: {printable(tensor.name)!r} has the shape {shape} of {dtype.name}, and {size} bytes."
        )


def _dtype_of(onnx: Any, tensor: Any) -> numpy.dtype[Any] | None:
    kinds = onnx.TensorProto
    known = {kinds.FLOAT: "float32", kinds.DOUBLE: "float64", kinds.INT64: "int64", kinds.INT32: "int32",
             kinds.BOOL: "bool"}  # fmt: skip
    name = known.get(tensor.data_type)
    return None if name is None else numpy.dtype(name)


def _check_versions(onnx: Any, model: Any) -> None:
    newest = onnx.defs.onnx_opset_version()
    for one in model.opset_import:
        if one.domain in ("", "ai.onnx") and not OLDEST_OPSET <= one.version <= newest:
            raise ValueError(
                f"is of opset {one.version}; {OLDEST_OPSET} to {newest} are read"
                f"{' (a newer onnx may read it: pip install -U onnx)' if one.version > newest else ''}."
            )
    if model.ir_version > onnx.IR_VERSION:
        raise ValueError(f"is of IR version {model.ir_version}; up to {onnx.IR_VERSION} is read: pip install -U onnx")
    if model.functions or model.graph.sparse_initializer:
        raise ValueError("has functions of its own, or sparse numbers, which no plain network has.")


def _external(tensor: Any, folder: Path, expected: int) -> bytes:
    """Return the bytes of a tensor that lie in another file, which must be within the folder of the model."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, name = entries.get("location", ""), printable(tensor.name)
    shown = printable(location)
    if not location or "\0" in location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise ValueError(f"names external data outside its folder for {name!r}: {shown!r}.")
    root = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(root / location))
    if root not in path.parents:
        raise ValueError(f"names external data outside its folder for {name!r}: {shown!r} is a link.")
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(expected)))
    except ValueError:
        raise ValueError(f"is altered: the place of the external data of {name!r} is no number.") from None
    try:
        found = path.stat()
    except OSError:
        raise ValueError(f"lacks its file {shown!r}, with the numbers of {name!r}.") from None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"names external data for {name!r} that are no file: {shown!r}.")
    if length != expected or offset < 0 or offset + length > found.st_size:
        raise ValueError(
            f"is altered: {name!r} needs {expected} bytes of {shown!r}, and {length} at {offset} are named."
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
