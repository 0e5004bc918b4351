"""`derive`: any partial derivative of a network, by the chain rule along every path to the cost."""

from collections.abc import Sequence
from itertools import islice, product
from math import fsum
from typing import Any
from warnings import warn

from retroprop.core.architecture import Architecture
from retroprop.explain.chain import Path, Target, all_paths, chain, count
from retroprop.explain.derivation import Derivation
from retroprop.explain.derivation_input import factor_values
from retroprop.explain.factor_formulas import FactorFormulas
from retroprop.explain.factor_values import measured_paths
from retroprop.explain.largest_paths import largest_paths
from retroprop.explain.targets import of_row, target_of, whole
from retroprop.network import Network
from retroprop.one_network import require_one_network


def derive(
    net: Network,
    of: str,
    *,
    layer: int | None = None,
    to: int | None = None,
    from_: int | None = None,
    row: int | None = None,
    x: Any = None,
    y: Any = None,
    sample_weight: Any = None,
    masks: Sequence[Any] | None = None,
    limit: int = 64,
    largest: int = 5,
) -> Derivation:
    """Derive ∂J/∂θ, ∂J/∂b or ∂J/∂x by the chain rule along every path, then gather it into δ and a.

    Layers, neurons and observations are counted from 1, as in the source text. All numbers are computed in float64 on
    the host from the network's parameters, wherever the network lives.

    Parameters
    ----------
    net : Network
        Without model axes.
    of : str
        "theta" for ``θ^(layer)_{to, from_}``, "bias" for ``b^(layer)_to``, "x" for the input ``x_{from_}``.
    layer, to, from_ : int
        θ goes to neuron `to` of layer `layer` + 1, from neuron `from_` of layer `layer`.
    row : int, optional
        The observation of an input, where there are several.
    x, y : array (m, n_1) and (m, n_L), or (m,)
        Observations, as for `Network.gradient`. Without them the derivation has no numbers, and is of one observation.
    sample_weight : array (m,), optional
        The weights of the observations.
    masks : sequence of array (m, n_l) of 0 and 1, or None, length L − 2, optional
        A dropout mask for each hidden layer, 1 for the neurons that stay. They are divided by 1 − p, p the network's.
    limit : int
        The number of paths up to which they are enumerated.
    largest : int
        The number of paths, the largest, of those that are not.

    Returns
    -------
    Derivation
        `text`, `latex`, `sympy`, `paths`, `value`, `recursion`, `difference`.

    Raises
    ------
    TypeError, ValueError
        For a parameter that does not exist, arguments that do not name one, and data that do not fit the network.

    Warns
    -----
    RuntimeWarning
        If the sum of the paths is not the recursion's value: at an output that is 0 or 1 exactly.

    Examples
    --------
    >>> import retroprop as rp
    >>> net = rp.Network.from_parameters([[[0.5]], [[2.0]]], hidden="identity", dtype="float64")
    >>> d = rp.explain.derive(net, "theta", layer=1, to=1, from_=1, x=[[3.0]], y=[[1.0]])
    >>> d.paths[0].product  # (a^(3) − y) · 1 · θ^(2) · 1 · x = (3 − 1) · 2 · 3
    12.0
    >>> d.value == d.recursion
    True
    """
    require_one_network(net, "derive")
    target = target_of(net.architecture, of, {"layer": layer, "to": to, "from_": from_, "row": row})
    for name, number in (("limit", limit), ("largest", largest)):
        if whole(name, number) < 1:
            raise ValueError(f"{name} must be 1 or above, not {number!r}.")
    values, n_paths = factor_values(net, x, y, sample_weight, masks), count(net.architecture, target)
    if values is None:
        return _without_numbers(net.architecture, of_row(target, 1), n_paths, limit)
    target, m = of_row(target, values.m), values.m
    averaging = "weights" if values.weight is not None else "mean" if m > 1 else ""
    formulas = FactorFormulas(net.architecture, tuple(mask is not None for mask in values.trace.masks), averaging)
    recursion, difference, penalty = values.recursion(target), values.difference(target), values.penalty(target)
    rows = [target.row or 1] if target.kind == "x" else range(1, m + 1)
    if n_paths * len(rows) <= limit:
        paths = measured_paths(values, target, product(rows, all_paths(net.architecture, target)))
        value = fsum([*(path.product or 0.0 for path in paths), penalty])
    else:
        paths, value = measured_paths(values, target, largest_paths(values, target, largest)), recursion
    derivation = Derivation(target, paths, value, recursion, difference, penalty, n_paths, m, limit, formulas, values)
    if not derivation.is_exact:
        warn(
            f"the sum of the paths, {value:.6g}, is not the partial derivative, {recursion:.6g}: an output is at its "
            f"limit, where the factors of a path lose their digits. `recursion` is right.",
            RuntimeWarning,
            stacklevel=2,
        )
    return derivation


def _without_numbers(architecture: Architecture, target: Target, n_paths: int, limit: int) -> Derivation:
    """Return a derivation of one observation in symbols, with the first path in place of too many."""
    formulas = FactorFormulas(architecture, (False,) * len(architecture.layer_sizes), "")
    neurons = islice(all_paths(architecture, target), n_paths if n_paths <= limit else 1)
    paths = [Path(one, 1, None, {factor.unicode: None for factor in chain(formulas, target, one)}) for one in neurons]
    return Derivation(target, paths, None, None, None, 0.0, n_paths, 1, limit, formulas, None)
