"""Workloads: networks with a batch size, their matrix products, and their initial numbers."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.training.optimizers import UpdateRule

OPTIMIZERS = ("sgd", "adam")
DTYPES = ("float32", "float64")
# Small, so that thousands of steps on one batch hardly change the network: no dead layers, and no numbers near
# underflow, which a processor computes slowly.
LEARNING_RATE = 1e-5
_SLOTS = {"sgd": 0, "adam": 2}


class MatrixProduct(NamedTuple):
    """One matrix product of a step, (m, k) times (k, n).

    Attributes
    ----------
    kind : str
        "forward" (a Θᵀ), "gradient" (δᵀ a) or "delta" (δ Θ).
    m, k, n : int
        Rows of the first matrix, the length of the sums, columns of the second.
    """

    kind: str
    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """A multiplication and an addition for each of the m k n terms."""
        return 2 * self.m * self.k * self.n

    @property
    def elements(self) -> int:
        """The least number of elements read and written: both factors and the product, each once."""
        return self.m * self.k + self.k * self.n + self.m * self.n


@dataclass(frozen=True)
class Workload:
    """A network with a batch size; hidden relu, output softmax with cross-entropy.

    Attributes
    ----------
    layer_sizes : tuple of int
        n_1, ..., n_L.
    batch : int
        m, the observations per step.
    """

    layer_sizes: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        """The name that `parse` reads: "784-100-10@128", "256x9@256" for nine layers of one size."""
        sizes = self.layer_sizes
        alike = len(sizes) > 3 and len(set(sizes)) == 1
        return f"{f'{sizes[0]}x{len(sizes)}' if alike else '-'.join(map(str, sizes))}@{self.batch}"

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in self._pairs)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return list(pairwise(self.layer_sizes))

    @property
    def products(self) -> list[MatrixProduct]:
        """The matrix products of a step, in order; without ∂J/∂x, so layer 1 has no delta."""
        m = self.batch
        found = [MatrixProduct("forward", m, n_in, n_out) for n_in, n_out in self._pairs]
        for layer, (n_in, n_out) in reversed(list(enumerate(self._pairs))):
            found.append(MatrixProduct("gradient", n_out, m, n_in))
            if layer > 0:
                found.append(MatrixProduct("delta", m, n_out, n_in))
        return found

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of a step; nothing else is counted."""
        return sum(product.flops for product in self.products)

    def elements(self, optimizer: str) -> int:
        """Return the elements a step reads and writes if every product and the update go to memory once."""
        slots = _SLOTS[optimizer]
        # θ, its state and its gradient are read, θ and its state written.
        return sum(product.elements for product in self.products) + self.n_parameters * (3 + 2 * slots)

    def least_memory(self, optimizer: str) -> int:
        """Return the least number of elements a step holds, without the batch.

        Parameters, gradients, optimizer state, every activation once, and the deltas of two layers, as one is computed
        from the other.
        """
        above = self.layer_sizes[1:]
        deltas = max(map(sum, pairwise(above)), default=above[0])
        return self.n_parameters * (2 + _SLOTS[optimizer]) + self.batch * (sum(above) + deltas)


def parse(name: str) -> Workload:
    """Return the workload of a name such as "784-100-10@128" or "256x9@256" (nine layers of size 256).

    Raises
    ------
    ValueError
        If the name has another form.
    """
    match = re.fullmatch(r"\s*(?:(\d+)x(\d+)|(\d+(?:-\d+)+))\s*@\s*(\d+)\s*", name)
    if match is None:
        raise ValueError(
            f'a network must be written as layer sizes and batch size, "784-100-10@128", or "256x9@256" for nine '
            f"layers of size 256, not {name!r}."
        )
    width, layers, listed, batch = match.groups()
    sizes = (int(width),) * int(layers) if width else tuple(map(int, listed.split("-")))
    if len(sizes) < 2 or min(*sizes, int(batch)) < 1 or sizes[-1] < 2:
        raise ValueError(f"{name!r} must have two layers or more, every size 1 or above, and two outputs or more.")
    return Workload(sizes, int(batch))


TABLE = tuple(
    map(
        parse,
        (
            "2-2-2@4",
            "64-100-10@200",
            "784-100-10@128",
            "256x9@256",
            "784-1024-1024-10@1024",
            "2048x4@2048",
        ),
    )
)
"""The networks of the README's table, by the work of a step."""

LADDER = tuple(Workload((width,) * 4, 128) for width in (8, 32, 128, 512, 1024))
"""One shape of network from tiny to large, on which one backend overtakes another."""

GRID = tuple(
    Workload((width,) * layers, batch) for layers in (3, 6) for width in (16, 64, 256, 1024) for batch in (32, 512)
)
"""A grid of widths, depths and batch sizes."""


@dataclass(frozen=True)
class Problem:
    """A workload with its data and initial parameters, on the host; every contestant starts from copies of them.

    Attributes
    ----------
    workload : Workload
        The network and the batch size.
    optimizer : str
        "sgd" (without momentum) or "adam".
    dtype : str
        The dtype of all real numbers.
    x : array (m, n_1)
        Standard normal.
    y : int64 array (m,)
        Class indices, uniform.
    thetas, biases : list of array
        Θ^(l), shape (n_{l+1}, n_l), and b^(l); the biases are not 0, so that the tests notice a missing one.
    learning_rate : float
        η.
    """

    workload: Workload
    optimizer: str
    dtype: str
    x: NDArray[Any]
    y: NDArray[np.int64]
    thetas: list[NDArray[Any]]
    biases: list[NDArray[Any]]
    learning_rate: float = LEARNING_RATE

    @property
    def rule(self) -> UpdateRule:
        """The optimizer of retroprop, with the defaults that every peer is given too."""
        optimizers = rp.optimizers
        return optimizers.SGD(self.learning_rate) if self.optimizer == "sgd" else optimizers.Adam(self.learning_rate)

    def network(self, backend: Any) -> rp.Network:
        """Return a network with these parameters on a backend."""
        return rp.Network.from_parameters(
            self.thetas, self.biases, hidden="relu", output="softmax", loss="cross_entropy", backend=backend
        )


def draw(
    workload: Workload,
    optimizer: str = "sgd",
    dtype: str = "float32",
    *,
    rows: int | None = None,
    learning_rate: float = LEARNING_RATE,
) -> Problem:
    """Return the data and initial parameters of a workload, the same at each call.

    Parameters
    ----------
    workload : Workload
        The network and the batch size.
    optimizer : str
        "sgd" or "adam".
    dtype : str
        "float32" or "float64".
    rows : int, optional
        Rows of x; None is one batch.
    learning_rate : float
        η.
    """
    rng = np.random.default_rng(0)
    n_in, n_out = workload.layer_sizes[0], workload.layer_sizes[-1]
    m = workload.batch if rows is None else rows
    thetas, biases = [], []
    for below, above in pairwise(workload.layer_sizes):
        thetas.append((rng.standard_normal((above, below)) * (2.0 / below) ** 0.5).astype(dtype))
        biases.append((0.1 * rng.standard_normal(above)).astype(dtype))
    x = rng.standard_normal((m, n_in)).astype(dtype)
    return Problem(workload, optimizer, dtype, x, rng.integers(0, n_out, m), thetas, biases, learning_rate)
