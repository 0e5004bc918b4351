"""The search for libcublasLt: the one CuPy has loaded, a wheel's, or the system's."""

import ctypes
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

MAJORS = (13, 12)


class LibraryMissingError(OSError):
    """No cublasLt was found; the message lists the places tried."""


def candidates(major: int | None = None) -> Iterator[str]:
    """Yield candidates to open, for a CUDA version or those of `MAJORS`: names for the loader, then files."""
    for number in (major,) if major is not None else MAJORS:
        name = f"cublasLt64_{number}.dll" if sys.platform == "win32" else f"libcublasLt.so.{number}"
        yield name  # if CuPy or PyTorch has loaded it, the loader returns that one
        for folder in _folders(number):
            if (folder / name).is_file():
                yield str(folder / name)


def _folders(major: int) -> Iterator[Path]:
    nvidia = find_spec("nvidia")
    for place in (nvidia.submodule_search_locations or ()) if nvidia is not None else ():
        yield from (Path(place) / "cublas" / "lib", Path(place) / f"cu{major}" / "lib", Path(place) / "cublas" / "bin")
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        if variable in os.environ:
            yield from (Path(os.environ[variable]) / "lib64", Path(os.environ[variable]) / "lib")
    yield from (Path(f"/usr/local/cuda-{major}/lib64"), Path("/usr/local/cuda/lib64"))


def open_library(major: int | None = None) -> tuple[ctypes.CDLL, str]:
    """Return the library and the name under which it was found; LibraryMissingError if none can be opened."""
    tried = []
    for name in candidates(major):
        try:
            return ctypes.CDLL(name), name
        except OSError as error:
            tried.append(f"{name} ({error})")
    raise LibraryMissingError(f"cublasLt was not found: {'; '.join(tried)}.")
