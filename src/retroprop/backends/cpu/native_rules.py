"""Which steps are compiled as a whole: a rule of shape and work, so that the same training has the same bits."""

from functools import lru_cache
from math import inf

from retroprop.backends.cpu.numba_source import TRANSCENDENTAL, can_loop
from retroprop.backends.cpu.numpy_calls import theta_fortran
from retroprop.backends.plan.fusion import Loop
from retroprop.backends.plan.plan import Plan, Rules
from retroprop.backends.record import tree

WIDEST = 128  # neurons; beyond, matrix products take most of a step
# Nanoseconds of one element, computed without a vector form, and what a step saves that is one call: the transcendental
# functions of a step must not take longer.
NANOSECONDS = {"exp": 2.5, "log": 2.5, "expm1": 8.0, "log1p": 8.0, "tanh": 16.0}
SAVED = 8000.0


@lru_cache(maxsize=64)
def rules_for(m: int) -> Rules:
    """Return the rules for the plan of a step over m rows.

    A matrix of few columns is in Fortran order whatever m is, so that smaller batches have the same source.
    """
    return Rules(can_loop, _is_short, lambda shape: len(shape) == 2 and shape[0] == m and shape[1] <= 32, theta_fortran)


def _is_short(loop: Loop) -> bool:
    return len(loop.nodes) <= 200


def pays(plan: Plan) -> bool:
    """Return whether a step is faster as one call."""
    sizes = [n for leaf in tree.leaves(plan.recording.arguments[0]) for n in leaf.shape]
    slow = sum(NANOSECONDS[node.op] * node.size for node in plan.wanted if node.op in TRANSCENDENTAL)
    return max(sizes) <= WIDEST and slow <= SAVED
