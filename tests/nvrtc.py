"""NVIDIA's compiler of CUDA kernels, called through ctypes: it needs neither a GPU nor CuPy."""

import ctypes
from concurrent.futures import ProcessPoolExecutor
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

NAMES = ("libnvrtc.so.12", "libnvrtc.so.13")
AS_CUPY = ("--std=c++17", "-ftz=true")  # CuPy's own options for a RawKernel, besides the architecture and folders


@lru_cache(maxsize=1)
def library():
    """Return the library of a wheel, or one the loader knows; None if there is none."""
    nvidia = find_spec("nvidia")
    folders = [Path(place) for place in (nvidia.submodule_search_locations or ())] if nvidia is not None else []
    files = [str(file) for folder in folders for name in NAMES for file in sorted(folder.glob(f"*/lib/{name}"))]
    for name in (*files, *NAMES):
        try:
            return _typed(ctypes.CDLL(name))
        except OSError:
            continue
    return None


def _typed(nvrtc):
    nvrtc.nvrtcCreateProgram.argtypes = [POINTER(c_void_p), c_char_p, c_char_p, c_int, c_void_p, c_void_p]
    nvrtc.nvrtcCompileProgram.argtypes = [c_void_p, c_int, POINTER(c_char_p)]
    nvrtc.nvrtcDestroyProgram.argtypes = [POINTER(c_void_p)]
    for read in ("ProgramLog", "CUBIN"):
        getattr(nvrtc, f"nvrtcGet{read}Size").argtypes = [c_void_p, POINTER(c_size_t)]
        getattr(nvrtc, f"nvrtcGet{read}").argtypes = [c_void_p, c_char_p]
    return nvrtc


def compiled(sources, *options):
    """Return the machine code of each source; the compiler's report on one that is wrong is the message of an error."""
    # In a process of its own: the compiler keeps 200 MB, and leaves its thread with the locale "C".
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_all, sources, options).result()


def _all(sources, options):
    return [_compiled(source, *options) for source in sources]


def _compiled(source, *options):
    nvrtc, program = library(), c_void_p()
    assert nvrtc.nvrtcCreateProgram(byref(program), source.encode(), b"retroprop.cu", 0, None, None) == 0
    try:
        given = (c_char_p * len(options))(*(option.encode() for option in options))
        failed = nvrtc.nvrtcCompileProgram(program, len(options), given)
        if failed:
            raise ValueError(_read(nvrtc, program, "ProgramLog").decode())
        return _read(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(byref(program))


def _read(nvrtc, program, what):
    size = c_size_t()
    assert getattr(nvrtc, f"nvrtcGet{what}Size")(program, byref(size)) == 0
    text = ctypes.create_string_buffer(size.value)
    assert getattr(nvrtc, f"nvrtcGet{what}")(program, text) == 0
    return text.raw
