"""The paths from a parameter to the cost: their number by a formula, and each as its neurons, counted from 1."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod


def n_paths(
    layer_sizes: Sequence[int],
    layer: int,
    to: int = 1,
    *,
    output_elementwise: bool = True,
    groups: Sequence[int] | None = None,
) -> int:
    """Return the number of paths from z of neuron `to` of layer `layer` + 1 to J, without enumerating them.

    The arguments are those of `neuron_paths`; `to` matters only for the output layer with groups of several sizes.
    """
    # Every neuron of a layer is connected to every neuron of the next: n_{l+2} · ... · n_L of them
    inner = prod(layer_sizes[layer + 1 :])
    if output_elementwise and groups is None:
        return inner
    ends = output_ends(layer_sizes[-1], groups)
    if layer + 1 == len(layer_sizes):
        return len(ends[to - 1])
    return inner // layer_sizes[-1] * sum(map(len, ends))


def neuron_paths(
    layer_sizes: Sequence[int],
    layer: int,
    to: int,
    *,
    output_elementwise: bool = True,
    groups: Sequence[int] | None = None,
) -> Iterator[tuple[int, ...]]:
    """Yield the paths of θ^(l)_jk, or of b^(l)_j, to J in lexicographic order: the neurons of layers l + 1 to L.

    Parameters
    ----------
    layer_sizes : sequence of int
        n_1, ..., n_L.
    layer : int
        l, from 1; 0 yields the paths of the input x_j, whose first neuron is the input itself.
    to : int
        j, the neuron of layer l + 1 to which the parameter goes, from 1; every path begins with it.
    output_elementwise : bool
        Whether a^(L)_j depends on z^(L)_j alone. With softmax it does not, and a path has one neuron more: that of
        layer L whose z it reaches, then the one whose a it goes on from.
    groups : sequence of int, optional
        The sizes of the groups of a grouped softmax: z reaches the a of its own group only.
    """
    inner = product((to,), *(range(1, n + 1) for n in layer_sizes[layer + 1 :]))
    if output_elementwise and groups is None:
        yield from inner
        return
    ends = output_ends(layer_sizes[-1], groups)
    for neurons in inner:
        for end in ends[neurons[-1] - 1]:
            yield (*neurons, end)


def output_ends(n_out: int, groups: Sequence[int] | None) -> list[range]:
    """Return, for each z of the output layer, the neurons whose a depends on it."""
    ends, begin = [], 1
    for size in groups or (n_out,):
        ends += [range(begin, begin + size)] * size
        begin += size
    return ends
