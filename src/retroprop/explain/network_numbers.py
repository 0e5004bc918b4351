"""The numbers that a picture of a network shows, on the host in float64: z, a, f′, δ, ∂J/∂a and every gradient."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from retroprop.backends import host, host_backend
from retroprop.core.backward import Gradient
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.one_network import require_one_network


class NetworkNumbers(NamedTuple):
    """A network's numbers on some observations; index 0 is layer 1 of the source text.

    Attributes
    ----------
    thetas, biases : sequence of array
        The parameters.
    a, z, slopes : sequence of array or None, length L
        Activations, pre-activations and f′, each (m, n_l), empty without x. Where f is not elementwise (softmax), its
        entry of `slopes` is None.
    y : array (m, n_L) or None
        The targets as rows.
    gradient : Gradient or None
        J and its partial derivatives.
    error : array (m, n_L) or None
        ∂J/∂a^(L), without the penalties, which do not depend on a.
    """

    thetas: Sequence[Array]
    biases: Sequence[Array]
    a: Sequence[Array] = ()
    z: Sequence[Array | None] = ()
    slopes: Sequence[Array | None] = ()
    y: Array | None = None
    gradient: Gradient | None = None
    error: Array | None = None

    @property
    def m(self) -> int:
        """The number of observations."""
        return len(self.a[0]) if self.a else 0


def on_host(net: Network, x: Any, y: Any) -> tuple[Network, NetworkNumbers]:
    """Return a copy of the network on the host in float64, and its numbers.

    Parameters
    ----------
    net : Network
        Without model axes.
    x : array (m, n_1) or None
        One observation a row.
    y : array (m, n_L) or (m,), or None
        The targets, as for `Network.batch`.

    Raises
    ------
    TypeError, ValueError
        If the network has model axes, or if x or y do not fit it.
    """
    require_one_network(net, "draw")
    if x is None and y is not None:
        raise ValueError("y is given and x is not: pass both, or neither.")
    # On its own backend first, so that data are accepted which live with the network.
    rows = None if x is None else net.forward(x).a[0]
    targets = None if y is None else net.batch(x, y, check=True).y
    if rows is not None and rows.ndim != 2:
        raise ValueError(f"x must have two axes, (m, {net.layer_sizes[0]}), not the shape {tuple(rows.shape)}.")
    to_numpy, net = net.backend.to_numpy, net.to(host_backend(), dtype="float64")
    numbers = NetworkNumbers(net.thetas, net.biases)
    if rows is None:
        return net, numbers
    trace = net.forward(np.asarray(to_numpy(rows), dtype=np.float64), keep_z=True)
    fs = net.architecture.activations
    slopes = [
        f.derivative(z, a, np) if f.elementwise else None for f, z, a in zip(fs, trace.z[1:], trace.a[1:], strict=True)
    ]
    numbers = numbers._replace(a=trace.a, z=trace.z, slopes=[None, *slopes])
    if targets is None:
        return net, numbers
    host_y = np.asarray(to_numpy(targets))
    gradient = net.gradient(trace.a[0], host_y)
    if host_y.dtype.kind in "iu":
        host_y = np.eye(net.layer_sizes[-1])[host_y]
    # ∂J/∂a^(L) = 1/m ∂J_i/∂a
    with host.quiet():
        error = net.architecture.output.loss.derivative(trace.a[-1], host_y, np) / len(host_y)
    return net, numbers._replace(y=host_y, gradient=gradient, error=error)
