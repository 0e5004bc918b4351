"""The check that an argument is one network."""

from typing import Any

from retroprop.network import Network


def require_one_network(net: Any, function: str) -> None:
    """Raise TypeError for anything but a network, ValueError for several networks along leading axes."""
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, not {type(net).__name__}.")
    if net.parameters.thetas[0].ndim != 2:
        raise ValueError(
            f"{function} takes one network, and net holds several: its first theta has the shape "
            f"{tuple(net.parameters.thetas[0].shape)}, with leading axes for the models. net.unstack() is a "
            "Network of each."
        )
