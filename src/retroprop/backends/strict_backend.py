"""array-api-strict: the standard and nothing beyond it, with a second device that stands in for a GPU."""

from contextlib import AbstractContextManager
from typing import Any, ClassVar

import array_api_strict

from retroprop.backends import host
from retroprop.backends.backend import Backend, BackendUnavailableError
from retroprop.functions.types import Array

_DEVICES = ("CPU_DEVICE", "device1", "device2")


class StrictBackend(Backend):
    """array-api-strict on one of its devices."""

    library: ClassVar[str] = "array_api_strict"

    def __init__(self, device: str) -> None:
        super().__init__(array_api_strict, array_api_strict.Device(device))

    @classmethod
    def open(cls, device: str | None) -> Backend:
        if device not in (None, *_DEVICES):
            raise BackendUnavailableError(f"array-api-strict has no device {device!r}; it has {', '.join(_DEVICES)}.")
        return cls(device or "CPU_DEVICE")

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return _DEVICES

    @classmethod
    def version(cls) -> str:
        return str(array_api_strict.__version__)

    def device_name(self) -> str:
        spelled = next(d for d in _DEVICES if array_api_strict.Device(d) == self.device)
        return "" if spelled == _DEVICES[0] else spelled

    def belongs(self, x: Any) -> bool:
        return type(x).__module__.startswith("array_api_strict.")

    def to_numpy(self, x: Array) -> Array:
        return host.xp.from_dlpack(x.to_device(array_api_strict.Device("CPU_DEVICE")))

    def active(self) -> AbstractContextManager[Any]:
        return host.quiet()
