"""`retroprop check`: the gradient of a network that the user describes, compared with central differences."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.cli.errors import CommandError
from retroprop.cli.network_options import names_of, sizes_of


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The options of `retroprop check`, named as on the command line; see its help."""

    layers: str
    hidden: str
    output: str | None
    loss: str
    initializer: str
    l2: float
    l1: float
    bias: bool
    rows: int
    seed: int
    dtype: str
    backend: str | None


def check(options: CheckOptions) -> tuple[rp.Network, Any]:
    """Build the network, draw data suited to its loss, and compare; return the network and its `GradientCheck`.

    Raises
    ------
    CommandError, ValueError, TypeError
        If the options describe no valid network.
    """
    sizes = sizes_of(options.layers, option="--layers")
    if len(sizes) < 2:
        raise CommandError(f'--layers "{options.layers}": a network has at least two layers, as 4,3.')
    if options.rows < 1:
        raise CommandError(f"--rows must be 1 or above, not {options.rows}.")
    loss = rp.losses.get(options.loss)
    given: dict[str, Any] = {
        "hidden": names_of(options.hidden, len(sizes) - 2, option="--hidden"),
        "output": options.output or loss.link or "identity",
        "loss": loss,
    }
    for name in ("initializer", "bias", "l2", "l1", "seed", "dtype", "backend"):
        given[name] = getattr(options, name)
    net = rp.Network(sizes, **given)
    rng = np.random.default_rng(options.seed)
    x = rng.standard_normal((options.rows, sizes[0]))
    return net, rp.check_gradient(net, x, random_targets(loss, options.rows, sizes[-1], rng))


def random_targets(loss: Any, m: int, n_outputs: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return random targets in the range that the loss accepts."""
    if loss.takes_indices:
        return rng.integers(0, n_outputs, m)
    low, high = loss.target_range
    if high == 1.0:
        return rng.integers(0, 2, (m, n_outputs)).astype(np.float64)
    if low == 0.0:
        return rng.poisson(3.0, (m, n_outputs)).astype(np.float64)
    return rng.standard_normal((m, n_outputs))
