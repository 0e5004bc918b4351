"""The paths with the largest products, found layer by layer from the output, without enumerating the others."""

from typing import NamedTuple

import numpy

from retroprop.explain.chain import Target
from retroprop.explain.factor_values import FactorValues, RowValues
from retroprop.functions.types import Array


class _Tails(NamedTuple):
    """The best products from each neuron of a layer to J, largest first.

    Attributes
    ----------
    products : array (n, K)
        With their signs.
    neurons : integer array (n, K, depth)
        The neurons that follow, from 0.
    """

    products: Array
    neurons: Array


def largest_paths(values: FactorValues, target: Target, most: int) -> list[tuple[int, tuple[int, ...]]]:
    """Return observation and neurons, from 1, of the `most` paths with the largest |product|, in that order.

    A path is best only if each of its ends is among the best from the neuron where it begins, so that the work is that
    of the recursion, times `most`.
    """
    # Of a row among the best paths overall, the best path is among the best of the rows' best.
    candidates = range(1, values.m + 1) if target.kind != "x" else [target.row or 1]
    best = {row: abs(_row_paths(values, target, row, 1).products[0, 0]) for row in candidates}
    found = []
    for row in sorted(best, key=lambda row: -best[row])[:most]:
        tails = _row_paths(values, target, row, most)
        found += [
            (abs(product), row, (target.first, *(neuron + 1 for neuron in neurons)))
            for product, neurons in zip(tails.products[0].tolist(), tails.neurons[0].tolist(), strict=True)
        ]
    found.sort(key=lambda path: (-path[0], path[1:]))
    return [(row, neurons) for _, row, neurons in found[:most]]


def _row_paths(values: FactorValues, target: Target, row: int, most: int) -> _Tails:
    """Return the best paths of one observation, as the tails of the single neuron with which they begin."""
    parts, at = RowValues(values, row), row - 1
    thetas, masks = values.parameters.thetas, values.trace.masks
    tails = _output_tails(parts, most)
    for layer in range(parts.n_layers - 1, target.layer, -1):
        step = thetas[layer - 1].T  # from a neuron of `layer`, to one of the next
        if layer > 1:
            step = step * values.slopes[layer - 2][at][:, None]
            mask = masks[layer - 1]
            step = step if mask is None else step * mask[at][:, None]
        if layer == target.layer + 1:
            step = step[[target.first - 1]]
        tails = _extended(tails, step, most)
    if target.layer + 1 == parts.n_layers:
        tails = _Tails(tails.products[[target.first - 1]], tails.neurons[[target.first - 1]])
    last = parts.sent(target.layer, target.from_) if target.kind == "theta" else 1.0
    return tails._replace(products=tails.products * (last * (1.0 if parts.share is None else parts.share)))


def _output_tails(parts: RowValues, most: int) -> _Tails:
    """Return the tails of the neurons of the output layer: ∂J_i/∂a ∂a/∂z."""
    losses = parts.values.losses[parts.row - 1]
    if parts.values.architecture.output.activation.elementwise:
        products = losses * parts.values.slopes[-1][parts.row - 1]
        return _Tails(products[:, None], numpy.empty((len(losses), 1, 0), dtype=int))
    return _extended(_Tails(losses[:, None], numpy.empty((len(losses), 1, 0), dtype=int)), parts.jacobian.T, most)


def _extended(tails: _Tails, step: Array, most: int) -> _Tails:
    """Return the tails one layer further from the output; `step[j, i]` leads from its neuron j to neuron i."""
    n, (n_next, k) = step.shape[0], tails.products.shape
    products = (step[:, :, None] * tails.products).reshape(n, n_next * k)
    best = numpy.argsort(-numpy.abs(products), axis=1, kind="stable")[:, :most]
    neurons = numpy.concatenate([(best // k)[:, :, None], tails.neurons[best // k, best % k]], axis=-1)
    return _Tails(numpy.take_along_axis(products, best, axis=1), neurons)
