"""Loops compiled by Numba: serial, without the GIL, and cached on disk from run to run.

They are serial because between two matrix products there is too little work to divide: starting Numba's threads costs
65 to 90 µs a call, and two threads of a program that enter its default threading layer end the process.
"""

import logging
import os
import pickle
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from math import nan
from threading import RLock
from typing import Any, ClassVar

from retroprop.backends.cpu.numba_source import ColumnLoopSource, NumbaLoopSource, can_loop, fits_loop
from retroprop.backends.cpu.numpy_calls import NumpyCalls, fortran, theta_fortran
from retroprop.backends.cpu.source_program import SourceProgram
from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Rules
from retroprop.backends.record.graph import Node, base_of
from retroprop.backends.replay.program import Program
from retroprop.functions.types import Array
from retroprop.user_cache import UserCache

ENVIRONMENT_VARIABLE = "RETROPROP_NUMBA"
CACHE = UserCache("loops")
# The elements of a training from which on its loops are compiled, by `RETROPROP_NUMBA`. They save about 0.6 ns an
# element, so a second, and to compile them takes two where they are not on disk. Whether they are is not asked, nor
# what was compiled before: loops and calls round differently, and the same training must have the same bits.
# A step that is compiled as a whole takes a second more, and saves as much over twice that work; not with "loops".
WORTH = {"0": nan, "1": 0.0, "loops": 0.0, "auto": 1.5e9}  # no number is above NaN
_HEAD = """from math import exp, expm1, inf, log, log1p, sqrt, tanh
from numba import float32 as f32, float64 as f64, njit
@njit(nogil=True, error_model="numpy", fastmath={flags})
"""
# One thread compiles at a time. A fork waits for it, so that the child finds Numba's and LLVM's own locks free, and
# those of Python's imports: Numba, and NumPy for it, import modules when they are first needed.
compiling = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=compiling.acquire, after_in_parent=compiling.release, after_in_child=compiling.release)
log = logging.getLogger("retroprop")


def worthwhile(work: float) -> bool:
    """Return whether loops are compiled for a training of so many elements; see `Demands.work`.

    Raises ValueError if RETROPROP_NUMBA is none of its values.
    """
    return work >= WORTH[_chosen()] and available()


def worthwhile_as_a_whole(work: float) -> bool:
    """Return whether steps are compiled as a whole for a training of so many elements; their products are SciPy's."""
    return _chosen() != "loops" and work >= 2.0 * WORTH[_chosen()] and available() and find_spec("scipy") is not None


def _chosen() -> str:
    chosen = os.environ.get(ENVIRONMENT_VARIABLE) or "auto"
    if chosen not in WORTH:
        raise ValueError(f"{ENVIRONMENT_VARIABLE} must be one of {', '.join(WORTH)}, not {chosen!r}.")
    return chosen


@lru_cache(maxsize=1)
def available() -> bool:
    """Return whether Numba is installed and works."""
    if find_spec("numba") is None:
        return False
    try:
        with compiling:
            import numba  # noqa: F401
    except Exception as error:
        # It refuses a NumPy newer than itself; its compiler's library may be missing.
        log.warning("Numba is installed but cannot be imported, and is not used: %s", error)
        return False
    return True


def report() -> dict[str, str]:
    """Return a report on the compiled loops and on their cache, for `retroprop info`."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE) or "auto"
    when = {"0": "never", "1": "for every training", "loops": "for every training"}.get(
        chosen, "for a training of enough work"
    )
    loops = f"by Numba {version('numba')}, {when} ({ENVIRONMENT_VARIABLE}={chosen})" if available() else "no Numba"
    return {
        "compiled loops": f"{loops}; {compiled.cache_info().currsize} in this process",
        "cache of loops": f"{CACHE}; `retroprop info --clear-cache` empties it",
    }


class NumbaLoops(NumpyCalls):
    """NumPy's calls, and Numba's loops between them."""

    rules: ClassVar[Rules] = Rules(can_loop, fits_loop, fortran, theta_fortran)

    def loop(self, one: Instruction, program: SourceProgram) -> list[str]:
        assert one.loop is not None
        places = program.plan.places

        def place(node: Node) -> Any:
            if base_of(node).index not in places:
                return node.index
            array = self.argument(node, one, program)
            return array.ctypes.data, array.shape, array.strides, array.dtype.name

        source = (ColumnLoopSource if one.by_columns else NumbaLoopSource)(one, place)
        kernel = program.bind(f"k{one.nodes[0].index}", compiled(source.text, reorders(one)))
        arguments = [str(n) for n in one.loop.domain]
        types: list[Any] = list(one.loop.domain)
        for name, node in source.arrays:
            array = self.argument(node, one, program)
            arguments.append(program.bind(f"{kernel}_{name}", array))
            types.append(array)
        arguments += [repr(i) if isinstance(i, float) else f"n{i.index}" for i in source.numbers]
        # Now, not at the first call: a loop that cannot be compiled is known before a step has begun.
        compile_for(program.names[kernel], (*types, *(0.0 for _ in source.numbers)))
        return [f"{kernel}({', '.join(arguments)})"]

    def argument(self, node: Node, one: Instruction, program: Program) -> Array:
        """Return the array that the loop of an instruction takes for a node."""
        assert one.loop is not None
        if node.index in one.scratch:
            cell = one.scratch[node.index]
            size = cell.nbytes // node.dtype.itemsize
            return self.array(program.bytes_of(cell), cell.offset, (size,), node.dtype)
        array = program.array(node)
        if array.shape != one.loop.domain:
            return array.reshape(-1)
        return array.T if one.by_columns else array


def reorders(one: Instruction) -> bool:
    """Return whether sums over many values may be taken in another order, several values at a time."""
    loop = one.loop
    assert loop is not None
    sums = {loop.kinds[node.index] for node in loop.nodes if node.op in ("sum", "mean")}
    if one.by_columns:
        return bool(sums - {"row"})
    return bool(sums - {"column"}) and loop.domain[-1] >= 32


@lru_cache(maxsize=1024)
def compiled(text: str, reordered: bool) -> Any:
    """Return the function that a source defines, compiled at its first call or read from the cache on disk."""
    return defined(_HEAD.format(flags="{'contract', 'reassoc'}" if reordered else "{'contract'}") + text, "kernel", {})


def defined(source: str, function: str, names: dict[str, Any]) -> Any:
    """Return the function of that name that a source defines, for Numba to compile or to read from the cache on disk.

    `names` are others that the source refers to.
    """
    # A name of its own, by which Numba's symbols differ. Numba imports the module again when it reads from the cache.
    name = f"loop_{sha256(source.encode()).hexdigest()[:24]}"
    names = {"__name__": __name__, **names}
    with compiling:
        exec(source.replace(f"def {function}(", f"def {name}("), names)
        names[name]._cache = StoredLoop(source)
    return names[name]


def compile_for(kernel: Any, arguments: tuple[Any, ...]) -> None:
    """Compile a kernel for arguments like these, or read it from the cache."""
    with compiling:
        from numba import typeof

        compile_as(kernel, tuple(typeof(argument) for argument in arguments))


def compile_as(kernel: Any, types: tuple[Any, ...]) -> None:
    """Compile a kernel for arguments of these types of Numba's, or read it from the cache."""
    with compiling:
        kernel.compile(types)


class StoredLoop:
    """The machine code of one loop on disk, by the interface that Numba's dispatcher has for its caches."""

    def __init__(self, source: str) -> None:
        self._source = source

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the loop compiled for a signature; None if it is not there, or of no use."""
        from numba.core.compiler import CompileResult

        context.refresh()
        key = self._key(signature, context.codegen())
        content = CACHE.read(key)
        try:
            return None if content is None else CompileResult._rebuild(context, *pickle.loads(content))
        except Exception as error:  # whatever an object of another build of Numba does
            log.info("a loop in the cache is compiled again: %s: %s", type(error).__name__, error)
            CACHE.remove(key)
            return None

    def save_overload(self, signature: Any, found: Any) -> None:
        """Store a loop that was compiled."""
        from numba.core.serialize import dumps

        if not found.library.has_dynamic_globals:
            CACHE.write(self._key(signature, found.codegen), dumps(found._reduce()))

    def _key(self, signature: Any, codegen: Any) -> str:
        """Return all that the machine code depends on: the loop, the processor, and the versions of the compiler."""
        return repr((self._source, signature, codegen.magic_tuple(), *map(version, ("numba", "llvmlite"))))
