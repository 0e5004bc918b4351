"""The arguments of `Network.from_parameters` that make a network of a given architecture again."""

from typing import Any

from retroprop.core.architecture import Architecture


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
