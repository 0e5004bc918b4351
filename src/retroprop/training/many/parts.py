"""The parts of a group, whose arrays fit into a budget of memory."""

from collections.abc import Sequence
from typing import TypeVar

from retroprop.training.optimizers import UpdateRule
from retroprop.training.preparation import Preparation

T = TypeVar("T")

# Bytes that the arrays of one part may take, beside the data: activations, parameters, state, orders.
BUDGET = 2**28


def bytes_of(preparation: Preparation) -> int:
    """Return the bytes that a training takes in a group, beside its data."""
    net, rule = preparation.net, preparation.rule
    itemsize = net.backend.dtype_bytes(net.dtype)
    slots = rule.slots if isinstance(rule, UpdateRule) else 0
    sizes = net.layer_sizes
    # Parameters: the current, of the last epoch, of the one before, the best, gradients, new ones; state, old and new
    parameters = net.n_parameters * itemsize * (6 + 2 * slots)
    # Of each row of a batch the input, of each layer activation, pre-activation, δ and mask
    a_row = itemsize * (sizes[0] + 4 * sum(sizes[1:]))
    return parameters + preparation.order.batch_size * a_row + 16 * preparation.order.m


def cut(group: Sequence[T], sizes: Sequence[int], budget: int) -> list[list[T]]:
    """Return a group in as few parts of about equal numbers as fit into so many bytes each."""
    most = max(int(budget // max(sizes)), 1)
    n_parts = -(-len(group) // most)
    return [list(group[len(group) * i // n_parts : len(group) * (i + 1) // n_parts]) for i in range(n_parts)]
