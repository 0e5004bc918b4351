"""What is timed: networks and batches, their matrix products, and the numbers they start from."""

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
# Small, so that thousands of steps on one batch leave the network as it is: no dead layers, no numbers near underflow,
# which a processor computes slowly.
LEARNING_RATE = 1e-5
_SLOTS = {"sgd": 0, "adam": 2}


class Product(NamedTuple):
    """A matrix product (m, k) times (k, n) of a step.

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
        """The numbers read and written at least: both factors and the product, each once."""
        return self.m * self.k + self.k * self.n + self.m * self.n


@dataclass(frozen=True)
class Workload:
    """A network and a batch size; hidden relu, output softmax with cross-entropy.

    Attributes
    ----------
    layer_sizes : tuple of int
        n_1, ..., n_L.
    batch : int
        m, the rows of a step.
    """

    layer_sizes: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        """What `parse` reads: "784-100-10@128", "256x9@256" for nine layers of one size."""
        sizes = self.layer_sizes
        alike = len(sizes) > 3 and len(set(sizes)) == 1
        return f"{f'{sizes[0]}x{len(sizes)}' if alike else '-'.join(map(str, sizes))}@{self.batch}"

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in self._pairs)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return list(pairwise(self.layer_sizes))

    @property
    def products(self) -> list[Product]:
        """The matrix products of a step, in their order; ∂J/∂x is not wanted, so layer 1 has no delta."""
        m = self.batch
        found = [Product("forward", m, n_in, n_out) for n_in, n_out in self._pairs]
        for layer, (n_in, n_out) in reversed(list(enumerate(self._pairs))):
            found.append(Product("gradient", n_out, m, n_in))
            if layer > 0:
                found.append(Product("delta", m, n_out, n_in))
        return found

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of a step; all else is not counted."""
        return sum(product.flops for product in self.products)

    def elements(self, optimizer: str) -> int:
        """Return the numbers a step must read and write if every product and the update go to memory once."""
        slots = _SLOTS[optimizer]
        # θ, its state and its gradient are read, θ and its state written.
        return sum(product.elements for product in self.products) + self.n_parameters * (3 + 2 * slots)

    def least_memory(self, optimizer: str) -> int:
        """Return the numbers a step must hold, the batch not counted.

        Parameters, gradients and optimizer state, activations kept once, and the deltas of two layers, one of which
        is computed from the other.
        """
        above = self.layer_sizes[1:]
        deltas = max(map(sum, pairwise(above)), default=above[0])
        return self.n_parameters * (2 + _SLOTS[optimizer]) + self.batch * (sum(above) + deltas)


def parse(name: str) -> Workload:
    """Return the workload of a name such as "784-100-10@128" or "256x9@256" (nine layers of size 256).

    Raises
    ------
    ValueError
        If it is no such name.
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
"""One form of network from tiny to large: where one backend overtakes another shows on it."""

GRID = tuple(
    Workload((width,) * layers, batch) for layers in (3, 6) for width in (16, 64, 256, 1024) for batch in (32, 512)
)
"""Widths, depths and batches."""


@dataclass(frozen=True)
class Problem:
    """A workload with its numbers, on the host: every contestant starts from copies of them.

    Attributes
    ----------
    workload : Workload
        Sizes.
    optimizer : str
        "sgd" (without momentum) or "adam".
    dtype : str
        Of all real numbers.
    x : array (m, n_1)
        Standard normal.
    y : int64 array (m,)
        Class indices, uniform.
    thetas, biases : list of array
        Θ^(l), shape (n_{l+1}, n_l), and b^(l); the biases are not 0, so that a forgotten one is seen.
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
        """The optimizer as retroprop has it, with the defaults every peer is given too."""
        optimizers = rp.optimizers
        return optimizers.SGD(self.learning_rate) if self.optimizer == "sgd" else optimizers.Adam(self.learning_rate)

    def network(self, backend: Any) -> rp.Network:
        """Return the network of these parameters on a backend."""
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
    """Return the numbers of a workload, the same at each call.

    Parameters
    ----------
    workload : Workload
        Sizes.
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
