"""The architecture of a network: its sizes and functions, without its parameters."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from retroprop.functions import activations, losses
from retroprop.functions.activations import Activation
from retroprop.functions.losses import Loss
from retroprop.functions.names import flag, number
from retroprop.functions.outputs import Output, pair


class Architecture(NamedTuple):
    """Sizes and functions of a network of layers 1..L; Θ and b are in `Parameters`.

    Attributes
    ----------
    layer_sizes : tuple of int, length L
        n_1, ..., n_L.
    hidden : tuple of Activation, length L − 2
        f of the layers 2..L−1.
    output : Output
        f of layer L and the loss.
    bias : bool
        Whether z has a bias.
    l2, l1 : float, or tuple of float, length L − 1
        λ of the penalties λ/2 ‖Θ‖² and λ ‖Θ‖₁, for all Θ or one for each.
    dropout : tuple of float, length L − 2
        p of the hidden layers: the fraction of the neurons masked in training.
    """

    layer_sizes: tuple[int, ...]
    hidden: tuple[Activation, ...]
    output: Output
    bias: bool = True
    l2: float | tuple[float, ...] = 0.0
    l1: float | tuple[float, ...] = 0.0
    dropout: tuple[float, ...] = ()

    @property
    def activations(self) -> tuple[Activation, ...]:
        """f of the layers 2..L: `activations[l - 1]` is applied after `thetas[l - 1]`."""
        return (*self.hidden, self.output.activation)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(n_{l+1}, n_l), the shape of every Θ^(l)."""
        return tuple(zip(self.layer_sizes[1:], self.layer_sizes, strict=False))

    @property
    def penalties(self) -> tuple[tuple[float, float], ...]:
        """(λ₂, λ₁) of every Θ^(l)."""
        n = len(self.layer_sizes) - 1
        each = (λ if isinstance(λ, tuple) else (λ,) * n for λ in (self.l2, self.l1))
        return tuple(zip(*each, strict=True))


def build(
    layer_sizes: Sequence[int],
    *,
    hidden: Any,
    output: Any,
    loss: Any,
    bias: bool,
    l2: float | Sequence[float],
    l1: float | Sequence[float],
    dropout: Any,
) -> Architecture:
    """Return the architecture that the arguments of `Network` describe.

    Raises
    ------
    TypeError, ValueError
        For arguments that describe no network; the message has the given value and the accepted ones.
    """
    sizes = _sizes(layer_sizes)
    n_hidden = len(sizes) - 2
    f_output, its_loss = activations.get(output), losses.get(loss)
    fs = [hidden] * n_hidden if isinstance(hidden, str) or not isinstance(hidden, Sequence) else list(hidden)
    ps = [dropout] * n_hidden if isinstance(dropout, str) or not hasattr(dropout, "__len__") else list(dropout)
    for name, values in (("hidden", fs), ("dropout", ps)):
        if len(values) != n_hidden:
            raise ValueError(f"{name} must be one, or one for each of {n_hidden} hidden layers, not {len(values)}.")
    f_hidden = tuple(activations.get(f) for f in fs)
    if not all(f.elementwise for f in f_hidden):
        raise ValueError("softmax is an output activation; a hidden layer takes an elementwise one.")
    if not all(0.0 <= number("dropout", p) < 1.0 for p in ps):
        raise ValueError(f"dropout must be in [0, 1), not {dropout!r}.")
    l2, l1 = _penalty("l2", l2, n_hidden + 1), _penalty("l1", l1, n_hidden + 1)
    _check_classes(f_output, its_loss, sizes[-1])
    _check_output_range(f_output, its_loss)
    return Architecture(sizes, f_hidden, pair(f_output, its_loss), flag("bias", bias), l2, l1, tuple(map(float, ps)))


def _penalty(name: str, given: Any, n: int) -> float | tuple[float, ...]:
    """Return λ of all Θ, or of each of the `n`."""
    one = isinstance(given, str) or not hasattr(given, "__len__")
    values = [given] if one else list(given)
    if not one and len(values) != n:
        raise ValueError(f"{name} must be one number, or one for each of {n} matrices of weights, not {len(values)}.")
    for value in values:
        if not 0.0 <= number(name, value) < float("inf"):
            raise ValueError(f"{name} must be 0 or above and finite, not {value!r}.")
    return float(given) if one else tuple(map(float, values))


def _check_classes(f: Activation, loss: Loss, n_out: int) -> None:
    """Raise ValueError for fewer than two classes, and for groups that do not add up to the output layer."""
    if n_out == 1 and isinstance(f, activations.Softmax):
        raise ValueError("softmax over one output is always 1: use 2 outputs, or output='sigmoid'.")
    if n_out == 1 and isinstance(loss, losses.CrossEntropy):
        # The rows of y sum to 1, so with one output every target is 1: there is nothing to distinguish.
        raise ValueError(
            f"the loss {loss.name!r} needs the probabilities of 2 classes or more, and this network has one output: "
            "use loss='binary_cross_entropy' with output='sigmoid', or 2 outputs with output='softmax'."
        )
    for part in (f, loss):
        if isinstance(part, (activations.GroupedSoftmax, losses.GroupedCrossEntropy)) and sum(part.sizes) != n_out:
            raise ValueError(f"sizes of {part.name} make {sum(part.sizes)} outputs, and the network has {n_out}.")


def _check_output_range(f: Activation, loss: Loss) -> None:
    """Raise ValueError for a built-in activation with values at which the loss is undefined."""
    if f.range is None:  # a custom activation
        return
    low, high = f.range
    if low < loss.output_range[0] or high > loss.output_range[1]:
        inside = [
            name
            for name, other in activations.ACTIVATIONS.items()
            if other.range and loss.output_range[0] <= other.range[0] and other.range[1] <= loss.output_range[1]
        ]
        raise ValueError(
            f"the loss {loss.name!r} needs outputs in [{loss.output_range[0]:g}, {loss.output_range[1]:g}], and "
            f"{f.name!r} gives [{low:g}, {high:g}]. Accepted: {', '.join(inside)}."
        )


def _sizes(layer_sizes: Any) -> tuple[int, ...]:
    sizes = []
    with suppress(TypeError):
        sizes = list(layer_sizes)
    if len(sizes) < 2:
        raise ValueError(f"layer_sizes must list two sizes or more, inputs first, not {layer_sizes!r}.")
    for size in sizes:
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise TypeError(f"layer_sizes must hold whole numbers; {size!r} is not one.")
        if size < 1:
            raise ValueError(f"layer_sizes must be 1 or above; {size!r} in {list(layer_sizes)!r} is not.")
    return tuple(int(size) for size in sizes)
