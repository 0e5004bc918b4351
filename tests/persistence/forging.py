"""Model files taken apart, changed, and put together again, with or without the right checksum."""

import json
import struct
from math import prod

import numpy as np

from retroprop.persistence import model_file

DTYPES = {"F32": "<f4", "F64": "<f8"}


def parts(content):
    """Return the header, as an object, and the numbers of a model file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def whole(header, numbers):
    """Return a file of a header, an object or bytes, and its numbers."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + numbers


def sealed(header, numbers):
    """Return a file whose checksum is that of its content, as far as the content can be read."""
    header = json.loads(json.dumps(header))
    try:
        description = json.loads(header["__metadata__"]["retroprop"])
        extra = {key: value for key, value in header["__metadata__"].items() if key != "retroprop"}
        tensors = {}
        for name, entry in header.items():
            if name != "__metadata__":
                dtype = np.dtype(DTYPES[entry["dtype"]])
                begin, end = entry["data_offsets"]
                array = np.frombuffer(numbers[begin:end], dtype)
                tensors[name] = array.reshape(entry["shape"]) if prod(entry["shape"]) == array.size else array
        description["sha256"] = model_file._digest(tensors, description["architecture"], extra)
        header["__metadata__"]["retroprop"] = json.dumps(description)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError):
        pass  # nothing that could have a checksum
    return whole(header, numbers)


def described(content, change):
    """Return the file with its description changed in place by a function, and the right checksum."""
    header, numbers = parts(content)
    description = json.loads(header["__metadata__"]["retroprop"])
    changed = change(description)
    header["__metadata__"]["retroprop"] = json.dumps(description if changed is None else changed)
    return sealed(header, numbers)
