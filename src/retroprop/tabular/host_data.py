"""Arrays of devices, brought to the host: a table is read there."""

from collections.abc import Mapping
from typing import Any

from retroprop.backends import backend_of, host


def on_host(data: Any) -> Any:
    """Return an array of any library, or the arrays of a dict, as NumPy arrays; anything else as it is."""
    if isinstance(data, Mapping):
        return {name: on_host(values) for name, values in data.items()}
    if host.is_host(data) or not (hasattr(data, "__array_namespace__") or hasattr(data, "__dlpack__")):
        return data
    return backend_of(data).to_numpy(data)
