"""Random draws in scikit-learn's order: the weights, the rows for validation, the order of each epoch.

One `random_state` gives the results that it gives there: one `numpy.random.RandomState` draws all, on the host.
"""

from itertools import pairwise
from math import sqrt
from typing import Any

import numpy

from retroprop.backends import host
from retroprop.functions.initializers import Initializer
from retroprop.functions.types import Array
from retroprop.training.batches import Minibatches


def initial_weights(
    rng: Any, layer_sizes: tuple[int, ...], initializer: Initializer | None, *, logistic: bool
) -> tuple[list[Array], list[Array]]:
    """Return the coefs, each (n_in, n_out), and the intercepts, each (n_out,), float64.

    Parameters
    ----------
    rng : RandomState
        Draws layer by layer, first the weights, then the biases.
    layer_sizes : tuple of int
        From the inputs to the outputs.
    initializer : Initializer or None
        None is scikit-learn's rule: weights and biases uniform in ±√(6 / (n_in + n_out)).
    logistic : bool
        Whether the hidden activation is logistic: every layer then has a 2 in place of the 6.
    """
    coefs, intercepts = [], []
    for n_in, n_out in pairwise(layer_sizes):
        if initializer is None:
            bound = sqrt((2.0 if logistic else 6.0) / (n_in + n_out))
            coefs.append(rng.uniform(-bound, bound, (n_in, n_out)))
            intercepts.append(rng.uniform(-bound, bound, n_out))
        else:
            coefs.append(initializer.theta(rng, n_out, n_in, host.xp).T)
            intercepts.append(initializer.bias(rng, n_out, n_in, host.xp))
    return coefs, intercepts


def split(rng: Any, n_samples: int, fraction: float, stratify: Array | None) -> tuple[Array, Array]:
    """Return the rows of the training data and those of the validation data.

    Raises
    ------
    ValueError
        If the validation data have fewer than 2 rows.
    """
    from sklearn.model_selection import train_test_split  # slow to load, and few fits split

    train, validation = train_test_split(
        numpy.arange(n_samples), random_state=rng, test_size=fraction, stratify=stratify
    )
    if len(validation) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return train, validation


class Shuffled(Minibatches):
    """Minibatches over given rows; the order of an epoch is a permutation of the order of the last.

    Parameters
    ----------
    rows : integer array or None
        The rows of the data that are used; None is all.
    m : int
        Their number.
    batch_size : int
        Rows per batch.
    shuffle : bool
        Whether each epoch has a new order, even with one batch.
    """

    def __init__(self, rows: Array | None, m: int, batch_size: int, *, shuffle: bool) -> None:
        super().__init__(m, batch_size, shuffle=shuffle)
        self.shuffle = shuffle
        self.rows: Any = numpy.arange(m) if rows is None and shuffle else rows

    def draw(self, rng: Any, last: Array | None = None) -> Array | None:
        """Return the order of the next epoch, drawn from a `RandomState`."""
        if not self.shuffle:
            return self.rows
        drawn = numpy.arange(self.m)
        rng.shuffle(drawn)
        return (self.rows if last is None else last)[drawn]
