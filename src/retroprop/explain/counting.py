"""The number of terms of all partial derivatives: written out path by path, and by the recursion over δ.

The counts are of one observation, of the weights alone (no bias), and exact whole numbers at any size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from operator import index
from typing import Any

from retroprop.explain.document import Block, Run, TableBlock, words
from retroprop.explain.shown import Shown


@dataclass(frozen=True)
class LayerTerms:
    """The counts of one Θ^(l), and of the δ^(l+1) that it needs.

    Attributes
    ----------
    layer : int
        l, from 1.
    weights : int
        The elements of Θ^(l).
    paths : int
        The paths from one θ^(l)_jk to J, summed over all j and k.
    factors : int
        The derivatives that one path multiplies: 3 + 2(L − 1 − l).
    products, sums : int
        The multiplications and additions of the recursion, for δ^(l+1) and for ∂J/∂Θ^(l).
    """

    layer: int
    weights: int
    paths: int
    factors: int
    products: int
    sums: int

    @property
    def without_sharing(self) -> int:
        """The factors of all paths."""
        return self.paths * self.factors

    @property
    def with_sharing(self) -> int:
        """The products and sums of the recursion."""
        return self.products + self.sums


@dataclass(frozen=True)
class TermCounts(Shown):
    """The counts of a network; see `count_terms`.

    Attributes
    ----------
    layer_sizes : tuple of int
        n_1, ..., n_L.
    by_layer : tuple of LayerTerms
        The counts of each Θ^(l), l = 1 first.
    """

    layer_sizes: tuple[int, ...]
    by_layer: tuple[LayerTerms, ...]

    @property
    def weights(self) -> int:
        """The number of weights, and of partial derivatives."""
        return sum(one.weights for one in self.by_layer)

    @property
    def paths(self) -> int:
        """The paths of all weights."""
        return sum(one.paths for one in self.by_layer)

    @property
    def without_sharing(self) -> int:
        """The derivative factors of all partial derivatives, written out path by path."""
        return sum(one.without_sharing for one in self.by_layer)

    @property
    def with_sharing(self) -> int:
        """The products and sums that the recursion makes."""
        return sum(one.with_sharing for one in self.by_layer)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """A table of the counts, a Θ a row, and their sums."""
        rows: list[tuple[str, ...]] = [
            (f"Θ^({one.layer})", *map(_written, (one.weights, one.paths, one.factors)), *_both(one))
            for one in self.by_layer
        ]
        rows.append(("all", _written(self.weights), _written(self.paths), "", *_both(self)))
        columns = ("", "weights", "paths to J", "factors a path", "without sharing", "with sharing")
        title = f"Terms of the partial derivatives of all weights of {'-'.join(map(str, self.layer_sizes))}"
        cells: list[tuple[Run, ...]] = [tuple((words(cell),) for cell in row) for row in rows]
        return (TableBlock(title, tuple((words(column),) for column in columns), cells),)


def _both(counted: LayerTerms | TermCounts) -> tuple[str, str]:
    return _written(counted.without_sharing), _written(counted.with_sharing)


def _written(count: int) -> str:
    """Return a count with thousands separators, of more than 30 digits rounded to three."""
    return f"{count:,}" if count < 10**30 else f"{Decimal(count):.2e}"


def count_terms(layer_sizes: Sequence[int], output: str | Sequence[int] = "elementwise") -> TermCounts:
    """Count the terms of the partial derivatives of J with respect to all weights, for one observation.

    **Without sharing**, every ∂J/∂θ^(l)_jk is a sum over the paths from θ^(l)_jk to J, and a path is a product of
    derivatives: ∂J/∂a^(L)_o and ∂a^(L)_o/∂z^(L)_i at its end, two for each layer between, and ∂z^(l+1)_j/∂θ^(l)_jk at
    its beginning, 3 + 2(L − 1 − l) in all. `without_sharing` is the number of these factors: 8 for 1-1-1, 52 for 2-2-2.
    (Evaluating them takes that number, less the number of weights, of products and sums.)

    **With sharing**, the recursion multiplies and adds, given the factors themselves:

    * δ^(L)_i = Σ_o ∂J/∂a_o ∂a_o/∂z_i: n_L products; with a softmax n_L² products and n_L(n_L − 1) sums;
    * δ^(l)_j = f′_j Σ_i δ^(l+1)_i θ^(l)_ij, l = 2..L−1: n_l (n_{l+1} + 1) products and n_l (n_{l+1} − 1) sums;
    * ∂J/∂θ^(l)_jk = δ^(l+1)_j a^(l)_k: n_{l+1} n_l products.

    `with_sharing` is the number of all these products and sums: 5 for 1-1-1, 18 for 2-2-2.

    Parameters
    ----------
    layer_sizes : sequence of int
        n_1, ..., n_L, the inputs first.
    output : str or sequence of int
        "elementwise", or "softmax", in which each output depends on each z of its layer, so that paths cross; or the
        sizes of the groups of a grouped softmax.

    Returns
    -------
    TermCounts
        `without_sharing`, `with_sharing`, `paths`, `weights`, and the same `by_layer`.

    Raises
    ------
    TypeError, ValueError
        For sizes that are no network, and for another output.

    Examples
    --------
    >>> counts = count_terms([2, 2, 2])
    >>> counts.without_sharing, counts.with_sharing
    (52, 18)
    """
    sizes = _sizes(layer_sizes)
    n_layers = len(sizes)
    # The pairs (o, i) for which ∂a^(L)_o/∂z^(L)_i is not 0
    ends = _ends(output, sizes[-1])
    counted = []
    for l in range(1, n_layers):
        n_from, n_to = sizes[l - 1], sizes[l]
        if l == n_layers - 1:
            products, sums = ends, ends - n_to
        else:
            products, sums = n_to * (sizes[l + 1] + 1), n_to * (sizes[l + 1] - 1)
        counted.append(
            LayerTerms(
                layer=l,
                weights=n_to * n_from,
                # One neuron of each layer from l to L − 1, then a pair (o, i)
                paths=prod(sizes[l - 1 : -1]) * ends,
                factors=3 + 2 * (n_layers - 1 - l),
                products=products + n_to * n_from,
                sums=sums,
            )
        )
    return TermCounts(sizes, tuple(counted))


def _sizes(given: Any) -> tuple[int, ...]:
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise TypeError(f"layer_sizes must be a list of whole numbers, as [2, 2, 2], not {given!r}.")
    try:
        sizes = tuple(index(size) for size in given)
    except TypeError:
        raise TypeError(f"layer_sizes must be whole numbers, as [2, 2, 2], not {given!r}.") from None
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"layer_sizes must be two sizes or more, each 1 or above, not {given!r}.")
    return sizes


def _ends(output: str | Sequence[int], n_out: int) -> int:
    if isinstance(output, str):
        if output not in ("elementwise", "softmax"):
            raise ValueError(
                f'output must be "elementwise", "softmax" or the sizes of the groups of a grouped softmax, '
                f"not {output!r}."
            )
        return n_out if output == "elementwise" else n_out**2
    groups = tuple(index(size) for size in output)
    if not groups or min(groups) < 1 or sum(groups) != n_out:
        raise ValueError(f"output {output!r}: groups of a softmax over {n_out} outputs must add up to {n_out}.")
    return sum(size**2 for size in groups)
