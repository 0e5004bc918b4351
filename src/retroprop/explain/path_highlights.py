"""The paths of one θ to the cost, for a picture: which are drawn, their colours, their products and their sum."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from retroprop.backends import host
from retroprop.explain import naming
from retroprop.explain.network_numbers import NetworkNumbers
from retroprop.explain.paths import n_paths, neuron_paths
from retroprop.explain.sheet import digits
from retroprop.functions.types import Array
from retroprop.network import Network

MOST_COLORS = 8


class HighlightedPath(NamedTuple):
    """A path from θ^(l)_jk to J.

    Attributes
    ----------
    neurons : tuple of int
        The neurons of layers l + 1 to L; where f of the output is not elementwise, the one whose a it leaves follows.
    factors : str
        The product of its factors in mathtext.
    product : float or None
        Its value, summed over the observations.
    """

    neurons: tuple[int, ...]
    factors: str
    product: float | None


class PathsOfTheta(NamedTuple):
    """The paths of a parameter.

    Attributes
    ----------
    layer, to, from_ : int
        l, j and k of θ^(l)_jk, from 1.
    shown : list of HighlightedPath
        In lexicographic order; of more than `MOST_COLORS` paths the largest, the largest first.
    others : tuple of (int, float) or None
        The number of the paths not shown, and the sum of their products.
    penalty : float
        The part of ∂J/∂θ that the penalties add.
    total : float or None
        The sum of all products and the penalty: ∂J/∂θ.
    """

    layer: int
    to: int
    from_: int
    shown: list[HighlightedPath]
    others: tuple[int, float] | None = None
    penalty: float = 0.0
    total: float | None = None


def check_theta(theta: object, sizes: tuple[int, ...]) -> tuple[int, int, int]:
    """Return θ's layer, to and from as whole numbers; raise ValueError or TypeError if there is no such parameter."""
    given = tuple(theta) if isinstance(theta, (tuple, list)) else ()
    if len(given) != 3 or not all(hasattr(i, "__index__") and not isinstance(i, bool) for i in given):
        raise TypeError(f"theta must be (layer, to, from), three whole numbers from 1, not {theta!r}.")
    layer, to, from_ = (int(i) for i in given)
    if not 1 <= layer < len(sizes):
        raise ValueError(
            f"theta={given} has layer {layer}: this network has the weights of layers 1 to {len(sizes) - 1}."
        )
    n_in, n_out = sizes[layer - 1], sizes[layer]
    if not (1 <= to <= n_out and 1 <= from_ <= n_in):
        raise ValueError(
            f"theta={given} does not exist: the weights of layer {layer} go to neurons 1 to {n_out}, from neurons 1 to "
            f"{n_in}."
        )
    return layer, to, from_


def coupling(net: Network) -> dict[str, Any]:
    """Return the arguments of `neuron_paths` that say which a of the output layer depend on which z."""
    f = net.architecture.output.activation
    return {"output_elementwise": f.elementwise, "groups": getattr(f, "sizes", None)}


def find_paths(net: Network, numbers: NetworkNumbers, theta: tuple[int, int, int]) -> PathsOfTheta:
    """Return the paths of a θ, which exists.

    Raises
    ------
    ValueError
        If there are more paths than colours, and no numbers by which to choose the largest; if a saturated softmax
        makes the products inexact.
    """
    layer, to, from_ = theta
    sizes, output = net.layer_sizes, coupling(net)
    count = n_paths(sizes, layer, to, **output)
    if count > MOST_COLORS and numbers.error is None:
        raise ValueError(
            f"{naming.theta(*theta).unicode} has {count:,} paths to J, and {MOST_COLORS} colours are distinct: "
            f"pass x and y, and the {MOST_COLORS} largest are drawn, or take a θ of a later layer."
        )
    paths = list(neuron_paths(sizes, layer, to, **output))
    if numbers.error is None:
        return PathsOfTheta(*theta, [HighlightedPath(path, _in_symbols(path, theta, sizes), None) for path in paths])
    with host.quiet():
        products = [_product(net, numbers, path, theta) for path in paths]
    order = sorted(range(count), key=lambda i: -abs(products[i])) if count > MOST_COLORS else list(range(count))
    shown = [HighlightedPath(paths[i], _in_symbols(paths[i], theta, sizes), products[i]) for i in order[:MOST_COLORS]]
    rest = [products[i] for i in order[MOST_COLORS:]]
    value = float(numbers.thetas[layer - 1][to - 1, from_ - 1])
    l2, l1 = net.architecture.penalties[layer - 1]
    # ∂/∂θ (λ₂/2 θ² + λ₁ |θ|)
    penalty = l2 * value + l1 * float(np.sign(value))
    others = (len(rest), sum(rest)) if rest else None
    found = PathsOfTheta(*theta, shown, others, penalty, sum(products) + penalty)
    _check_sum(found, sum(map(abs, products)), numbers)
    return found


def _check_sum(found: PathsOfTheta, size: float, numbers: NetworkNumbers) -> None:
    """Raise ValueError if the products, of this size in all, do not add up to the partial derivative."""
    assert numbers.gradient is not None
    assert found.total is not None
    value = float(numbers.gradient.thetas[found.layer - 1][found.to - 1, found.from_ - 1])
    # A NaN compares as False
    if not abs(found.total - value) <= 1e-9 * (size + abs(value)):
        name = naming.theta(found.layer, found.to, found.from_).unicode
        raise ValueError(
            f"the paths of {name} add up to {digits(found.total)} and ∂J/∂θ is {digits(value)}: an output of "
            "softmax is 0 to the last digit, and with it factors of its paths. Leave theta out: δ is exact."
        )


def _product(net: Network, numbers: NetworkNumbers, path: tuple[int, ...], theta: tuple[int, int, int]) -> float:
    """Return the product of a path's factors, summed over the observations."""
    layer, _, from_ = theta
    n_layers = len(net.layer_sizes)
    ends = path[n_layers - layer - 1 :]  # of the output layer: z, and a if that is another
    product = _through_output(net, numbers, ends[0] - 1, ends[-1] - 1) * numbers.a[layer - 1][:, from_ - 1]
    for l in range(layer + 1, n_layers):
        j, i = path[l - layer - 1] - 1, path[l - layer] - 1
        slope = numbers.slopes[l - 1]
        assert slope is not None  # hidden layers are elementwise
        product = product * numbers.thetas[l - 1][i, j] * slope[:, j]
    return float(np.sum(product))


def _through_output(net: Network, numbers: NetworkNumbers, z: int, a: int) -> Array:
    """Return ∂J/∂a_a · ∂a_a/∂z_z of the output layer for every observation."""
    assert numbers.error is not None
    assert numbers.gradient is not None
    f = net.architecture.output.activation
    if f.elementwise:
        # δ^(L) is the product of the two, without 0 · inf where the output is saturated.
        return np.asarray(numbers.gradient.deltas[-1])[:, z]
    alone = np.zeros_like(numbers.error)
    alone[:, a] = numbers.error[:, a]
    return f.pull_back(alone, numbers.z[-1], numbers.a[-1], np)[:, z]


def _in_symbols(path: tuple[int, ...], theta: tuple[int, int, int], sizes: tuple[int, ...]) -> str:
    """Return the product of a path's factors in mathtext, from J back to the parameter, as the source text reads it."""
    return "$" + r"\;".join(_factors(path, theta, len(sizes))) + "$"


def _factors(path: tuple[int, ...], theta: tuple[int, int, int], n_layers: int) -> Iterator[str]:
    layer, _, from_ = theta
    crosses = len(path) > n_layers - layer
    a = naming.of_neuron("a", n_layers, path[-1]).latex
    yield rf"\partial J/\partial {a}"
    for l in range(n_layers, layer, -1):
        neuron = path[l - layer - 1]
        z = naming.of_neuron("z", l, neuron).latex
        yield rf"\cdot\; \partial {a}/\partial {z}" if crosses and l == n_layers else rf"\cdot\; f'({z})"
        if l > layer + 1:
            yield rf"\cdot\; {naming.theta(l - 1, neuron, path[l - layer - 2]).latex}"
    yield rf"\cdot\; {naming.of_neuron('a', layer, from_).latex}"


def sum_in_symbols(found: PathsOfTheta) -> str:
    """Return ∂J/∂θ as the sum of the paths in mathtext, with its value where there is one."""
    name = naming.theta(found.layer, found.to, found.from_).latex
    count = len(found.shown) + (found.others[0] if found.others else 0)
    which = "its only path" if count == 1 else f"the sum of the {count:,} paths"
    words = rf"$\partial J/\partial {name}$ = {which}" + (
        " + penalty " + digits(found.penalty) if found.penalty else ""
    )
    return words if found.total is None else f"{words} = {digits(found.total)}"
