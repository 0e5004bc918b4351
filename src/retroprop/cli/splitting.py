"""Setting rows aside: seeded, and with every class in proportion."""

import numpy as np
from numpy.typing import NDArray


def set_aside(
    rows: NDArray[np.intp], classes: NDArray[np.intp] | None, part: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows that stay and the rows set aside, each in order.

    Parameters
    ----------
    rows : int array (m,)
        The rows to divide.
    classes : int array (m,) or None
        The class of each of them; each gives its share, and keeps at least one row.
    part : float
        Which part of the rows is set aside, in [0, 1).
    rng : Generator
        Draws them.
    """
    n_aside = round(part * len(rows))
    if classes is None:
        chosen = rng.permutation(len(rows))[:n_aside]
    else:
        groups = [rng.permutation(np.flatnonzero(classes == c)) for c in np.unique(classes)]
        shares = _shares(np.asarray([len(group) for group in groups]), n_aside)
        chosen = np.concatenate([group[:share] for group, share in zip(groups, shares, strict=True)])
    aside = np.zeros(len(rows), dtype=bool)
    aside[chosen] = True
    return rows[~aside], rows[aside]


def _shares(sizes: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Return how many of each class are set aside: in proportion, the largest remainders rounded up."""
    exact = sizes * total / sizes.sum()
    shares = np.floor(exact).astype(np.intp)
    for i in np.argsort(shares - exact, kind="stable")[: total - int(shares.sum())]:
        shares[i] += 1
    kept: NDArray[np.intp] = np.minimum(shares, sizes - 1)
    return kept
