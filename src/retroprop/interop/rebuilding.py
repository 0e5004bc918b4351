"""Networks made again: of an architecture, or of the arrays of another library with the loss that goes with them."""

from itertools import pairwise
from typing import Any

from retroprop.core.architecture import Architecture
from retroprop.functions.losses import LOSSES
from retroprop.network import Network


def options_of(architecture: Architecture) -> dict[str, Any]:
    """Return the functions, penalties and dropout of an architecture as keyword arguments."""
    a = architecture
    return {
        "hidden": a.hidden,
        "output": a.output.activation,
        "loss": a.output.loss,
        "l2": a.l2,
        "l1": a.l1,
        "dropout": a.dropout,
    }


def network_of(
    thetas: list[Any], biases: list[Any], fs: list[Any], dropout: list[float], *, loss: Any, backend: Any
) -> Network:
    """Return a network of tensors or arrays; where some layers have no bias, theirs is 0."""
    given: list[Any] = [None if bias is None else _host(bias) for bias in biases]
    arrays = [_host(theta) for theta in thetas]
    for l, (one, other) in enumerate(pairwise(arrays)):
        if one.shape[0] != other.shape[1]:
            raise ValueError(
                f"the shapes do not follow: layer {l + 1} has {one.shape[0]} neurons, and layer {l + 2} takes "
                f"{other.shape[1]}."
            )
    if any(bias is not None for bias in given):
        given = [arrays[l][:, 0] * 0 if bias is None else bias for l, bias in enumerate(given)]
    else:
        given = []
    return Network.from_parameters(
        arrays,
        given,
        hidden=fs[:-1],
        output=fs[-1],
        loss=loss_of(fs[-1], len(arrays[-1])) if loss is None else loss,
        dropout=dropout,
        backend=backend,
    )


def loss_of(output: Any, n_outputs: int) -> Any:
    """Return the name of the loss whose output the activation is, "squared_error" if there is none."""
    name = getattr(output, "name", output)
    linked = [loss for loss, cls in LOSSES.items() if cls.link == name and name != "identity"]
    return linked[0] if linked and not (linked[0] == "cross_entropy" and n_outputs == 1) else "squared_error"


def listed_functions(hidden: Any, output: Any, n_hidden: int) -> list[Any]:
    """Return the activations of all layers, given one for the hidden ones or one for each.

    Raises
    ------
    ValueError
        If their number is another.
    """
    one = isinstance(hidden, str) or not hasattr(hidden, "__len__")
    fs = [hidden] * n_hidden if one else list(hidden)
    if len(fs) != n_hidden:
        raise ValueError(f"hidden must be one, or one for each of {n_hidden} hidden layers, not {len(fs)}.")
    return [*fs, output]


def _host(tensor: Any) -> Any:
    """Return a tensor or an array as an array of the host, without its graph."""
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor
