"""The functions of a compiled run of steps: its loops, and the run, which calls them."""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from retroprop.backends.cpu import numba_arrays, numba_functions
from retroprop.backends.cpu.numba_target import compile_as, compiling, defined

_LOOP = """# {libraries}
from math import inf, sqrt
from numba import float32 as f32, float64 as f64, njit
@njit(nogil=True, error_model="numpy", fastmath={flags}{more})
"""
_RUN = """# {libraries}
from numba import float32 as f32, float64 as f64, njit
from math import inf, sqrt
from numpy import dot
@njit(nogil=True, error_model="numpy")
"""


@lru_cache(maxsize=1024)
def native_loop(text: str, reordered: bool, disjoint: bool) -> Any:
    """Return the function of a loop whose sums may be `reordered`, and whose arrays are known to be `disjoint`."""
    with compiling:  # these import Numba
        names = dict(numba_functions.vector_functions())
        if disjoint:
            names["DisjointArrays"] = numba_arrays.disjoint()
    head = _LOOP.format(
        libraries=_libraries(),
        flags="{'contract', 'reassoc'}" if reordered else "{'contract'}",
        more=", pipeline_class=DisjointArrays" if disjoint else "",
    )
    return defined(head + text, "kernel", names)


@lru_cache(maxsize=256)
def native_run(text: str, loops: tuple[Any, ...], readers: Iterable[tuple[str, int]], cost: str) -> Any:
    """Return the function of a run that a source defines, compiled or read from the cache on disk.

    It calls `loops` by their names; `readers` are the kinds of its arrays, `cost` is the dtype of the costs.
    """
    with compiling:
        import scipy.linalg.cython_blas  # noqa: F401 - or the first product imports it, and a fork would not wait
        from numba import types

        names = {loop.__name__: loop for loop in loops} | numba_functions.vector_functions()
        names |= {f"{dtype}_{ndim}": numba_arrays.reader(dtype, ndim) for dtype, ndim in readers}
        run = defined(_RUN.format(libraries=_libraries()) + text, "run", names)
        i, f = types.int64, types.float64
        compile_as(run, (i, i, i, i[:, ::1], f[:, :, ::1], i[:, :, ::1], getattr(types, cost)[:, ::1]))
        run.disable_compile()  # arguments of other types are an error, not another compilation
    return run


@lru_cache(maxsize=1)
def _libraries() -> str:
    """Return a digest of the functions of our own that the machine code contains: a part of its key in the cache."""
    files = (numba_arrays.__file__, numba_functions.__file__)
    return sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()
