"""The gradient of the recursion against central differences.

The differences need no loop over networks: K copies of a network, each with one parameter changed, are one network
with a leading model axis, so that one forward propagation computes K costs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array, Namespace, RandomGenerator


@dataclass(frozen=True)
class GradientCheck:
    """The deviation of the recursion from central differences.

    Attributes
    ----------
    max_relative_error : float
        The largest |g − d| / max(|g|, |d|, floor) over the parameters checked, where g is the recursion's partial
        derivative and d the central difference (exactly on a kink, as of relu at 0, the nearest number between the
        differences from left and right). The floor is 1e-3 of the largest |g|, or the smallest difference that the
        rounding of J leaves visible. inf for a NaN.
    where : str
        The parameter with this error, as `"thetas[1][0, 2]"`.
    tolerance : float
        The largest error that is tolerated, from the dtype of the network.
    n_checked : int
        The number of parameters checked.
    """

    max_relative_error: float
    where: str
    tolerance: float
    n_checked: int

    @property
    def ok(self) -> bool:
        """Whether the largest error is within the tolerance."""
        return self.max_relative_error <= self.tolerance


def sample(sizes: Sequence[int], most: int, rng: RandomGenerator, xp: Namespace) -> list[Array]:
    """Return a random sample of `most` elements of arrays of these `sizes`: for each array its indices, sorted."""
    drawn = rng.permutation(sum(sizes))[:most]
    ends = xp.cumulative_sum(xp.asarray(sizes))
    return [xp.sort(drawn[(drawn >= end - n) & (drawn < end)] - (end - n)) for n, end in zip(sizes, ends, strict=True)]


def differences(
    cost: Callable[[Parameters], Array],
    parameters: Parameters,
    leaf: int,
    indices: Array,
    step: float,
    xp: Namespace,
) -> tuple[Array, Array]:
    """Return the difference quotients of J to the left and to the right, for K entries of one array, each (K,).

    Parameters
    ----------
    cost : callable
        J of the parameters, shape (K,) for parameters with K models along a leading axis.
    parameters : Parameters
        Without model axes.
    leaf : int
        The index of the array in `parameters.leaves`.
    indices : integer array (K,)
        Flat positions in it, in C order.
    step : float
        h, on the scale of a parameter of 1.
    xp : namespace
        The library of the parameters.
    """
    leaves = parameters.leaves
    theta = leaves[leaf]
    positions = xp.reshape(xp.arange(theta.size), theta.shape)
    here = positions == xp.reshape(indices, (-1,) + (1,) * theta.ndim)
    nudge = step * xp.maximum(xp.abs(theta), 1.0) * xp.astype(here, theta.dtype)
    h = xp.sum(nudge, axis=tuple(range(1, theta.ndim + 1)))

    def moved(by: Array) -> Array:
        return cost(parameters.like((*leaves[:leaf], theta + by, *leaves[leaf + 1 :])))

    # (J(θ) − J(θ − h)) / h and (J(θ + h) − J(θ)) / h; half their sum is the central difference
    stay = cost(parameters)
    return (stay - moved(-nudge)) / h, (moved(nudge) - stay) / h


def compare(
    cost: Callable[[Parameters], Array],
    parameters: Parameters,
    gradient: Parameters,
    wanted: Sequence[Array],
    *,
    chunk: int,
    tolerance: float,
    xp: Namespace,
) -> GradientCheck:
    """Compare `gradient` with central differences of `cost`.

    Parameters
    ----------
    cost, parameters, xp
        As in `differences`; float64.
    gradient : Parameters
        The gradient of the recursion, float64.
    wanted : sequence of integer array
        The flat positions to check in each of `parameters.leaves`.
    chunk : int
        The number of networks in one forward propagation.
    tolerance : float
        The largest relative error that is tolerated.

    Returns
    -------
    GradientCheck
    """
    eps = float(xp.finfo(parameters.leaves[0].dtype).eps)
    step = eps ** (1 / 3)
    largest = max(float(xp.max(xp.where(xp.isfinite(g), xp.abs(g), 0.0))) for g in gradient.leaves)
    noise = eps ** (2 / 3) * float(xp.abs(cost(parameters)))  # of a difference, from the rounding of J
    floor = max(1e-3 * largest, 40.0 * noise / tolerance)
    worst, where, n_checked = 0.0, "", 0
    for leaf, (grad, indices) in enumerate(zip(gradient.leaves, wanted, strict=True)):
        for start in range(0, indices.shape[0], chunk):
            some = indices[start : start + chunk]
            g = xp.take(xp.reshape(grad, (-1,)), some)
            error = xp.full(g.shape, float("inf"))
            # A kink (relu, |e|) within the step falsifies a difference, not the recursion: where the two disagree,
            # the difference is taken again with a shorter step, and the closest agreement counts.
            for shorter in (1.0, 0.1, 0.01):
                left, right = differences(cost, parameters, leaf, some, shorter * step, xp)
                found = _relative_error(g, left, right, floor, xp)
                error = xp.where(found < error, found, error)  # a NaN compares as False, and the error stays inf
                if bool(xp.all(error <= tolerance)):
                    break
            at = int(xp.argmax(error))
            n_checked += some.shape[0]
            if not where or float(error[at]) > worst:
                worst, where = float(error[at]), _name(parameters, leaf, int(some[at]))
    return GradientCheck(worst, where, tolerance, n_checked)


def worst(checks: Sequence[GradientCheck]) -> GradientCheck:
    """Return the check with the largest error of those of several models, whose number `where` then names."""
    # A NaN is the largest.
    order = sorted(range(len(checks)), key=lambda k: (checks[k].ok, -checks[k].max_relative_error))
    found, at = checks[order[0]], order[0]
    where = f"model {at}: {found.where}"
    return GradientCheck(found.max_relative_error, where, found.tolerance, sum(one.n_checked for one in checks))


def _relative_error(g: Array, left: Array, right: Array, floor: float, xp: Namespace) -> Array:
    """Return |g − d| / max(|g|, |d|, floor), d the central difference, or on a kink the nearest subgradient."""
    central = 0.5 * (left + right)
    low, high = xp.minimum(left, right), xp.maximum(left, right)
    # Where the quotients from left and right differ, θ is on the kink, and every value between them is a subgradient.
    kink = high - low > 1e-3 * xp.maximum(xp.maximum(xp.abs(left), xp.abs(right)), floor)
    d = xp.where(kink, xp.minimum(xp.maximum(g, low), high), central)
    size = xp.maximum(xp.maximum(xp.abs(g), xp.abs(d)), floor)
    return xp.abs(g - d) / (size + xp.astype(size == 0.0, size.dtype))


def _name(parameters: Parameters, leaf: int, index: int) -> str:
    """Return the parameter as a user would write it."""
    n = len(parameters.thetas)
    if leaf >= n:
        return f"biases[{leaf - n}][{index}]"
    row, column = divmod(index, parameters.thetas[leaf].shape[-1])
    return f"thetas[{leaf}][{row}, {column}]"
