"""Standardisation to mean 0 and standard deviation 1, in float64, right at any magnitude that float64 holds."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Squares of numbers beyond these overflow or vanish: such a column is first divided by a power of two.
_ORDINARY = (2.0**-400, 2.0**400)


@dataclass(frozen=True, kw_only=True)
class Standardisation:
    """The map x -> (x/unit − mean)/scale of every column of a matrix.

    Attributes
    ----------
    unit : tuple of float
        A power of two, 1 except for columns of extreme magnitude.
    mean, scale : tuple of float
        Of x/unit. A scale of 0 marks a constant column, which becomes 0.
    """

    unit: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, x: NDArray[np.float64], least_scale: NDArray[np.float64] | float = 0.0) -> Self:
        """Estimate it from the rows of x (m, n).

        Parameters
        ----------
        x : float64 array (m, n)
            Finite numbers, at least one row.
        least_scale : float or array (n,)
            A lower bound for the scale of each column that is not constant.
        """
        largest = np.abs(x).max(axis=0)
        extreme = (largest > _ORDINARY[1]) | ((largest < _ORDINARY[0]) & (largest > 0.0))
        # ldexp keeps the quotient normal where largest itself is subnormal.
        unit = np.where(extreme, np.ldexp(1.0, np.clip(np.frexp(largest)[1], -1022, 1023)), 1.0)
        shrunk = x / unit if extreme.any() else x
        mean = shrunk.mean(axis=0)
        # The computed deviation of a constant column is rounding error: dividing by it would amplify that error.
        constant = np.ptp(shrunk, axis=0) == 0.0
        scale = np.where(constant, 0.0, shrunk.std(axis=0))
        constant |= scale <= 10.0 * np.finfo(np.float64).eps * np.abs(mean)
        scale = np.where(constant, 0.0, np.maximum(scale, least_scale))
        return cls(unit=tuple(unit.tolist()), mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standardised columns of x (m, n)."""
        scale = np.asarray(self.scale)
        constant = scale == 0.0
        result = (x / np.asarray(self.unit) - np.asarray(self.mean)) / np.where(constant, 1.0, scale)
        result[:, constant] = 0.0
        return np.asarray(result, dtype=np.float64)

    def back(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return standardised columns (m, n) in their own units; the inverse, except for constant columns."""
        own: NDArray[np.float64] = (x * np.asarray(self.scale) + np.asarray(self.mean)) * np.asarray(self.unit)
        return own

    def to_plain(self) -> dict[str, Any]:
        """Return it as a dict that JSON can hold, the argument of `from_plain`."""
        return {"unit": list(self.unit), "mean": list(self.mean), "scale": list(self.scale)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Rebuild it from the dict of `to_plain`."""
        return cls(unit=tuple(plain["unit"]), mean=tuple(plain["mean"]), scale=tuple(plain["scale"]))


IDENTITY = Standardisation(unit=(1.0,), mean=(0.0,), scale=(1.0,))  # of one column
