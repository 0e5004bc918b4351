"""Several networks for one table, trained together and kept as one network with a model axis."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

import retroprop as rp
from retroprop.tabular.training_options import TrainingOptions
from retroprop.training.many.fit_many import fit_named
from retroprop.training.parallel import Parallel


def member_seeds(options: TrainingOptions) -> list[int]:
    """Return the seed of each member; the first is the seed of a single network."""
    assert options.ensemble is not None
    others = np.random.SeedSequence((options.seed, 2)).generate_state(options.ensemble - 1)
    return [options.seed, *others.tolist()]


def train_members(
    nets: Sequence[rp.Network],
    x: Any,
    y: Any,
    seeds: Sequence[int],
    arguments: Mapping[str, Any],
    parallel: Parallel | None,
) -> tuple[rp.Network, list[rp.History], float]:
    """Train networks on the same data; return them as one network, their histories and the seconds.

    With `parallel` each process trains its part of the networks.

    Members that diverged in their first epoch, or were not begun before Ctrl-C, are left out.

    Raises
    ------
    DivergenceError
        If all of them diverged.
    """
    began = perf_counter()
    given = {"x": x, "y": y, "seed": list(seeds), **arguments}
    names = [f"member {i} of {len(nets)}" for i in range(1, len(nets) + 1)]
    histories = fit_named(nets, given, parallel=parallel, names=names)
    seconds = perf_counter() - began
    trained = [i for i, history in enumerate(histories) if len(history)]
    if not trained:
        if histories[0].error is not None:
            raise histories[0].error
        trained = [0]  # Ctrl-C came in the first epoch
    return rp.stack([nets[i] for i in trained]), [histories[i] for i in trained], seconds


def n_members(net: rp.Network) -> int:
    """Return the number of members of a network with a model axis; 1 without one."""
    return int(net.thetas[0].shape[0]) if net.thetas[0].ndim == 3 else 1
