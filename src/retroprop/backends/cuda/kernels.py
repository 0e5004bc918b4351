"""Kernels that are no formula: rows gathered, the tick of a run, numbers copied."""

from collections.abc import Sequence

from retroprop.backends.cuda.geometry import THREADS

# Bytes a thread moves with one load: the type that has them.
UNITS = {16: "int4", 8: "int2", 4: "int", 2: "short", 1: "char"}


def unit_of(row_bytes: int, addresses: Sequence[int]) -> int:
    """Return the most bytes that every row and every address is a multiple of."""
    return next(unit for unit in UNITS if all(n % unit == 0 for n in (row_bytes, *addresses)))


def gather_source(rows: int, parts: Sequence[tuple[int, int]]) -> str:
    """Return a kernel that gathers rows of several arrays at once, the block's y says of which.

    Its arguments are the order (long long *), the tick (long long *), then for each part its source and target. In step
    `tick` it takes the rows order[tick · rows], order[tick · rows + 1], ...

    Parameters
    ----------
    rows : int
        How many rows a step has.
    parts : sequence of (int, int)
        For each array the bytes of a row, and those of a load.
    """
    arguments = ["const long long *order", "const long long *tick"]
    cases = []
    for number, (row_bytes, unit) in enumerate(parts):
        arguments += [f"const {UNITS[unit]} *s{number}", f"{UNITS[unit]} *d{number}"]
        words = row_bytes // unit
        cases.append(
            f"  if (blockIdx.y == {number})\n"
            f"    for (long long k = blockIdx.x * {THREADS}LL + threadIdx.x; k < {rows * words}LL; "
            f"k += gridDim.x * {THREADS}LL)\n"
            f"      d{number}[k] = s{number}[rows[k / {words}] * {words} + k % {words}];\n"
        )
    return (
        f'extern "C" __global__ void __launch_bounds__({THREADS}) retroprop_kernel({", ".join(arguments)}) {{\n'
        f"  const long long *rows = order + *tick * {rows}LL;\n{''.join(cases)}}}\n"
    )


def gather_blocks(rows: int, parts: Sequence[tuple[int, int]]) -> int:
    """Return how many blocks side by side gather rows."""
    words = max((rows * (row_bytes // unit) for row_bytes, unit in parts), default=1)
    return max(min(-(-words // THREADS), 1056), 1)


def advance_source(ctype: str) -> str:
    """Return the kernel that ends a step: it writes the step's cost down and goes on to the next."""
    return (
        f'extern "C" __global__ void retroprop_kernel({ctype} *costs, const {ctype} *cost, long long *tick) {{\n'
        "  costs[*tick] = *cost;\n  *tick += 1;\n}\n"
    )


def factors_source(ctype: str, row: str) -> str:
    """Return the kernel that makes alpha and beta of a step's products: −η and 1.

    Parameters
    ----------
    ctype : str
        Of the factors.
    row : str
        Where η stands in the table, as an expression of `tick`.
    """
    given = f"{ctype} *factors, const double *table, const long long *tick"
    return (
        f'extern "C" __global__ void retroprop_kernel({given}) {{\n'
        f"  factors[0] = -{ctype}(table[{row}]);\n  factors[1] = 1;\n}}\n"
    )


def descent_source(ctype: str, size: int, row: str) -> str:
    """Return the kernel that takes `size` numbers down their gradients; `row` is as for `factors_source`."""
    given = f"{ctype} *theta, const {ctype} *grad, const double *table, const long long *tick"
    return (
        f'extern "C" __global__ void __launch_bounds__({THREADS}) retroprop_kernel({given}) {{\n'
        f"  const {ctype} eta = {ctype}(table[{row}]);\n"
        f"  for (long long k = blockIdx.x * {THREADS}LL + threadIdx.x; k < {size}LL; k += gridDim.x * {THREADS}LL)\n"
        "    theta[k] = theta[k] - eta * grad[k];\n}\n"  # θ ← θ − η g
    )
