"""Random, stratified splits of the rows."""

import numpy as np
from numpy.typing import NDArray


def set_aside(
    rows: NDArray[np.intp], classes: NDArray[np.intp] | None, fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split rows in two; return those that stay and those set aside, each in their original order.

    Parameters
    ----------
    rows : int array (m,)
        The rows to split.
    classes : int array (m,) or None
        The class of each row; the split is then stratified, and every class keeps at least one row.
    fraction : float
        The fraction of the rows to set aside, in [0, 1).
    rng : Generator
        Draws the rows set aside.
    """
    n_aside = round(fraction * len(rows))
    if classes is None:
        chosen = rng.permutation(len(rows))[:n_aside]
    else:
        groups = [rng.permutation(np.flatnonzero(classes == c)) for c in np.unique(classes)]
        shares = _shares(np.asarray([len(group) for group in groups], dtype=np.intp), n_aside)
        chosen = np.concatenate([group[:share] for group, share in zip(groups, shares, strict=True)])
    aside = np.zeros(len(rows), dtype=bool)
    aside[chosen] = True
    return rows[~aside], rows[aside]


def _shares(sizes: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Return the number of rows to set aside of each class: proportional, largest remainders rounded up."""
    exact = sizes * total / sizes.sum()
    shares = np.floor(exact).astype(np.intp)
    for i in np.argsort(shares - exact, kind="stable")[: total - int(shares.sum())]:
        shares[i] += 1
    kept: NDArray[np.intp] = np.minimum(shares, sizes - 1)
    return kept
