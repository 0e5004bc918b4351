"""Loops compiled by Numba: serial, without the GIL, and cached on disk from run to run.

They are serial because between two matrix products there is too little work to divide: starting Numba's threads costs
65 to 90 µs a call, and two threads of a program that enter its default threading layer end the process.
"""

import hashlib
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from retroprop.backends.cpu.numba_source import ColumnLoopSource, NumbaLoopSource, can_loop, fits_loop
from retroprop.backends.cpu.numpy_calls import NumpyCalls, fortran, theta_fortran
from retroprop.backends.cpu.source_program import SourceProgram
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Rules
from retroprop.backends.record.graph import Node, base_of
from retroprop.functions.types import Array

ENVIRONMENT_VARIABLE = "RETROPROP_NUMBA"
_HEAD = '''"""A loop of retroprop, generated; its name is the hash of what follows."""

from math import exp, expm1, inf, log, log1p, sqrt, tanh

from numba import float32 as f32, float64 as f64, njit


@njit(nogil=True, cache=True, error_model="numpy", fastmath={flags})
'''
# The loops of a step save one to four nanoseconds for each element it computes, and take about a second to compile.
_WORTH = 5e8
_asked: WeakKeyDictionary[Callable[..., Any], float] = WeakKeyDictionary()
_lock = Lock()
log = logging.getLogger("retroprop")


def available() -> bool:
    """Return whether Numba is installed, works, and is not switched off (RETROPROP_NUMBA=0)."""
    return os.environ.get(ENVIRONMENT_VARIABLE, "1") != "0" and find_spec("numba") is not None and _works()


def worthwhile(step: Callable[..., Any], work: float) -> bool:
    """Return whether loops for a step save the time their compilation takes.

    `work` is the number of elements the calls to come will compute; that of earlier captures of the step is added.
    """
    _asked[step] = _asked.get(step, 0.0) + work
    return _asked[step] >= _WORTH and available()


@lru_cache(maxsize=1)
def _works() -> bool:
    try:
        import numba  # noqa: F401
    except Exception as error:
        # It refuses a NumPy newer than itself; its compiler's library may be missing.
        log.warning("Numba is installed but cannot be imported, and is not used: %s", error)
        return False
    return True


class NumbaLoops(NumpyCalls):
    """NumPy's calls, and Numba's loops between them."""

    rules: ClassVar[Rules] = Rules(can_loop, fits_loop, fortran, theta_fortran)

    def loop(self, one: Instruction, program: SourceProgram) -> list[str]:
        assert one.loop is not None
        places = program.plan.places

        def place(node: Node) -> Any:
            if base_of(node).index not in places:
                return node.index
            array = self._argument(node, one, program)
            return array.ctypes.data, array.shape, array.strides, array.dtype.name

        source = (ColumnLoopSource if one.by_columns else NumbaLoopSource)(one, place)
        kernel = program.bind(f"k{one.nodes[0].index}", compiled(source.text, _reorders(one)))
        arguments = [str(n) for n in one.loop.domain]
        types: list[Any] = list(one.loop.domain)
        for name, node in source.arrays:
            array = self._argument(node, one, program)
            arguments.append(program.bind(f"{kernel}_{name}", array))
            types.append(array)
        arguments += [repr(i) if isinstance(i, float) else f"n{i.index}" for i in source.numbers]
        # Now, not at the first call: a loop that cannot be compiled is known before a step has begun.
        compile_for(program.names[kernel], (*types, *(0.0 for _ in source.numbers)))
        return [f"{kernel}({', '.join(arguments)})"]

    def _argument(self, node: Node, one: Instruction, program: SourceProgram) -> Array:
        assert one.loop is not None
        if node.index in one.scratch:
            cell = one.scratch[node.index]
            size = cell.nbytes // node.dtype.itemsize
            return self.array(program.bytes_of(cell), cell.offset, (size,), node.dtype)
        array = program.array(node)
        if array.shape != one.loop.domain:
            return array.reshape(-1)
        return array.T if one.by_columns else array


def _reorders(one: Instruction) -> bool:
    """Return whether sums over many values may be taken in another order, several values at a time."""
    loop = one.loop
    assert loop is not None
    sums = {loop.kinds[node.index] for node in loop.nodes if node.op in ("sum", "mean")}
    if one.by_columns:
        return bool(sums - {"row"})
    return bool(sums - {"column"}) and loop.domain[-1] >= 32


@lru_cache(maxsize=1024)
def compiled(text: str, reorders: bool) -> Any:
    """Return the function that a source defines, compiled at its first call or read from the cache on disk."""
    source = _HEAD.format(flags="{'contract', 'reassoc'}" if reorders else "{'contract'}") + text
    name = f"retroprop_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
    with _lock:
        if name not in sys.modules:
            sys.modules[name] = _imported(name, source)
        return sys.modules[name].kernel


def compile_for(kernel: Any, arguments: tuple[Any, ...]) -> None:
    """Compile a kernel for arguments like these, or read it from the cache."""
    from numba import typeof

    with _lock:
        kernel.compile(tuple(typeof(argument) for argument in arguments))


def _imported(name: str, source: str) -> ModuleType:
    path = folder() / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != source:
        replace(path, source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folder() -> Path:
    """Return the folder of the loops in the user's cache, else a temporary one.

    Its files are run, so nobody else may be able to write to it.
    """
    return _made(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


@lru_cache(maxsize=16)
def _made(cache: str) -> Path:
    try:
        made = Path(cache).expanduser() / "retroprop" / "loops"
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=made):
            pass
        found = made.stat()
        if not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022):
            return made
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        pass
    return Path(tempfile.mkdtemp(prefix="retroprop-"))


def replace(path: Path, text: str) -> None:
    """Write a file so that whoever reads it meanwhile sees all of the old one, or all of the new one."""
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(written).replace(path)
    except OSError:
        Path(written).unlink(missing_ok=True)
        raise
