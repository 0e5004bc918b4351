"""Symmetry of equal weights: neurons that start equal stay equal, and learn the same; random weights part them."""

from typing import Any, NamedTuple

import numpy as np

from retroprop.explain.sheet import digits
from retroprop.explain.symmetry_plot import CourseOfDistances, plot_symmetry
from retroprop.functions.names import number
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.one_network import require_one_network
from retroprop.training import History, fit
from retroprop.training.callbacks import TrainingState


class SymmetryRun(NamedTuple):
    """One training, and how far apart the hidden neurons of a layer were.

    Attributes
    ----------
    network : Network
        After the training.
    history : History
        Its figures.
    nearest, farthest : array (epochs + 1, hidden layers of two neurons or more)
        The smallest and the largest Euclidean distance between the incoming weights, bias included, of two neurons of
        a layer: before the training, and after each epoch.
    """

    network: Network
    history: History
    nearest: Array
    farthest: Array


class Symmetry(NamedTuple):
    """Two trainings of one network: from equal weights, and from random ones.

    Attributes
    ----------
    equal, random : SymmetryRun
        The trainings.
    value : float
        The weight that all had in the first.
    layers : tuple of int
        The hidden layers with two neurons or more, from 2.
    """

    equal: SymmetryRun
    random: SymmetryRun
    value: float
    layers: tuple[int, ...]

    @property
    def stays(self) -> bool:
        """Whether the neurons of every hidden layer stayed equal to the bit."""
        return bool((self.equal.farthest == 0.0).all())

    def __str__(self) -> str:
        """Return the outcome in words and numbers."""
        sizes = "-".join(map(str, self.equal.network.layer_sizes))
        largest = float(self.equal.farthest.max())
        twins = (
            "equal to the bit in every epoch"
            if self.stays
            else f"at most {digits(largest)} apart, which is the rounding of the matrix products"
            if self.is_rounding
            else f"up to {digits(largest)} apart, from rounding that the training amplified"
        )
        lines = [
            f"{sizes} network, {len(self.equal.history)} epochs, twice",
            f"  all weights {digits(self.value)} at first: the neurons of a hidden layer are {twins};",
            f"    J {_course(self.equal.history)}",
            "  random weights at first:",
        ]
        for i, layer in enumerate(self.layers):
            run = self.random
            ends = " to ".join(digits(float(run.nearest[epoch, i])) for epoch in (0, -1))
            lines.append(f"    layer {layer}: the distance of its two nearest neurons goes from {ends}")
        lines.append(f"    J {_course(self.random.history)}")
        return "\n".join(lines)

    @property
    def is_rounding(self) -> bool:
        """Whether the distances of the first training are within 1000 units of the last place of its weights."""
        arrays = [np.asarray(self.equal.network.backend.to_numpy(theta)) for theta in self.equal.network.thetas]
        size = max(float(np.abs(array).max()) for array in arrays)
        return float(self.equal.farthest.max()) <= 1000 * float(np.finfo(arrays[0].dtype).eps) * max(size, 1.0)

    def draw(self, *, path: Any = None, dark: bool = False) -> Any:
        """Return a matplotlib Figure of the distances and costs of both trainings, written to `path` if it is given."""
        courses = [
            CourseOfDistances(name, run.nearest, run.farthest, run.history.cost)
            for name, run in (("equal weights", self.equal), ("random weights", self.random))
        ]
        return plot_symmetry(courses, self.layers, path=path, dark=dark)


def symmetry(
    net_or_sizes: Any,
    x: Any,
    y: Any,
    *,
    epochs: int = 200,
    optimizer: Any = "adam",
    value: float = 0.5,
    seed: Any = 0,
) -> Symmetry:
    """Train a network from equal weights and once more from random ones, and record how far apart its neurons are.

    Neurons of a hidden layer with equal weights have equal z, a and δ, so their partial derivatives are equal too:
    each update leaves them equal, and the layer computes no more than one neuron would. Random weights break that.

    Parameters
    ----------
    net_or_sizes : Network, or sequence of int
        The network, whose weights are the random ones and which is not changed; or its layer sizes, for one with
        sigmoid neurons and squared error, in float64.
    x, y : array
        The data, as for `fit`.
    epochs, optimizer
        As for `fit`.
    value : float
        Every weight of the first training; its biases are 0.
    seed : int or Generator
        Draws the weights of a network given by its sizes.

    Returns
    -------
    Symmetry
        `equal`, `random`, `print(...)` for the outcome in words, and `draw()`.

    Raises
    ------
    TypeError, ValueError
        If the network has no hidden layer of two neurons or more, or dropout, whose masks differ between neurons.
    """
    net = net_or_sizes
    if not isinstance(net, Network):
        net = Network(net, hidden="sigmoid", output="sigmoid", seed=seed, dtype="float64")
    require_one_network(net, "symmetry")
    layers = tuple(l for l, n in enumerate(net.layer_sizes[1:-1], start=2) if n > 1)
    if not layers:
        raise ValueError(f"symmetry needs a hidden layer of 2 neurons or more; layer_sizes is {list(net.layer_sizes)}.")
    if any(net.architecture.dropout):
        raise ValueError("symmetry needs dropout=0: its masks differ between neurons, and part equal ones.")
    value = number("value", value)
    random, equal = net.to(), net.to()
    equal.thetas = [np.full(tuple(theta.shape), value) for theta in net.thetas]
    equal.biases = [np.zeros(tuple(bias.shape)) for bias in net.biases]
    runs = [_train(each, x, y, layers, epochs=epochs, optimizer=optimizer) for each in (equal, random)]
    return Symmetry(runs[0], runs[1], value, layers)


class Distances:
    """A callback that records the distances between the incoming weights of the neurons of each layer."""

    def __init__(self, layers: tuple[int, ...]) -> None:
        self.layers = layers
        self.nearest: list[list[float]] = []
        self.farthest: list[list[float]] = []

    def on_fit_begin(self, state: TrainingState) -> None:
        """Record the distances before the first epoch."""
        self._record(state.network)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Record the distances after an epoch."""
        self._record(state.network)

    def _record(self, net: Network) -> None:
        found = [_distances(net, layer) for layer in self.layers]
        self.nearest.append([float(pairs.min()) for pairs in found])
        self.farthest.append([float(pairs.max()) for pairs in found])


def _distances(net: Network, layer: int) -> Array:
    """Return the distance of every pair of neurons of a layer, from their incoming weights and biases."""
    weights = np.asarray(net.backend.to_numpy(net.thetas[layer - 2]), dtype=np.float64)
    if net.biases:
        bias = np.asarray(net.backend.to_numpy(net.biases[layer - 2]), dtype=np.float64)
        weights = np.concatenate([weights, bias[:, None]], axis=1)
    one, other = np.triu_indices(len(weights), k=1)
    return np.linalg.norm(weights[one] - weights[other], axis=1)


def _train(net: Network, x: Any, y: Any, layers: tuple[int, ...], *, epochs: int, optimizer: Any) -> SymmetryRun:
    distances = Distances(layers)
    history = fit(net, x, y, epochs=epochs, optimizer=optimizer, shuffle=False, callbacks=[distances])
    return SymmetryRun(net, history, np.asarray(distances.nearest), np.asarray(distances.farthest))


def _course(history: History) -> str:
    return f"{digits(history.cost[0])} to {digits(history.cost[-1])}" if history.cost else "not measured"
