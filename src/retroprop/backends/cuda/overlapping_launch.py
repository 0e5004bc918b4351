"""Launches of kernels that overlap: the next one is made ready while the one before it ends, on Hopper and later.

CuPy has no function for it, so that the driver's is called through ctypes. A kernel launched so must call `follow`
before it touches memory; a graph keeps the dependency. Constants and layouts are those of cuda.h (CUDA 12 and 13).
"""

import ctypes
import sys
from collections.abc import Sequence
from ctypes import byref, c_int, c_uint, c_void_p
from functools import lru_cache
from typing import Any

PROGRAMMATIC_STREAM_SERIALIZATION = 6  # CUlaunchAttributeID


class _Attribute(ctypes.Structure):
    """CUlaunchAttribute, whose value is a union of 64 bytes."""

    _fields_ = (("id", c_int), ("pad", c_int), ("value", c_int * 16))


class _Config(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = (("grid", c_uint * 3), ("block", c_uint * 3), ("shared_bytes", c_uint), ("stream", c_void_p),
                ("attributes", ctypes.POINTER(_Attribute)), ("n_attributes", c_uint))  # fmt: skip


class OverlappingLaunch:
    """A kernel with its grid and the addresses that it is given; called with the address of a stream."""

    def __init__(
        self, driver: Any, function: int, blocks: tuple[int, int, int], threads: int, addresses: Sequence[int]
    ) -> None:
        self._driver, self._function = driver, c_void_p(function)
        self._attribute = _Attribute(id=PROGRAMMATIC_STREAM_SERIALIZATION)
        self._attribute.value[0] = 1
        self._config = _Config(tuple(blocks), (threads, 1, 1), 0, None, ctypes.pointer(self._attribute), 1)
        self._values = (c_void_p * len(addresses))(*addresses)
        places = [ctypes.addressof(self._values) + k * ctypes.sizeof(c_void_p) for k in range(len(addresses))]
        self._given = (c_void_p * len(addresses))(*places)

    def __call__(self, stream: int) -> None:
        """Launch it."""
        self._config.stream = stream
        status = self._driver.cuLaunchKernelEx(byref(self._config), self._function, self._given, None)
        if status != 0:
            raise RuntimeError(f"cuLaunchKernelEx failed with status {status} of CUresult.")


@lru_cache(maxsize=1)
def driver_library() -> Any | None:
    """Return the driver's library; None where it is missing, or older than CUDA 11.8."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        library.cuLaunchKernelEx.argtypes = [ctypes.POINTER(_Config), c_void_p, c_void_p, c_void_p]
        library.cuLaunchKernelEx.restype = c_int
    except (OSError, AttributeError):
        return None
    return library
