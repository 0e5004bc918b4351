"""A network for one of the data sets that scikit-learn brings, with its observations, for `retroprop explain`."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.cli.errors import CommandError
from retroprop.cli.explained_network import NetworkChoice, network_of
from retroprop.tabular.built_in import read_built_in
from retroprop.tabular.files import BUILT_IN

HIDDEN = 4  # neurons of its one hidden layer
MOST_ROWS = 150
BATCH_SIZE = 3  # observations of one step, so few that every sum is written out


def is_data(choice: NetworkChoice) -> bool:
    """Return whether the network is chosen by the name of a data set."""
    return choice.sizes in BUILT_IN


def network_of_data(choice: NetworkChoice) -> tuple[rp.Network, NDArray[Any], NDArray[Any]]:
    """Return a network with one hidden layer and random parameters, and standardised observations in a random order.

    Raises
    ------
    CommandError, DataError, ValueError
        If the options do not fit, or scikit-learn is missing.
    """
    assert choice.sizes is not None  # the name of the data
    table = read_built_in(choice.sizes)
    x = np.stack([cells.values for name, cells in table.columns.items() if name != table.target], axis=1)
    labels = table.columns["target"].values
    drawn = np.random.default_rng(choice.seed).permutation(len(x))[:MOST_ROWS]
    x, spread = x - x.mean(axis=0), x.std(axis=0)
    x = np.round(x / np.where(spread > 0.0, spread, 1.0), 2)
    if choice.sizes == "diabetes":
        y, n_out, loss = (
            np.round((labels - labels.mean()) / labels.std(), 2)[:, None],
            1,
            choice.loss or "squared_error",
        )
    else:
        classes, y = np.unique(labels, return_inverse=True)
        n_out, loss = len(classes), choice.loss or "cross_entropy"
        if not rp.losses.get(loss).takes_indices:
            y = np.eye(n_out)[y]
    output = choice.output or (None if n_out > 1 or choice.loss else "identity")
    sizes = f"{x.shape[1]}-{HIDDEN}-{n_out}"
    net = network_of(replace(choice, sizes=sizes, loss=loss, output=output))
    return net, x[drawn], y[drawn]


def refuse_typed(x: str | None, y: str | None, name: str) -> None:
    """Raise CommandError for observations beside those of the data set."""
    if x is not None or y is not None:
        raise CommandError(f'"{name}" brings its own observations: leave --x and --y out, or give layer sizes instead.')
