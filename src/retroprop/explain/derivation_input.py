"""The data of a derivation: a network, its observations and dropout masks, checked, in float64 on the host."""

from collections.abc import Sequence
from typing import Any

import numpy

from retroprop.backends import host, host_backend
from retroprop.core.architecture import Architecture
from retroprop.explain.factor_values import FactorValues
from retroprop.functions.types import Array
from retroprop.network import Network


def factor_values(net: Network, x: Any, y: Any, sample_weight: Any, masks: Sequence[Any] | None) -> FactorValues | None:
    """Return the numbers of a network on observations, None without x and y."""
    given = {"x": x, "y": y, "sample_weight": sample_weight, "masks": masks}
    if x is None and y is None and sample_weight is None and masks is None:
        return None
    for name in ("x", "y"):
        if given[name] is None:
            others = ", ".join(other for other, value in given.items() if value is not None)
            raise TypeError(f"{name} is missing: a derivation with numbers takes x and y, and was given {others}.")
    # Data on the host keep their precision where the network's dtype would round them.
    checked = net.batch(x, y, sample_weight, check=True)
    if checked.x.ndim != 2:
        raise ValueError(f"derive takes x with two axes, not of the shape {tuple(checked.x.shape)}.")
    reference = net.to(host_backend(), dtype="float64")
    data = [
        raw if raw is None or host.is_host(raw) else net.backend.to_numpy(part)
        for raw, part in zip((x, y, sample_weight), checked, strict=True)
    ]
    batch = reference.batch(*data, check=True)
    return FactorValues(reference, batch, _scaled(net.architecture, batch.x.shape[0], masks))


def _scaled(architecture: Architecture, m: int, masks: Sequence[Any] | None) -> list[Array | None] | None:
    """Return the masks of 0 and 1 divided by 1 − p."""
    if masks is None:
        return None
    sizes = architecture.layer_sizes[1:-1]
    if not isinstance(masks, (list, tuple)) or len(masks) != len(sizes):
        count = len(masks) if isinstance(masks, (list, tuple)) else type(masks).__name__
        raise ValueError(f"masks must list one mask or None for each of {len(sizes)} hidden layers, not {count}.")
    scaled: list[Array | None] = []
    for l, (mask, n, p) in enumerate(zip(masks, sizes, architecture.dropout, strict=True)):
        if mask is None:
            scaled.append(None)
            continue
        array = host.as_host(mask, f"masks[{l}]").astype("float64")
        if array.shape != (m, n):
            raise ValueError(f"masks[{l}] must have the shape {(m, n)}, not {array.shape}.")
        if not numpy.isin(array, (0.0, 1.0)).all():
            raise ValueError(f"masks[{l}] must hold 0 and 1, 1 for the neurons that stay; it is divided by 1 − p here.")
        scaled.append(array / (1.0 - p))
    return scaled
