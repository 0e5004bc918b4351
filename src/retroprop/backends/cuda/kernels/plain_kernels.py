"""Kernels that are no formula of the graph: gathered rows, the end of a step, and for the trial a distance."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from retroprop.backends.cuda.kernels.geometry import BLOCKS, THREADS
from retroprop.backends.cuda.kernels.operands import TYPES

# Vector types by the bytes that a thread moves with one load.
UNITS = {16: "int4", 8: "int2", 4: "int", 2: "short", 1: "char"}
PACK = 4  # elements a thread casts with one load, where the array allows it


class Part(NamedTuple):
    """An array whose rows are gathered.

    A row, or an array that is converted as a `whole`, of so many elements, takes `words` loads of `pack` elements of
    the C++ type `source`, which are written as `target`. `cast` is the type or function that converts an element; empty
    where rows are moved as they are.
    """

    words: int
    source: str
    target: str
    pack: int = 1
    cast: str = ""
    whole: int = 0

    def loads(self, rows: int) -> int:
        """Return the number of loads."""
        return self.words if self.whole else rows * self.words


def copied(row_bytes: int, addresses: Sequence[int]) -> Part:
    """Return an array whose rows are moved as they are, with the widest loads that rows and addresses allow."""
    unit = next(unit for unit in UNITS if all(n % unit == 0 for n in (row_bytes, *addresses)))
    return Part(row_bytes // unit, UNITS[unit], UNITS[unit])


def cast(
    n: int, source: Any, target: Any, addresses: tuple[int, int], function: str = "", *, whole: bool = False
) -> Part:
    """Return an array whose rows of `n` elements, or whose `n` elements as a `whole`, are cast on the way.

    They go from one dtype to another, or through a function.
    """
    aligned = all(at % (PACK * dtype.itemsize) == 0 for at, dtype in zip(addresses, (source, target), strict=True))
    # Every row must begin where a wide load may; a whole array may end within one.
    pack = PACK if aligned and (whole or n % PACK == 0) else 1
    made = TYPES[target]
    return Part(-(-n // pack), TYPES[source], made, pack, function or made, n if whole else 0)


def gather_source(rows: int, parts: Sequence[Part]) -> str:
    """Return a kernel that gathers rows of several arrays; the block's y is the number of the array.

    Its arguments are the order (long long *), the tick (long long *), then for each part its source and target. In step
    `tick` it takes the rows order[tick · rows], order[tick · rows + 1], ...
    """
    arguments = ["const long long *order", "const long long *tick"]
    cases = []
    for number, part in enumerate(parts):
        arguments += [f"const {part.source} *s{number}", f"{part.target} *d{number}"]
        at = "k" if part.whole else f"rows[k / {part.words}] * {part.words} + k % {part.words}"
        cases.append(
            f"  if (blockIdx.y == {number})\n"
            f"    for (long long k = blockIdx.x * {THREADS}LL + threadIdx.x; k < {part.loads(rows)}LL; "
            f"k += gridDim.x * {THREADS}LL) {{\n"
            f"      const long long at = {at};\n"
            f"{_moved(number, part)}    }}\n"
        )
    return (
        f'extern "C" __global__ void __launch_bounds__({THREADS}) retroprop_kernel({", ".join(arguments)}) {{\n'
        f"  const long long *rows = order + *tick * {rows}LL;\n{''.join(cases)}}}\n"
    )


def _moved(number: int, part: Part) -> str:
    if not part.cast:
        return f"      d{number}[k] = s{number}[at];\n"
    wide, pack = str(part.pack > 1).lower(), part.pack
    left = f"{part.whole}LL - k * {pack}" if part.whole else f"{pack}"
    return (
        f"      {part.source} q[{pack}]; {part.target} w[{pack}];\n"
        f"      load<{wide}>(q, s{number} + at * {pack}, 1, {left});\n"
        f"      for (int v = 0; v < {pack}; ++v) w[v] = {part.cast}(q[v]);\n"
        f"      store<{wide}>(w, d{number} + k * {pack}, 1, {left});\n"
    )


def gather_blocks(rows: int, parts: Sequence[Part]) -> int:
    """Return the number of blocks in the x direction that gather rows."""
    words = max((part.loads(rows) for part in parts), default=1)
    return max(min(-(-words // THREADS), 2 * BLOCKS), 1)


def advance_source(ctype: str) -> str:
    """Return the kernel that ends a step: it stores the step's cost and advances the tick."""
    given = f"{ctype} *costs, const {ctype} *cost, long long *tick"
    return f'extern "C" __global__ void retroprop_kernel({given}) {{ costs[*tick] = *cost; *tick += 1; }}\n'


def distance_source(dtype: Any, *, two: bool) -> str:
    """Return a kernel that sums |first − second|, of integers the number that differ; NaN equals NaN.

    Its arguments are the first array, the second unless there is but one, the number of elements (long long), and a sum
    for each block (double *). CuPy would compile a reduction for every size.
    """
    ctype, given = TYPES[dtype], "const {0} *first, " + ("const {0} *second, " if two else "")
    apart = "fabs(double(x))"
    if two:
        apart = "x == y || (x != x && y != y) ? 0.0 : fabs(double(x) - double(y))" if dtype.kind == "f" else "x != y"
    second = f"    const {ctype} y = second[k];\n" if two else ""
    return (
        f'extern "C" __global__ void __launch_bounds__({THREADS}) '
        f"retroprop_kernel({given.format(ctype)}long long size, double *parts) {{\n"
        "  double total = 0.0;\n"
        f"  for (long long k = blockIdx.x * {THREADS}LL + threadIdx.x; k < size; k += gridDim.x * {THREADS}LL) {{\n"
        f"    const {ctype} x = first[k];\n{second}    total += {apart};\n  }}\n"
        "  leave_one(total, parts + blockIdx.x, Plus());\n}\n"
    )
