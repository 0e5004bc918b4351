"""Several devices of JAX as one: each has all parameters and data, and computes its part of the rows of a batch."""

from collections.abc import Sequence

import jax
import numpy
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from retroprop.core.operations import Operations
from retroprop.functions.activations import Activation
from retroprop.functions.types import Array, Device

_ROWS = "rows"


def replicated(devices: Sequence[Device]) -> NamedSharding:
    """Return the devices as one, on each of which an array is whole."""
    return NamedSharding(Mesh(numpy.asarray(devices), (_ROWS,)), PartitionSpec())


class SplitRows(Operations):
    """The operations, with the rows of the inputs divided among devices.

    XLA divides all that follows from them in the same way, and adds up the gradients where a product sums over rows.
    Rows whose number is no multiple of the number of devices are computed by each, as the last batch of an epoch.
    """

    def affine(
        self, layer: int, a: Array, theta: Array, bias: Array | None, activation: Activation, *, keep_z: bool
    ) -> tuple[Array | None, Array]:
        """Return z and f(z) of the next layer."""
        if layer == 1 and a.shape[-2] % self.device.mesh.size == 0:
            rows = PartitionSpec(*[None] * (a.ndim - 2), _ROWS)
            a = jax.lax.with_sharding_constraint(a, NamedSharding(self.device.mesh, rows))
        return super().affine(layer, a, theta, bias, activation, keep_z=keep_z)
