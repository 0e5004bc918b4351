"""Which steps are compiled as a whole: a rule of shape and work, so that the same training has the same bits."""

from collections.abc import Sequence
from functools import lru_cache
from operator import mul

from retroprop.backends.cpu.numba_source import TRANSCENDENTAL, can_loop
from retroprop.backends.cpu.numpy_calls import theta_fortran
from retroprop.backends.plan.plan import Plan, Rules
from retroprop.backends.record import tree

WIDEST = 256  # neurons. A step of four such layers takes 0.9 of the time, of 784-100-10 the same.
# Nanoseconds by which a transcendental function takes longer than in a call of NumPy's, in float32 as in
# `numba_functions`, and those that a step saves at least.
FLOAT32, FLOAT64 = 0.8, {"exp": 3.0, "log": 3.0, "expm1": 7.0, "log1p": 8.0, "tanh": 11.0}
SAVED = 8000.0
MOST_INSTRUCTIONS = 40  # as of 7 layers: a source of its own for each depth would take long to compile


@lru_cache(maxsize=64)
def rules_for(m: int) -> Rules:
    """Return the rules for the plan of a step over m rows.

    Which matrices are in Fortran order does not depend on m, so that the smaller batch at the end has the same source.
    """
    return Rules(can_loop, lambda loop: len(loop.nodes) <= 200, lambda shape: _in_columns(shape, m), theta_fortran)


def _in_columns(shape: tuple[int, ...], m: int) -> bool:
    return len(shape) == 2 and shape[0] == m and 1 <= shape[1] <= 32


def pays(plan: Plan) -> bool:
    """Return whether a step is faster as one call: its layers are narrow, and it has few transcendental functions."""
    widths = [n for theta in tree.leaves(plan.recording.arguments[0]) for n in theta.shape]
    slow = [node for node in plan.wanted if node.op in TRANSCENDENTAL]
    longer = sum(n.size * (FLOAT32 if n.dtype.name == "float32" else FLOAT64[n.op]) for n in slow)
    return bool(max(widths) <= WIDEST and longer <= SAVED and len(plan.instructions) <= MOST_INSTRUCTIONS)


def work_of_many(sizes: Sequence[int], work: float) -> float:
    """Return the work of many networks as that of one that saves as much: three times that of rows, at 32 a batch.

    The calls of their batched step are shared, so that compiled steps save about 3 ns for a row of a layer's neuron.
    """
    of_rows = 32.0 * sum(sizes)
    fraction: float = of_rows / (of_rows + sum(map(mul, sizes, sizes[1:])) + 6000.0 * len(sizes))
    return 3.0 * work * fraction
